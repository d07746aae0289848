"""What it costs when there is nothing to do, or little: edgebuild, the floor, and the peers.

python benchmarks/noop.py --work FOLDER --peers FOLDER
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from common import (
    HERE,
    Command,
    Row,
    Sample,
    at_most,
    edgebuild,
    environment,
    fresh,
    interleaved,
    main,
    once,
)
from fleet import set_level
from setups import EdgebuildFleet, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAZY = ("jsonschema", "jinja2", "doit", "rich.live", "numpy", "yaml", "argparse")
"""Modules that a run with nothing to do must not load (the last two: it does not need them either)."""


def rows(work: Path, peers: Path | None) -> Iterator[Row]:
    """Measure, and yield the rows of the table."""
    small = Fleet(work, 10, 10)
    built = small.edgebuild()
    built.build()
    yield from _small(small, built, peers)
    yield _imports(built)
    yield _help(work)
    yield from _changed(built, "10x10")
    yield from _large(work)


def _small(small: Fleet, built: EdgebuildFleet, peers: Path | None) -> Iterator[Row]:
    commands = [built.idle(), built.floor(), _built(small.doit("json")), _built(small.doit("dbm"))]
    if peers is not None:
        commands += [_built(small.snakemake(peers)), _built(small.dvc(peers)), _olive(small.work, peers)]
    found = interleaved(commands)
    ours = found["edgebuild"]
    what = "nothing to do, 10x10 (530 actions): edgebuild / "
    bars = {
        "doit (json)": 0.45,
        "doit (dbm)": 0,
        "Snakemake": 1 / 15,
        "DVC": 1 / 150,
        "Olive": 1 / 150,
        "floor": 2.5,
    }
    for name, limit in bars.items():
        if name not in found:
            yield Row(what=f"{what}{name}", measured="not installed")
        elif limit:
            one = ", one model, one pass" if name == "Olive" else ""
            yield at_most(f"{what}{name}{one}", limit, ours, found[name], ("edgebuild", name))
        else:
            yield told(f"{what}{name}", ours, found[name], ("edgebuild", name))


def _large(work: Path) -> Iterator[Row]:
    large = Fleet(work, 10, 100)
    built = large.edgebuild()
    built.build()
    found = interleaved([built.idle(), built.floor(), _built(large.doit("json"))])
    ours = found["edgebuild"]
    what = "nothing to do, 10x100 (5,030): edgebuild / "
    yield at_most(f"{what}doit (json)", 0.6, ours, found["doit (json)"], ("edgebuild", "doit"))
    yield told(f"{what}floor", ours, found["floor"], ("edgebuild", "floor"))
    yield from _changed(built, "10x100")
    yield from _huge(work, built)


def _huge(work: Path, large: EdgebuildFleet) -> Iterator[Row]:
    huge = Fleet(work, 100, 100).edgebuild()
    huge.build()
    found = interleaved([large.idle("5,030"), huge.idle("50,300"), huge.floor()])
    ratio = found["50,300"].median / (10 * found["5,030"].median)
    medians = f"5,030: {found['5,030']}, 50,300: {found['50,300']}, floor {found['floor']}"
    yield Row(
        what="nothing to do, 100x100 (50,300): edgebuild / 10 times its own 5,030",
        limit="at most 1.2x",
        measured=f"{ratio:.2f}x",
        met=ratio <= 1.2,
        medians=medians,
    )
    full = interleaved([replace(huge.full(), rounds=2)], warm=False)["edgebuild, full path"]
    for name, sample in (("nothing to do", found["50,300"]), ("nothing to do, full path", full)):
        yield Row(
            what=f"{name}, 100x100: peak resident size",
            limit="under 1 GB",
            measured=f"{sample.peak:.0f} MB",
            met=sample.peak < 1000,
            medians=str(sample),
        )


def _changed(built: EdgebuildFleet, size: str) -> Iterator[Row]:
    """Measure the full path: with nothing to do, and with one target's option changed (5 actions run)."""
    numbers = itertools.count(1)
    first = built.root / built.fleet.names[0]
    argv = [sys.executable, str(HERE / "trivial_run.py"), *built.idle().argv[3:]]
    change = Command(
        name="change",
        argv=argv,
        cwd=built.root,
        env=built.env,
        before=lambda: set_level(first, 0, next(numbers)),
    )
    found = interleaved([built.full(), change])
    for name, what in (
        ("edgebuild, full path", "nothing to do, full path"),
        ("change", "one option changed, 5 actions run"),
    ):
        yield Row(what=f"{what}, {size}", measured=str(found[name]), medians="")
    built.settle()


def _imports(built: EdgebuildFleet) -> Row:
    """Return what of the heavy modules a run with nothing to do loads."""
    words = [*built.idle().argv]
    words[1:1] = ["-X", "importtime"]
    text = subprocess.run(
        words, cwd=built.root, env=built.env, capture_output=True, text=True, check=True
    ).stderr
    loaded = {
        line.rpartition("|")[2].strip() for line in text.splitlines() if line.startswith("import time:")
    }
    found = [name for name in LAZY if name in loaded]
    return Row(
        what=f"modules that nothing to do loads, of {', '.join(LAZY)}",
        limit="none",
        measured=", ".join(found) or "none",
        met=not found,
        medians=f"{len(loaded)} modules in all",
    )


def _help(work: Path) -> Row:
    root = fresh(work / "help")
    env = environment(root)
    found = interleaved(
        [
            Command(name="--help", argv=edgebuild("--help"), cwd=root, env=env, rounds=21),
            Command(name="pass", argv=[sys.executable, "-c", "pass"], cwd=root, env=env, rounds=21),
        ]
    )
    return at_most(
        "help of the command line / `python -c pass`", 3, found["--help"], found["pass"], ("--help", "pass")
    )


def _olive(work: Path, peers: Path) -> Command:
    root = fresh(work / "olive")
    python = str(peers / "olive/bin/python")
    subprocess.run([python, str(HERE / "peers" / "olive_workspace.py"), str(root)], check=True)
    argv = [str(peers / "olive/bin/olive"), "run", "--config", "olive.json"]
    return _built(Command(name="Olive", argv=argv, cwd=root, env=environment(root), rounds=3))


def _built(command: Command) -> Command:
    """Return the command after it has done its work once; the warm-up of a measurement is one more."""
    once(command, Sample())
    return command


def told(what: str, ours: Sample, theirs: Sample, names: tuple[str, str]) -> Row:
    """Return the row of a ratio that has no bar."""
    medians = f"{names[0]} {ours}, {names[1]} {theirs}"
    return Row(what=what, measured=f"{ours.median / theirs.median:.2f}x", medians=medians)


if __name__ == "__main__":
    main(rows)
