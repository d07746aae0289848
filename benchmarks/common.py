"""What every benchmark shares: start commands in turn, take medians, and write rows of a table."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
ROUNDS = 7


@dataclass(frozen=True, kw_only=True)
class Command:
    """One thing to measure.

    Attributes:
        name: What the table calls it.
        before: Called before each start, outside the measured time.
        rounds: In how many of the rounds it takes part; slow peers in fewer.
    """

    name: str
    argv: Sequence[str]
    cwd: Path
    env: dict[str, str]
    before: Callable[[], object] | None = None
    rounds: int = ROUNDS


@dataclass(kw_only=True)
class Sample:
    """What was measured of a command."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median wall time in seconds."""
        return statistics.median(self.seconds)

    @property
    def peak(self) -> float:
        """Greatest resident size of the process itself, in MB (10^6 bytes)."""
        return max(self.peak_mb)

    def __str__(self) -> str:
        """Median wall and CPU time, and of how many runs when there were fewer than usual."""
        few = f", {len(self.seconds)} runs" if len(self.seconds) < ROUNDS else ""
        return f"{spell(self.median)} (CPU {spell(statistics.median(self.cpu))}{few})"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        what: What is compared.
        limit: The bar in words.
        measured: The figure that the bar is about, in words.
        met: Whether it holds; None where it is only told.
        medians: Absolute figures, in words.
    """

    what: str
    limit: str = ""
    measured: str
    met: bool | None = None
    medians: str = ""

    def __str__(self) -> str:
        """Return the row in Markdown."""
        met = "" if self.met is None else ("yes" if self.met else "**no**")
        return f"| {self.what} | {self.limit} | {self.measured} | {met} | {self.medians} |"


HEAD = "| what | bar | measured | met | medians |\n|---|---|---|---|---|"


def at_most(what: str, limit: float, measured: Sample, against: Sample, names: tuple[str, str]) -> Row:
    """Return the row of a ratio of wall times that may be at most so large."""
    ratio = measured.median / against.median
    bar = f"{limit:g}x" if limit >= 0.1 else f"1/{1 / limit:.0f}"
    shown = f"{ratio:.2f}x" if limit >= 0.1 else f"1/{1 / ratio:.0f}"
    medians = f"{names[0]} {measured}, {names[1]} {against}"
    return Row(what=what, limit=f"at most {bar}", measured=shown, met=ratio <= limit, medians=medians)


def spell(seconds: float) -> str:
    """Return a time in words: ``41 ms``, ``3.2 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def once(command: Command, sample: Sample) -> None:
    """Run a command to its end and note what it took.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    if command.before:
        command.before()
    log = command.cwd / ".bench.log"
    with log.open("wb") as sink:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.argv, cwd=command.cwd, env=command.env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command.name}: exit {process.returncode}\n{log.read_text()[-2000:]}")
    sample.seconds.append(seconds)
    sample.cpu.append(usage.ru_utime + usage.ru_stime)
    sample.peak_mb.append(usage.ru_maxrss * 1024 / 1e6)


def interleaved(commands: Sequence[Command], *, warm: bool = True) -> dict[str, Sample]:
    """Measure commands in turn, so that whatever else the machine does falls on all of them.

    Args:
        commands: What to measure.
        warm: Run each once before, unmeasured, so that files and bytecode are in memory.
    """
    samples = {command.name: Sample() for command in commands}
    for command in commands if warm else ():
        once(command, Sample())
    for turn in range(max(command.rounds for command in commands)):
        for command in commands:
            if turn < command.rounds:
                once(command, samples[command.name])
    return samples


def main(rows: Callable[[Path, Path | None], Iterable[Row]]) -> None:
    """Read the command line of one benchmark, measure, and print its table as it comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "edgebuild-benchmarks")
    parser.add_argument("--peers", type=Path, help="where peers/install.sh put the peers")
    given = parser.parse_args()
    print(f"{machine()}\n\n{HEAD}", flush=True)
    for row in rows(given.work.absolute(), given.peers.absolute() if given.peers else None):
        print(row, flush=True)


def environment(work: Path, **more: str) -> dict[str, str]:
    """Return the environment of every measured command; caches and state go below ``work``."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(work / "home"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(REPOSITORY),
        "EDGEBUILD_CACHE": str(work / "cache"),
        **more,
    }


def fresh(folder: Path) -> Path:
    """Return the folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "home").mkdir(parents=True)
    return folder


def edgebuild(*words: str) -> list[str]:
    """Return the command line of edgebuild."""
    return [sys.executable, "-m", "edgebuild", *words]


def machine() -> str:
    """Return the machine in words."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {cores} cores, {system}, Python {platform.python_version()}"
