"""Kill runs at random instants, cut the last write short, and look whether the next run copes by itself.

The engine, the store, the records and the command line are the real ones; only each action's body is
trivial (``benchmarks/trivial_run.py``), so that hundreds of kills take minutes.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.fleet import write_fleet
from edgebuild.cache.store import beside

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

KILLS = 200
SEED = 20
TARGETS = 3
CUTS = 0.25
"""Share of kills after which the newest file of the store or the workspace's state is cut short."""


def environment(cache: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(cache.parent),
        "PYTHONPATH": str(ROOT),
        "EDGEBUILD_CACHE": str(cache),
        "EDGEBUILD_WORKER": "off",
    }


def start(folder: Path, cache: Path) -> subprocess.Popen[bytes]:
    program = ROOT / "benchmarks" / "trivial_run.py"
    return subprocess.Popen(
        [sys.executable, str(program), "run", "m00.yaml", "-j", "2", "--quiet"],
        cwd=folder,
        env=environment(cache),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(folder: Path, cache: Path) -> None:
    with start(folder, cache) as process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()


def shipped(folder: Path) -> dict[str, bytes]:
    """Everything users get, but for the report, which tells of the run."""
    found = {}
    for top in ("build", "dist"):
        for path in sorted((folder / top).rglob("*")):
            if path.is_file() and not path.name.startswith("report."):
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def files(*folders: Path) -> Iterator[tuple[float, Path]]:
    for folder in folders:
        for path in folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink() and "locks" not in path.parts:
                    yield path.stat().st_mtime, path


def cut_newest(dice: random.Random, *folders: Path) -> None:
    """Do what a power cut does to the last write: keep only a part of it."""
    newest = max(files(*folders), default=(0.0, None))[1]
    if newest is not None:
        newest.chmod(0o644)
        with newest.open("r+b") as stream:
            stream.truncate(dice.randrange(newest.stat().st_size + 1))


@pytest.mark.slow
def test_killed_at_random_instants_a_run_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    undisturbed = tmp_path / "undisturbed"
    write_fleet(undisturbed, 1, TARGETS)
    began = time.monotonic()
    finish(undisturbed, tmp_path / "undisturbed-cache")
    longest = time.monotonic() - began
    expected = shipped(undisturbed)
    assert len(expected) > TARGETS

    kills = rounds = 0
    while kills < KILLS:
        folder, cache = tmp_path / f"round{rounds}", tmp_path / f"cache{rounds}"
        write_fleet(folder, 1, TARGETS)
        rounds += 1
        for _ in range(25):
            process = start(folder, cache)
            try:
                process.wait(timeout=dice.uniform(0.05, 1.0) * longest)
            except subprocess.TimeoutExpired:
                kills += 1
                os.kill(process.pid, signal.SIGKILL)
                if dice.random() < CUTS:
                    process.wait()
                    cut_newest(dice, cache, folder / ".edgebuild")
            assert process.stdout is not None
            process.wait()
            process.stdout.close()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL
        finish(folder, cache)
        assert shipped(folder) == expected, f"after {kills} kills, in round {rounds}"
    assert kills >= KILLS


def test_what_a_run_left_that_was_killed_while_it_copied_is_gone_after_the_next(tmp_path: Path) -> None:
    """The store's contract says where such a file lies; hitting the instant by chance takes hours."""
    folder, cache = tmp_path / "fleet", tmp_path / "cache"
    write_fleet(folder, 1, TARGETS)
    finish(folder, cache)
    expected = shipped(folder)
    for name in expected:
        place = folder / name
        if place.suffix == ".gz" or place.name == "model.bin":
            beside(place).write_bytes(place.read_bytes()[:10])
            place.unlink()
    assert shipped(folder) != expected
    finish(folder, cache)
    assert shipped(folder) == expected
