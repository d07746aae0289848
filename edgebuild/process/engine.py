"""How podman and docker say that they themselves failed, and not what they were to run."""

from __future__ import annotations

import re

CODES = (125, 126, 127)
"""Exit codes with which an engine ends that could not start a container, or not the program in it.

A program may end with the same ones; only an engine's own words tell.
"""

NO_PROGRAM = 127
"""The one with which it says that the image does not hold the program."""

_WORDS = re.compile(r"^(?:Error: |docker: ).*", re.MULTILINE)


def engine_failure(exit_code: int, text: str) -> str:
    """Return why no container ran, in the engine's words; nothing when it did not say so.

    Args:
        exit_code: Of the engine's process.
        text: The end of what was printed: by the engine, and by what ran in the container.
    """
    found = _WORDS.findall(text) if exit_code in CODES else []
    return " ".join(found[-1].split())[:400] if found else ""
