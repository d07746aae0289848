"""What every step program shares: exit codes, one-line errors, findings and progress lines."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edgebuild.protocol import ERROR_PREFIX, EXIT_FAILED, EXIT_MISSING, FINDING_PREFIX, PROGRESS_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class StepFailure(Exception):  # noqa: N818 - it is the step's word for "exit with this message"
    """A mistake the user can mend: printed in one line, without a traceback."""

    def __init__(self, message: str, *, hint: str = "", exit_code: int = EXIT_FAILED) -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.exit_code = exit_code


def fail(message: str, *, hint: str = "") -> NoReturn:
    """End the step with a message that says what is wrong and what to do next."""
    raise StepFailure(message, hint=hint)


def run_step(body: Callable[[Sequence[str]], None]) -> NoReturn:
    """Run ``body(argv)`` and exit: 0 done, 3 failed, 5 a package or an engine is missing.

    Args:
        body: The program; it receives the arguments after the module name.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # on by default since ONNX Runtime 1.29
    try:
        body(sys.argv[1:])
    except StepFailure as failure:
        print(f"{ERROR_PREFIX}{failure}", file=sys.stderr)
        sys.exit(failure.exit_code)
    except ModuleNotFoundError as missing:
        what = f"this step needs the package {missing.name!r}"
        print(f"{ERROR_PREFIX}{what}; install it with: pip install 'edgebuild[yolo]'", file=sys.stderr)
        sys.exit(EXIT_MISSING)
    sys.exit(0)


def progress(done: int, total: int, what: str) -> None:
    """Tell the terminal how far the step is: ``done`` of ``total`` ``what``."""
    print(f"{PROGRESS_PREFIX}{done}/{total} {what}", flush=True)


def report_finding(name: str, message: str, *, hint: str = "", level: str = "warning") -> None:
    """Tell the user of something that is no failure: it goes to the terminal and into every report.

    Args:
        name: A slug for the kind of finding, such as ``calibration-shift``.
        message: What was found, in one line.
        hint: What to do about it.
        level: ``note``, ``warning`` or ``error``.
    """
    row = {"id": name, "level": level, "message": message, "hint": hint}
    print(f"{FINDING_PREFIX}{json.dumps(row, sort_keys=True)}", flush=True)


def write_json(path: str | Path, document: Any) -> None:
    """Write a document with sorted keys and a final newline, so that equal content is equal bytes."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON document that another step wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
