from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import ActionKey, Artifact, Finding
from edgebuild.cache.action_cache import RECORD_SCHEMA, ActionCache, Record, parse_record
from edgebuild.cache.store import Store
from edgebuild.digest import digest_bytes, digest_text

if TYPE_CHECKING:
    from pathlib import Path

KEY = ActionKey("cd" * 32)
STRANGE = os.fsdecode(b"caf\xe9\n.jpg")


@pytest.fixture
def cache(tmp_path: Path) -> ActionCache:
    return ActionCache(Store(tmp_path / "store"))


def full_record() -> Record:
    digest = digest_bytes(b"x")
    return Record(
        key=KEY,
        artifacts=(
            Artifact(role="model", digest=digest, size=1),
            Artifact(
                role="data", digest=digest, size=2, tree=True, entries=(("a", digest, 1), ("b", digest, 1))
            ),
        ),
        findings=(Finding(id="slow", level="warning", message="falls back", hint="do not"),),
        document={"argv": ["x", STRANGE], "inputs": {}, "number": 1.5, "none": None},
        trees={"data": ((STRANGE, digest), ("z", digest))},
        seconds=1.25,
    )


def test_a_record_comes_back_as_it_was(cache: ActionCache) -> None:
    cache.record(full_record())
    assert cache.peek(KEY) == full_record()


def test_there_is_none_for_another_key(cache: ActionCache) -> None:
    cache.record(full_record())
    assert cache.peek(ActionKey("cd" * 31 + "00")) is None
    assert cache.lookup(ActionKey("00" * 32)) is None


def test_a_record_without_its_blobs_is_a_miss_but_can_be_explained(cache: ActionCache) -> None:
    cache.record(full_record())
    assert cache.lookup(KEY) is None
    assert cache.peek(KEY) is not None


class Away:
    """Another machine that has the full record."""

    address = "https://example.com/cache"

    def fetch_record(self, key: ActionKey) -> Record | None:
        return full_record() if key == KEY else None

    def fetch_artifact(self, artifact: Artifact) -> bool:
        raise NotImplementedError

    def offer(self, record: Record, action_id: str, *, repeatable: bool) -> None:
        raise NotImplementedError


def test_a_result_whose_bytes_are_elsewhere_is_told_from_a_lost_one(
    cache: ActionCache, tmp_path: Path
) -> None:
    damaged = "its stored output is missing or was damaged"
    cache.record(full_record())
    assert cache.lost(KEY) == damaged
    cache.connect(Away())
    assert cache.lookup(KEY) == full_record()
    later = ActionCache(Store(tmp_path / "store"))
    assert later.lookup(KEY) is None
    assert (
        later.lost(KEY)
        == "its bytes are in the remote cache https://example.com/cache, which is not connected"
    )
    later.record(full_record())  # made here meanwhile, and lost
    assert later.lost(KEY) == damaged


def test_every_single_flipped_bit_is_noticed(cache: ActionCache, tmp_path: Path) -> None:
    cache.record(full_record())
    path = next((tmp_path / "store" / "actions").rglob("*.json"))
    whole = path.read_bytes()
    for place in range(0, len(whole) - 1, 11):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert ActionCache(Store(tmp_path / "store")).peek(KEY) is None, place
        assert not path.exists()
    path.write_bytes(whole)
    assert cache.peek(KEY) == full_record()


def test_a_record_under_another_name_is_not_believed(cache: ActionCache, tmp_path: Path) -> None:
    cache.record(full_record())
    path = next((tmp_path / "store" / "actions").rglob("*.json"))
    path.rename(path.with_name("ef" * 31 + ".json"))
    assert cache.peek(ActionKey("cd" + "ef" * 31)) is None


def test_a_record_that_cannot_be_read_now_is_a_miss_and_stays(
    cache: ActionCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.record(full_record())

    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_bytes", fail)
        assert cache.peek(KEY) is None
    assert cache.peek(KEY) == full_record()
    assert not (tmp_path / "store" / "quarantine").exists()


def sealed(body: str) -> bytes:
    return f"{body}\n{digest_text(body)}\n".encode()


@pytest.mark.parametrize(
    "change", [{"trees": []}, {"artifacts": [[]]}, {"findings": 1}, {"schema": []}, {"key": {}}]
)
def test_a_sealed_record_of_another_shape_is_none(change: dict[str, Any]) -> None:
    body: dict[str, Any] = {"schema": RECORD_SCHEMA, "key": KEY, "artifacts": [], "findings": [], "trees": {}}
    body |= {"document": {}, "seconds": 1}
    assert parse_record(sealed(json.dumps(body)), KEY) is not None
    assert parse_record(sealed(json.dumps(body | change)), KEY) is None


def test_a_record_that_is_nested_without_end_is_none() -> None:
    assert parse_record(sealed("[" * 100_000), KEY) is None
