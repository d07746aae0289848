from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from edgebuild.process.orphans import kill_inside
from tests.unit.workbench import alive, read_pid

if TYPE_CHECKING:
    from pathlib import Path


def test_only_what_works_inside_is_killed(tmp_path: Path) -> None:
    for name in ("mine/deep", "mine-too"):
        (tmp_path / name).mkdir(parents=True)
    script = "trap '' TERM; sh -c 'echo $$ > pid; exec sleep 60' & exec sleep 61"
    inside = subprocess.Popen(["sh", "-c", script], cwd=tmp_path / "mine" / "deep")
    beside = subprocess.Popen(["sleep", "60"], cwd=tmp_path / "mine-too")
    child = read_pid(tmp_path / "mine" / "deep" / "pid")
    assert kill_inside(tmp_path / "mine") >= 2
    assert inside.wait() == -9
    assert not alive(child)
    assert beside.poll() is None
    beside.kill()
    beside.wait()


def test_what_sees_the_directory_under_another_name_is_found(tmp_path: Path) -> None:
    mine, beside = tmp_path / "my own", tmp_path / "beside"
    for folder in (mine / "in", beside):
        folder.mkdir(parents=True)
    inside, other = (_contained(folder) for folder in (mine / "in", beside))
    try:
        assert kill_inside(mine) == 1
        assert inside.wait() == -9
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def _contained(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process with mounts of its own, a directory among them, and wait until it is so."""
    script = 'mount --bind "$0" /mnt && cd / && echo ready && exec sleep 60'
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(folder)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as said:
        ready = said.readline()
    if not ready:
        process.wait()
        pytest.skip("this machine lets nobody make a namespace of mounts")
    return process


def test_nobody_is_no_matter(tmp_path: Path) -> None:
    assert kill_inside(tmp_path) == 0
    assert kill_inside(tmp_path / "nothing") == 0


def test_without_a_mount_to_be_found_in_nobody_is_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a chroot the list of mounts has no root."""
    monkeypatch.setattr("edgebuild.process.orphans._mounts", lambda _: iter(()))
    assert kill_inside(tmp_path) == 0
