from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgebuild.action import ActionKey
from edgebuild.cache.journal import Journal
from edgebuild.cache.leases import Lease, LeasedCache, live_leases
from edgebuild.cache.uses import workspaces
from edgebuild.errors import StoreError

KEYS = [ActionKey(letter * 64) for letter in "abc"]


def claims(root: Path) -> set[str]:
    (lease,) = live_leases(root)
    assert lease.claims is not None
    return set(lease.claims)


def files(root: Path) -> list[str]:
    return [path.name for path in (root / "leases").iterdir()]


def test_a_claim_can_be_read_at_once(tmp_path: Path) -> None:
    lease = Lease(tmp_path, tmp_path / "journal.jsonl")
    assert not (tmp_path / "leases").exists()
    lease.claim(KEYS[0])
    assert claims(tmp_path) == {KEYS[0]}
    lease.claim(KEYS[1])
    lease.claim(KEYS[0])
    assert claims(tmp_path) == {KEYS[0], KEYS[1]}
    (found,) = live_leases(tmp_path)
    assert found.pid == os.getpid()
    assert found.workspace == str(tmp_path / "journal.jsonl")


def test_the_last_keys_of_the_workspace_are_claimed_in_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for action, key in zip("xyz", KEYS, strict=True):
        journal.note(action, key)
    writes: list[int] = []
    write = os.write

    def counted(descriptor: int, data: bytes) -> int:
        writes.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr("edgebuild.cache.leases.os.write", counted)
    lease = Lease(tmp_path, tmp_path / "journal.jsonl")
    for key in KEYS:
        lease.claim(key)
    assert len(writes) == 1
    assert claims(tmp_path) == set(KEYS)
    assert list(workspaces(tmp_path).values()) == [tmp_path / "journal.jsonl"]


def test_a_lease_that_was_given_back_is_gone_and_can_be_taken_again(tmp_path: Path) -> None:
    lease = Lease(tmp_path, tmp_path / "journal.jsonl")
    lease.close()
    lease.claim(KEYS[0])
    lease.close()
    lease.close()
    assert files(tmp_path) == []
    lease.claim(KEYS[1])
    assert claims(tmp_path) == {KEYS[1]}


def test_it_ends_with_whoever_has_it(tmp_path: Path) -> None:
    cache = LeasedCache(tmp_path, tmp_path / "journal.jsonl")
    assert cache.lookup(KEYS[0]) is None
    assert len(files(tmp_path)) == 1
    del cache
    gc.collect()
    assert files(tmp_path) == []


def test_it_ends_with_the_process(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from edgebuild.cache.leases import Lease; root = pathlib.Path(sys.argv[1])\n"
        "lease = Lease(root, root / 'journal.jsonl'); lease.claim('x')\n"
        "print(len(list(root.glob('leases/*'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
    assert files(tmp_path) == []


def test_a_process_that_it_started_does_not_hold_it(tmp_path: Path) -> None:
    lease = Lease(tmp_path, tmp_path / "journal.jsonl")
    lease.claim(KEYS[0])
    child = subprocess.Popen(["sleep", "60"])
    try:
        (path,) = (tmp_path / "leases").iterdir()
        lease.close()
        path.touch()  # as if it had been killed before it could remove the file
        assert list(live_leases(tmp_path)) == []
    finally:
        child.kill()
        child.wait()


def test_what_dead_runs_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / "dead").write_text("{}\n", encoding="utf-8")
    Lease(tmp_path, tmp_path / "journal.jsonl").claim(KEYS[0])
    assert files(tmp_path) != ["dead"]


@pytest.mark.parametrize("text", ["", "torn", "[]\n", '{"pid": "x"}\n', "{}\n"])
def test_a_live_lease_that_cannot_be_understood_claims_everything(tmp_path: Path, text: str) -> None:
    lease = Lease(tmp_path, tmp_path / "journal.jsonl")
    lease.claim(KEYS[0])
    (path,) = (tmp_path / "leases").iterdir()
    path.write_text(text, encoding="utf-8")
    (found,) = live_leases(tmp_path)
    assert found.claims is None


def test_a_torn_last_line_claims_nothing_yet(tmp_path: Path) -> None:
    """A run looks only after its write has returned, so it has not looked."""
    lease = Lease(tmp_path, tmp_path / "journal.jsonl")
    lease.claim(KEYS[0])
    (path,) = (tmp_path / "leases").iterdir()
    with path.open("a", encoding="utf-8") as stream:
        stream.write(KEYS[1][:60])
    assert claims(tmp_path) == {KEYS[0]}


def test_where_nothing_can_be_written_there_is_no_lease_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edgebuild.cache.leases.held", refuse)
    lease = Lease(tmp_path, tmp_path / "journal.jsonl")
    lease.claim(KEYS[0])
    lease.claim(KEYS[1])
    lease.close()
    assert not (tmp_path / "leases").exists()


def test_a_lease_that_cannot_be_made_for_another_reason_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "leases").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError):
        Lease(tmp_path, tmp_path / "journal.jsonl").claim(KEYS[0])
