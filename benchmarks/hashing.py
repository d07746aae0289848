"""Hashing of large weights: as quick as one core can, and never again while nothing changed.

python benchmarks/hashing.py --work FOLDER
"""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from common import HERE, REPOSITORY, ROUNDS, Row, main
from setups import EdgebuildFleet, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE = 200_000_000


def rows(work: Path, peers: Path | None) -> Iterator[Row]:
    """Measure, and yield the rows of the table."""
    del peers
    sys.path.insert(0, str(REPOSITORY))
    built = Fleet(work, 1, 1).edgebuild()
    weights = built.root / "weights" / "m00.onnx"
    with weights.open("ab") as stream:
        stream.truncate(SIZE)
    yield _speed(weights)
    built.build()
    for name, command in (("", built.idle()), (", full path", built.full())):
        if command.before:
            command.before()
        yield _read(built, name, [*command.argv[3:]])


def _speed(weights: Path) -> Row:
    from edgebuild.digest import digest_file

    data = weights.read_bytes()
    ours: list[float] = []
    core: list[float] = []
    for _ in range(ROUNDS):
        ours.append(_timed(lambda: digest_file(weights)))
        core.append(_timed(lambda: hashlib.sha256(data).hexdigest()))
    speeds = [SIZE / statistics.median(times) / 1e6 for times in (ours, core)]
    ratio = speeds[0] / speeds[1]
    return Row(
        what="hashing 200 MB of weights: edgebuild / sha256 of one core over bytes in memory",
        limit="at least 0.9x",
        measured=f"{ratio:.2f}x",
        met=ratio >= 0.9,
        medians=f"{speeds[0]:.0f} MB/s, {speeds[1]:.0f} MB/s",
    )


def _read(built: EdgebuildFleet, name: str, words: list[str]) -> Row:
    """Return how much a run with nothing to do reads, and how often it opens the weights."""
    argv = [sys.executable, str(HERE / "opened.py"), *words]
    done = subprocess.run(argv, cwd=built.root, env=built.env, capture_output=True, text=True, check=True)
    opened = int(done.stderr.split()[-2])
    size = int(done.stderr.split()[-1]) / 1e6
    return Row(
        what=f"nothing to do{name}, 200 MB of weights: bytes read of all files together",
        limit="weights not read",
        measured=f"{size:.1f} MB",
        met=size < SIZE / 1e7,
        medians=f"weights opened {opened} times" + (", for a look at the first bytes" if opened else ""),
    )


def _timed(what: Callable[[], object]) -> float:
    """Return the wall time in seconds: while a chunk is hashed, another thread reads the next one."""
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(rows)
