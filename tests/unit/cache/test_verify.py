"""Every byte of a store is read again, whatever dates and memos say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edgebuild.cache import away
from edgebuild.cache.action_cache import ActionCache
from edgebuild.cache.files import Door
from edgebuild.cache.removal import alone
from edgebuild.cache.store import Store
from edgebuild.cache.verify import Verified, repair, verify
from edgebuild.digest import digest_bytes
from edgebuild.errors import StoreError
from tests.unit.storage import keys, put, put_blob, sound

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "what was put in"
DIGEST = digest_bytes(TEXT.encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path / "store", TEXT)
    put(tmp_path / "store", "another")
    return tmp_path / "store"


def kinds(found: Verified) -> list[str]:
    return sorted(one.kind for one in found.bad)


def damage(path: Path) -> None:
    """Change one byte and leave size and date as they are."""
    stat = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(b"W")
    path.chmod(0o444)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_sound_store(root: Path) -> None:
    found = verify(root)
    assert found == Verified(records=2, blobs=2, size=len(TEXT) + 7, bad=())


def test_an_empty_one_too(tmp_path: Path) -> None:
    assert verify(tmp_path) == Verified(records=0, blobs=0, size=0, bad=())


def test_one_byte_is_noticed_and_what_names_it_is_told(root: Path) -> None:
    damage(Store(root).blob(DIGEST))
    found = verify(root)
    assert kinds(found) == ["blob", "incomplete"]
    assert found.bad[0].name == DIGEST
    assert "damaged" in found.bad[1].what
    assert Store(root).blob(DIGEST).exists()


def test_a_short_blob(root: Path) -> None:
    path = Store(root).blob(DIGEST)
    path.chmod(0o644)
    os.truncate(path, 3)
    found = verify(root)
    assert kinds(found) == ["blob", "incomplete"]
    assert "has 3 bytes, not 15" in found.bad[1].what


def test_a_missing_blob_unless_a_remote_has_it(root: Path) -> None:
    Store(root).blob(DIGEST).unlink()
    found = verify(root)
    assert kinds(found) == ["incomplete"]
    assert f"export: {DIGEST} is not there" == found.bad[0].what
    assert verify(root, lazy=True).bad == ()


def test_what_came_from_a_remote_cache_may_have_its_bytes_there(root: Path) -> None:
    key = put(root, TEXT)
    Store(root).blob(DIGEST).unlink()
    away.note(root, key, "https://example.com/cache")
    found = verify(root)
    assert (found.bad, found.elsewhere) == ((), 1)
    # What is here has to be sound all the same.
    put_blob(root, TEXT)
    damage(Store(root).blob(DIGEST))
    found = verify(root)
    assert (kinds(found), found.elsewhere) == (["blob", "incomplete"], 0)
    with alone(root):
        Door(root, pins_only=True).remove_records([key])
    assert away.where(root, key) == ""


def test_with_a_remote_a_damaged_blob_is_bad_and_its_record_is_not(root: Path) -> None:
    damage(Store(root).blob(DIGEST))
    assert kinds(verify(root, lazy=True)) == ["blob"]


@pytest.mark.parametrize("place", [0, 40, -2])
def test_a_damaged_record(root: Path, place: int) -> None:
    path = ActionCache(Store(root)).path(put(root, "third"))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    assert kinds(verify(root)) == ["record"]


def test_a_record_in_the_wrong_place(root: Path) -> None:
    path = ActionCache(Store(root)).path(put(root, "third"))
    path.rename(path.with_name(f"{'ab' * 31}.json"))
    assert kinds(verify(root)) == ["record"]


def test_a_blob_that_cannot_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> str:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("edgebuild.cache.verify.digest_file", fail)
    assert {one.what for one in verify(root).bad if one.kind == "blob"} == {
        "cannot be read: Input/output error"
    }


def test_what_is_removed_meanwhile_is_not_bad(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def removed(path: Path) -> str:
        path.unlink()
        for record in (root / "actions").rglob("*.json"):
            record.unlink()
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr("edgebuild.cache.verify.digest_file", removed)
    assert verify(root).bad == ()


def test_bytes_read_are_told_to_the_end(root: Path) -> None:
    told: list[tuple[int, int]] = []
    verify(root, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (len(TEXT) + 7, len(TEXT) + 7)


def test_a_repair_puts_all_of_it_aside_and_what_is_left_is_sound(root: Path) -> None:
    good = put(root, "good")
    damage(Store(root).blob(DIGEST))
    path = ActionCache(Store(root)).path(put(root, "third"))
    path.write_bytes(b"torn")
    found = verify(root)
    assert repair(root, found) == 3
    assert verify(root).bad == ()
    assert len(list((root / "quarantine").iterdir())) == 3
    assert good in keys(root)
    sound(root)


def test_a_repair_twice_is_one(root: Path) -> None:
    damage(Store(root).blob(DIGEST))
    found = verify(root)
    assert repair(root, found) == 2
    assert repair(root, found) == 0


def test_a_repair_waits_for_its_turn(root: Path) -> None:
    damage(Store(root).blob(DIGEST))
    found = verify(root)
    with alone(root), pytest.raises(StoreError, match="another process"):
        repair(root, found)


def test_bytes_that_nobody_names_are_read_too(root: Path) -> None:
    digest = put_blob(root, "loose")
    damage(Store(root).blob(digest))
    assert [one.name for one in verify(root).bad] == [digest]
