"""Ended in the middle by Ctrl-C, SIGTERM, kill -9 or a full disk: nothing goes on, the next run completes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.workspace import finish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

CHANGE = ("--set", "targets.chip.options.level=6")


def _run_until_it_hangs(w: Workspace, *words: str) -> subprocess.Popen[str]:
    w.tool_mode("hang")
    process = w.start("run", "manifest.yaml", *CHANGE, *words)
    log = w.folder / ".edgebuild/shelf/logs/chip.compile.log"
    _wait_for(lambda: log.exists() and "hanging" in log.read_text(encoding="utf-8"))
    assert len(w.processes()) >= 2  # the tool and its grandchild
    return process


def _wait_for(what: object, seconds: float = 300) -> None:
    assert callable(what)
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_everything_and_the_next_run_completes(
    built: Workspace, number: signal.Signals, code: int
) -> None:
    packages = sorted((built.folder / "dist").rglob("*.tar.gz"))
    assert packages
    process = _run_until_it_hangs(built, "--json", "-j", "1" if number == signal.SIGINT else "2")
    process.send_signal(number)
    done = finish(process, within=120)
    assert done.code == done.json()["exit_code"] == code
    assert "finished actions are kept" in done.err
    assert "Traceback" not in done.err
    assert not built.processes()
    assert not list((built.cache / "scratch").iterdir())
    assert sorted((built.folder / "dist").rglob("*.tar.gz")) == packages
    built.tool_mode("ok")
    again = built.run(*CHANGE)
    assert again.code == 0
    assert again.ran == {"chip/compile", "chip/package"}


def test_a_second_signal_does_not_wait(built: Workspace) -> None:
    process = _run_until_it_hangs(built)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)  # the tool ignores SIGTERM; its three seconds of grace have begun
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert finish(process, within=120).code == 130
    assert time.monotonic() - started < 2.5
    assert not built.processes()


def test_killed_without_warning_the_next_run_completes(built: Workspace) -> None:
    process = _run_until_it_hangs(built)
    process.kill()
    finish(process)
    for orphan in built.processes():  # what it started is not ours any more
        os.kill(orphan, signal.SIGKILL)
    built.tool_mode("ok")
    again = built.run(*CHANGE)
    assert again.code == 0, again.done.err
    assert again.ran == {"chip/compile", "chip/package"}
    assert not list((built.cache / "scratch").iterdir())  # what the killed run left is swept


def test_killed_during_a_build_from_nothing_keeps_what_was_done(built: Workspace) -> None:
    shutil.rmtree(built.cache)
    process = built.start("run", "manifest.yaml", "int8/quantize", "-j", "1")
    _wait_for(lambda: any((built.cache / "actions").rglob("*.json")))
    process.kill()
    finish(process)
    _wait_for(lambda: not built.processes())
    again = built.run("int8/quantize")
    assert again.code == 0, again.done.err
    assert again.ran
    assert again.ids("current")
    assert len(again.document["actions"]) == 5


def test_two_runs_at_once_share_the_work(built: Workspace) -> None:
    change = ("--set", "targets.chip.options.level=7")
    first, second = (
        built.start("run", "manifest.yaml", *change, "--json"),
        built.start("run", "manifest.yaml", *change, "--json"),
    )
    done = [finish(first), finish(second)]
    assert [one.code for one in done] == [0, 0], done
    outcomes = [
        next(row["outcome"] for row in one.json()["actions"] if row["id"] == "chip/compile") for one in done
    ]
    assert outcomes.count("ran") == 1


def test_two_runs_at_once_with_different_options_do_not_disturb_each_other(built: Workspace) -> None:
    built.tool_mode("slow")
    first = built.start("run", "manifest.yaml", "chip/compile", "--set", "targets.chip.options.level=6")
    log = built.folder / ".edgebuild/shelf/logs/chip.compile.log"
    _wait_for(lambda: log.exists() and "--level 6" in log.read_text(encoding="utf-8"))
    second = built.start("run", "manifest.yaml", "chip/compile", "--set", "targets.chip.options.level=7")
    done = [finish(first), finish(second)]
    assert [one.code for one in done] == [0, 0], done


def test_a_full_disk_is_said_in_one_line_and_loses_nothing(built: Workspace) -> None:
    with _small_disk(built) as small:
        ran = small.run(*CHANGE)
        assert ran.code == 8, ran.done.err
        assert "no space left" in ran.done.err
        assert "EDGEBUILD_CACHE" in ran.done.err
        assert "Traceback" not in ran.done.err
        (small.cache / "filler").unlink()
        again = small.run(*CHANGE)
        assert again.code == 0, again.done.err
        assert again.ran == {"chip/compile", "chip/package"}


def test_a_step_that_meets_a_full_disk_is_no_fault_of_the_step(built: Workspace) -> None:
    with _small_disk(built) as small:
        ran = small.run("export", "--force")
        assert ran.code == 8, ran.done.err
        assert "no space left" in ran.done.err


def test_a_cache_that_cannot_be_written(built: Workspace) -> None:
    elsewhere = replace(built, cache=built.cache / "CACHEDIR.TAG" / "below-a-file")
    (built.cache / "CACHEDIR.TAG").write_text("a file\n", encoding="utf-8")
    ran = elsewhere.run()
    assert ran.code == 8
    assert "CACHEDIR.TAG" in ran.done.err
    assert "Traceback" not in ran.done.err


@contextmanager
def _small_disk(built: Workspace) -> Iterator[Workspace]:
    """Give the workspace a cache on a disk of its own that is full but for a few bytes."""
    place = built.folder.parent / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mounted.stderr.strip()}")
    try:
        small = replace(built, cache=place / "cache")
        shutil.copytree(built.cache, small.cache)
        _fill(small.cache / "filler", place)
        yield small
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _fill(file: Path, place: Path) -> None:
    left = shutil.disk_usage(place).free - 600_000
    file.write_bytes(bytes(left))
