from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

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


def test_nobody_is_no_matter(tmp_path: Path) -> None:
    assert kill_inside(tmp_path) == 0
    assert kill_inside(tmp_path / "nothing") == 0
