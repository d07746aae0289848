"""What edgebuild adds to the work itself: a build from nothing with trivial bodies, two actions at once.

python benchmarks/cold.py --work FOLDER
"""

from __future__ import annotations

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
    fleet = Fleet(work, MODELS, TARGETS)
    doit = _cleaned(fleet, fleet.doit("json", "-n", "2"))
    threads = replace(_cleaned(fleet, fleet.doit("json", "-n", "2", "-P", "thread")), name="doit, threads")
    found = interleaved([fleet.edgebuild().cold(), _cleaned(fleet, fleet.plain()), doit, threads])
    ours, plain = found["edgebuild"], found["plain"]
    number = actions(MODELS, TARGETS)
    each = 1000 * (ours.median - plain.median) / number
    yield Row(
        what="cold build, 10x10, -j 2: overhead per action over the same commands from xargs -P 2",
        limit="at most 15 ms",
        measured=f"{each:.1f} ms",
        met=each <= 15,
        medians=f"edgebuild {ours}, xargs {plain}",
    )
    best = min((found["doit (json)"], found["doit, threads"]), key=lambda sample: sample.median)
    what = "cold build, 10x10, -j 2: edgebuild / doit -n 2 with the same commands"
    yield at_most(what, 1.3, ours, best, ("edgebuild", "doit"))


def _cleaned(fleet: Fleet, command: Command) -> Command:
    return replace(command, before=partial(fleet.clean, command.cwd))


if __name__ == "__main__":
    main(rows)
