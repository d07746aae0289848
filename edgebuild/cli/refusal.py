"""What a verb with ``--json`` prints when it is refused: one document, as in every other case."""

from __future__ import annotations

import json
from dataclasses import asdict

TYPE_CHECKING = False  # as in edgebuild.cli.main

if TYPE_CHECKING:
    from edgebuild.errors import Problem


def refusal(code: int, message: str, hint: str = "", problems: tuple[Problem, ...] = ()) -> str:
    """Return the document.

    Args:
        code: The exit code.
        message: What is wrong.
        hint: What to do next, or an empty string.
        problems: Of a manifest, each with its place.
    """
    rows = [asdict(problem) for problem in problems]
    error = {"code": code, "message": message, "hint": hint, "problems": rows}
    return json.dumps({"schema": 1, "error": error}, indent=2, ensure_ascii=False)
