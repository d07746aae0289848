"""``edgebuild`` with a trivial body for every action: the whole engine, without the work.

Keys, scratch directories, checks, store, records and reports are the real ones; only the process that an
action starts is ``peers/body.sh``. So a genuine ``edgebuild run`` afterwards finds everything current.
``BENCH_BODY=python`` makes it ``peers/body.py``; with ``BENCH_BODY=inside`` no process starts at all, which
sets up a large fleet more quickly.

    python benchmarks/trivial_run.py run m00.yaml -j 2
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.cli.entry import main
from edgebuild.perform import attempt
from edgebuild.process.execute import Execution

if TYPE_CHECKING:
    from edgebuild.action import Action

PEERS = Path(__file__).resolve().parent / "peers"

_REAL = attempt._start  # noqa: SLF001 - the one place where an action's process begins


def trivial(action: Action) -> Action:
    """Return the action with the trivial body as its command."""
    first = action.inputs[0]
    source = f"in/{first.role}/{getattr(first, 'name', '')}"
    outputs = [f"out/{output.path}" for output in action.outputs]
    python = os.environ.get("BENCH_BODY") == "python"
    body = ("python", str(PEERS / "body.py")) if python else ("sh", str(PEERS / "body.sh"))
    return replace(action, argv=(*body, action.id, source, *outputs))


def _start(action: Action, *_served: Any, scratch: Path, **rest: Any) -> Any:
    if os.environ.get("BENCH_BODY") != "inside":
        return _REAL(trivial(action), scratch=scratch, **rest)  # no warm worker: it knows only real steps
    _, _, word, source, *outputs = trivial(action).argv
    line = (scratch / source).read_text(encoding="utf-8").partition("\n")[0].removesuffix('"}')
    for place in outputs:
        magic = b"\x1f\x8b" if place.endswith(".tar.gz") else b""
        text = f'{line} {word} {place.rpartition("/")[2]}"}}\n'
        (scratch / place).write_bytes(magic + text.encode())
    return Execution(exit_code=0, timed_out=False, interrupted=False, seconds=0.0)


if __name__ == "__main__":
    setattr(attempt, "_start", _start)  # noqa: B010 - type checkers would want all of its parameters
    os.environ["EDGEBUILD_WORKER"] = "off"  # it would load packages for steps that never run
    sys.exit(main())
