from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgebuild.action import ActionKey, ActionResult, Artifact, Outcome
from edgebuild.cache.uses import Use, fold, note_run, read_uses, register, workspaces
from edgebuild.digest import digest_bytes

if TYPE_CHECKING:
    from pathlib import Path

ARTIFACT = Artifact(role="out", digest=digest_bytes(b"x"), size=1)


def key(letter: str) -> ActionKey:
    return ActionKey(letter * 64)


def results(letters: str) -> list[ActionResult]:
    return [
        ActionResult(id=one, outcome=Outcome.CURRENT, key=key(one), artifacts=(ARTIFACT,)) for one in letters
    ]


def noted(root: Path, journal: Path, letters: str, at: float) -> Use:
    """Note a run as of some time."""
    before = {run.path for run in read_uses(root).runs}
    note_run(root, journal, results(letters))
    new = [run for run in read_uses(root).runs if run.path not in before]
    path = new[0].path
    os.utime(path, (at, at))
    return next(run for run in read_uses(root).runs if run.path == path)


def test_a_run_is_noted_with_its_keys_and_its_workspace(tmp_path: Path) -> None:
    journal = tmp_path / "w" / "journal.jsonl"
    note_run(tmp_path, journal, results("ab"))
    (run,) = read_uses(tmp_path).runs
    assert run.journal == journal
    assert run.keys == {key("a"), key("b")}
    assert list(workspaces(tmp_path).values()) == [journal]


def test_what_failed_was_not_used(tmp_path: Path) -> None:
    failed = ActionResult(id="a", outcome=Outcome.FAILED, key=key("a"))
    note_run(tmp_path, tmp_path / "journal.jsonl", [failed])
    assert not read_uses(tmp_path).runs
    assert not (tmp_path / "uses").exists()


def test_an_equal_run_only_sets_the_date(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    run = noted(tmp_path, journal, "ab", at=1000)
    inode = run.path.stat().st_ino
    note_run(tmp_path, journal, results("ba"))
    (again,) = read_uses(tmp_path).runs
    assert again.path.stat().st_ino == inode
    assert again.at > 1_000_000
    assert list((tmp_path / "uses").iterdir()) == [run.path]


def test_the_last_use_of_a_key_is_its_latest(tmp_path: Path) -> None:
    noted(tmp_path, tmp_path / "one", "ab", at=1000)
    noted(tmp_path, tmp_path / "two", "bc", at=3000)
    noted(tmp_path, tmp_path / "one", "b", at=2000)
    assert read_uses(tmp_path).times() == {key("a"): 1000, key("b"): 3000, key("c"): 3000}


def test_the_last_runs_are_those_of_every_workspace(tmp_path: Path) -> None:
    one = [noted(tmp_path, tmp_path / "one", letter, at=at) for letter, at in (("a", 1), ("b", 3), ("c", 2))]
    two = noted(tmp_path, tmp_path / "two", "d", at=0)
    assert set(read_uses(tmp_path).last(2)) == {one[1], one[2], two}
    assert read_uses(tmp_path).last(0) == ()


def test_folding_forgets_runs_and_no_time(tmp_path: Path) -> None:
    journal = tmp_path / "one"
    for letters, at in (("ab", 1000), ("bc", 2000), ("cd", 3000)):
        noted(tmp_path, journal, letters, at=at)
    uses = read_uses(tmp_path)
    before = uses.times()
    fold(tmp_path, uses, kept=uses.last(1), keys=set(before))
    folded = read_uses(tmp_path)
    assert folded.times() == before
    assert [run.at for run in folded.runs] == [3000]
    fold(tmp_path, folded, kept=(), keys={key("d")})
    assert read_uses(tmp_path).times() == {key("d"): 3000}


def test_a_run_that_came_to_the_same_during_the_folding_stays(tmp_path: Path) -> None:
    noted(tmp_path, tmp_path / "one", "a", at=1000)
    uses = read_uses(tmp_path)
    note_run(tmp_path, tmp_path / "one", results("a"))
    fold(tmp_path, uses, kept=(), keys={key("a")})
    assert len(read_uses(tmp_path).runs) == 1


def test_torn_and_strange_files_are_none(tmp_path: Path) -> None:
    run = noted(tmp_path, tmp_path / "one", "a", at=1000)
    whole = run.path.read_bytes()
    run.path.write_bytes(whole[:-1])
    (tmp_path / "uses" / ".unfinished").write_bytes(whole)
    (tmp_path / "uses" / "folded.json").write_text("[1]", encoding="utf-8")
    found = read_uses(tmp_path)
    assert found.runs == ()
    assert found.folded == {}
    (tmp_path / "workspaces" / ("ab" * 32)).write_text("/elsewhere", encoding="utf-8")
    assert list(workspaces(tmp_path).values()) == [tmp_path / "one"]


def test_a_store_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "uses").write_text("in the way", encoding="utf-8")
    (tmp_path / "workspaces").write_text("in the way", encoding="utf-8")
    note_run(tmp_path, tmp_path / "one", results("a"))
    register(tmp_path, tmp_path / "one")
    assert read_uses(tmp_path).runs == ()
    assert workspaces(tmp_path) == {}
