"""Write what a search came to: ``python -m edgebuild.steps.choose``.

The measurements were made before, each as an action of its own; they arrive as one rendered file. A search
that found nothing within its limits fails here, and says what can be reached.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgebuild.steps._step import fail, read_json, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> None:
    """Read the arguments and write the choice, the ranges that it was made with, and the whole search."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.choose", description=__doc__)
    parser.add_argument("--settings", required=True, help="what was searched for")
    parser.add_argument("--probes", required=True, help="what was measured")
    parser.add_argument("--choice", required=True, help="where to write what was chosen")
    parser.add_argument("--ranges", required=True, help="where to write the ranges that go with it")
    parser.add_argument("--search", required=True, help="where to write everything")
    arguments = parser.parse_args(argv)
    found = read_json(arguments.probes)
    if "search" not in found:
        fail(f"{arguments.probes}: holds no measurement",
             hint="a search is driven by `edgebuild run`, which fills this file in")  # fmt: skip
    if "choice" not in found:
        fail(found["failure"], hint=found["hint"])
    write_json(arguments.choice, found["choice"])
    write_json(arguments.ranges, found["ranges"])
    write_json(arguments.search, found["search"])


if __name__ == "__main__":
    run_step(main)
