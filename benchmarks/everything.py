"""Every benchmark, as one table.

python benchmarks/everything.py --work FOLDER --peers FOLDER
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cold
import hashing
import noop
from common import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from common import Row


def rows(work: Path, peers: Path | None) -> Iterator[Row]:
    """Measure everything, and yield the rows of the table."""
    for benchmark in (hashing, cold, noop):
        yield from benchmark.rows(work, peers)


if __name__ == "__main__":
    main(rows)
