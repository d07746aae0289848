"""What edgebuild adds to the work itself: a build from nothing with trivial bodies, two actions at once.

python benchmarks/cold.py --work FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from common import Command, Row, at_most, interleaved, main
from fleet import actions
from setups import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODELS, TARGETS = 10, 10


def rows(work: Path, peers: Path | None) -> Iterator[Row]:
    """Measure, and yield the rows of the table."""
    del peers
    yield from _body(work, "", "builtins of sh")
    yield from _body(work, sys.executable, "an empty Python")


def _body(work: Path, python: str, named: str) -> Iterator[Row]:
    """Measure with one kind of body.

    Args:
        work: Where folders are made.
        python: The interpreter, for bodies in Python.
        named: What the table calls the body.
    """
    fleet = Fleet(work, MODELS, TARGETS)
    ours = _with(fleet.edgebuild().cold(), BENCH_BODY="python" if python else "sh")
    doit = _with(_cleaned(fleet, fleet.doit("json", "-n", "2")), BENCH_PYTHON=python)
    found = interleaved([ours, _cleaned(fleet, fleet.plain(python)), doit])
    built, plain, theirs = found["edgebuild"], found["plain"], found["doit (json)"]
    each = 1000 * (built.median - plain.median) / actions(MODELS, TARGETS)
    yield Row(
        what=f"cold build, 10x10, -j 2, {named}: overhead per action over the same commands from xargs -P 2",
        limit="at most 15 ms",
        measured=f"{each:.1f} ms",
        met=each <= 15,
        medians=f"edgebuild {built}, xargs {plain}",
    )
    what = f"cold build, 10x10, -j 2, {named}: edgebuild / doit -n 2 with the same commands"
    yield at_most(what, 1.3, built, theirs, ("edgebuild", "doit"))


def _with(command: Command, **variables: str) -> Command:
    return replace(command, env={**command.env, **variables})


def _cleaned(fleet: Fleet, command: Command) -> Command:
    return replace(command, before=partial(fleet.clean, command.cwd))


if __name__ == "__main__":
    main(rows)
