"""What goes from a real store, what stays, and what is said of it; live runs are in the contract tests."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionResult, Artifact, Outcome
from edgebuild.cache.action_cache import ActionCache
from edgebuild.cache.collect import Collected, Order, collect
from edgebuild.cache.files import Door
from edgebuild.cache.gc import EVERYTHING, Limits
from edgebuild.cache.journal import Journal
from edgebuild.cache.pins import Pin, add_pin
from edgebuild.cache.scan import scan_blobs, survey
from edgebuild.cache.store import Store
from edgebuild.cache.uses import note_run, read_uses, register, workspaces
from edgebuild.digest import digest_bytes, digest_text
from edgebuild.errors import StoreError
from tests.unit.storage import DAY, keys, put, put_blob, sound

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.action import ActionKey

MONTH = Order(limits=Limits(max_age=30 * DAY))
ALL = Order(limits=EVERYTHING)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def use(root: Path, journal: Path, *used: ActionKey, days: float = 0) -> None:
    """Note a run of a workspace some days ago, without a line in its journal."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.touch()
    before = {run.path for run in read_uses(root).runs}
    artifact = Artifact(role="out", digest=digest_bytes(b"x"), size=1)
    rows = [ActionResult(id=key, outcome=Outcome.RAN, key=key, artifacts=(artifact,)) for key in used]
    note_run(root, journal, rows)
    at = time.time() - days * DAY
    for run in read_uses(root).runs:
        if run.path not in before:
            os.utime(run.path, (at, at))


def paths(found: Collected) -> set[str]:
    return {one.path.name for one in found.garbage}


def test_a_store_that_is_not_there_holds_nothing_and_is_not_made(tmp_path: Path) -> None:
    found = collect(tmp_path / "none", ALL)
    assert (found.records, found.freed, found.left) == (0, 0, 0)
    assert not (tmp_path / "none").exists()


class TestRecords:
    def test_an_old_record_goes_with_its_blob_and_a_young_one_stays(self, root: Path) -> None:
        old, young = put(root, "old", days=31), put(root, "young", days=29)
        size = sum(path.stat().st_size for path in ActionCache(Store(root)).path(old).parent.iterdir())
        found = collect(root, MONTH)
        assert keys(root) == {young}
        assert found.records == 1
        assert found.blobs == {digest_bytes(b"old"): 3}
        assert found.freed == size + 3
        sound(root)

    def test_a_use_makes_young(self, root: Path, tmp_path: Path) -> None:
        one, other = put(root, "one", days=90), put(root, "other", days=90)
        use(root, tmp_path / "w" / "journal", one, days=3)
        use(root, tmp_path / "w" / "journal", one, other, days=60)
        use(root, tmp_path / "w" / "journal", one, days=3)
        collect(root, MONTH)
        assert keys(root) == {one}

    def test_a_blob_that_two_records_name_stays_with_the_second(self, root: Path) -> None:
        put(root, "same", key="aa" * 32, days=31)
        young = put(root, "same", key="bb" * 32)
        found = collect(root, MONTH)
        assert found.records == 1
        assert found.blobs == {}
        assert keys(root) == {young}
        sound(root)

    def test_a_blob_that_no_record_names_goes_also_without_limits(self, root: Path) -> None:
        key = put(root, "named", days=4000)
        put_blob(root, "loose")
        found = collect(root, Order(limits=Limits()))
        assert found.blobs == {digest_bytes(b"loose"): 5}
        assert keys(root) == {key}

    def test_a_size_holds_afterwards(self, root: Path) -> None:
        for index in range(8):
            put(root, f"{index}" * 1000, days=index)
        whole = collect(root, Order(limits=Limits(), dry_run=True)).left
        found = collect(root, Order(limits=Limits(max_size=whole // 2)))
        assert found.choice.reached
        seen = survey(root)
        held = sum(record.size for record in seen.records) + sum(seen.blobs.values())
        assert found.left == held <= whole // 2
        assert {one.record.key for one in found.choice.doomed}.isdisjoint(keys(root))
        assert min(one.record.used for one in found.choice.doomed) < min(r.used for r in seen.records)

    def test_a_record_of_another_version_stops_everything(self, root: Path) -> None:
        key = put(root, "newer", days=99)
        path = ActionCache(Store(root)).path(key)
        row = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
        text = json.dumps(row | {"schema": 99})
        path.write_text(f"{text}\n{digest_text(text)}\n", encoding="utf-8")
        with pytest.raises(StoreError, match="another version of edgebuild"):
            collect(root, ALL)
        assert path.exists()
        assert scan_blobs(root)

    def test_a_damaged_record_goes_to_the_quarantine(self, root: Path) -> None:
        key = put(root, "damaged")
        path = ActionCache(Store(root)).path(key)
        path.write_bytes(path.read_bytes()[:-9])
        found = collect(root, Order(limits=Limits()))
        assert found.damaged == 1
        assert keys(root) == set()
        assert len(list((root / "quarantine").iterdir())) == 1
        assert not scan_blobs(root)


class TestRoots:
    def test_the_last_results_of_a_workspace_stay_while_it_is_there(self, root: Path, tmp_path: Path) -> None:
        key, former = put(root, "last", days=90), put(root, "former", days=80)
        journal = tmp_path / "w" / "journal.jsonl"
        journal.parent.mkdir()
        Journal(journal).note("export", former)
        Journal(journal).note("export", key)
        register(root, journal)
        collect(root, ALL)
        assert keys(root) == {key}
        journal.unlink()
        found = collect(root, ALL)
        assert found.workspaces == (journal,)
        assert keys(root) == set()
        assert workspaces(root) == {}

    def test_a_workspace_that_moved_is_gone_and_comes_back_with_its_next_run(
        self, root: Path, tmp_path: Path
    ) -> None:
        key = put(root, "last", days=90)
        use(root, tmp_path / "w" / "journal", key)
        (tmp_path / "w").rename(tmp_path / "elsewhere")
        assert collect(root, Order(limits=Limits())).workspaces == (tmp_path / "w" / "journal",)
        use(root, tmp_path / "elsewhere" / "journal", key)
        assert list(workspaces(root).values()) == [tmp_path / "elsewhere" / "journal"]

    def test_pins_stay_whatever_is_asked(self, root: Path) -> None:
        key = put(root, "release", days=900)
        put(root, "other", days=900)
        add_pin(root, Pin(name="1.0", keys=(key,), at=0, what=""))
        collect(root, Order(limits=EVERYTHING, pins_only=True))
        assert keys(root) == {key}
        sound(root)

    def test_a_pin_that_cannot_be_read_stops_everything(self, root: Path) -> None:
        put(root, "release", days=900)
        (root / "pins").mkdir()
        (root / "pins" / "1.0.json").write_text("", encoding="utf-8")
        with pytest.raises(StoreError, match="is no pin"):
            collect(root, ALL)
        assert len(keys(root)) == 1

    def test_packages_of_the_last_runs_stay_and_what_made_them_may_go(
        self, root: Path, tmp_path: Path
    ) -> None:
        journal = tmp_path / "w" / "journal"
        packages = [put(root, f"package {day}", step="package", days=90) for day in range(4)]
        made = [put(root, f"export {day}", days=90) for day in range(4)]
        for day in range(4):
            use(root, journal, packages[day], made[day], days=40 + day)
        collect(root, Order(limits=Limits(max_age=30 * DAY), keep_runs=2))
        # The very last run is a root in full.
        assert keys(root) == {packages[0], made[0], packages[1]}
        assert len(read_uses(root).runs) == 2

    def test_a_workspace_of_which_only_pins_are_to_stay(self, root: Path, tmp_path: Path) -> None:
        journal = tmp_path / "w" / "journal"
        use(root, journal, put(root, "last", step="package"))
        found = collect(root, Order(limits=EVERYTHING, pins_only=True))
        assert found.records == 1
        assert keys(root) == set()
        assert read_uses(root).runs == ()
        assert list(workspaces(root).values()) == [journal]


class TestGarbage:
    def test_quarantine_goes_by_age(self, root: Path) -> None:
        (root / "quarantine").mkdir()
        (root / "quarantine" / "bad").write_bytes(b"1234")
        assert paths(collect(root, Order(limits=Limits()))) == set()
        assert paths(collect(root, Order(limits=Limits()), now=time.time() + 6 * DAY)) == set()
        limits = Order(limits=Limits(max_age=DAY))
        assert paths(collect(root, limits, now=time.time() + 2 * DAY)) == {"bad"}
        assert not list((root / "quarantine").iterdir())
        (root / "quarantine" / "bad").write_bytes(b"1234")
        found = collect(root, Order(limits=Limits()), now=time.time() + 8 * DAY)
        assert found.freed == 4

    def test_unfinished_writes_go_after_a_day(self, root: Path) -> None:
        key = put(root, "whole")
        torn = [
            ActionCache(Store(root)).path(key).with_name(".0123"),
            Store(root).blob(digest_bytes(b"whole")).with_name(".4567"),
        ]
        for path in torn:
            path.write_bytes(b"torn")
        assert paths(collect(root, ALL)) == set()
        assert all(path.exists() for path in torn)
        found = collect(root, Order(limits=Limits()), now=time.time() + 2 * DAY)
        assert paths(found) == {".0123", ".4567"}
        assert not any(path.exists() for path in torn)

    def test_scratch_and_locks_of_killed_runs_go_and_those_of_live_ones_stay(self, root: Path) -> None:
        store = Store(root)
        (root / "scratch" / "dead").mkdir(parents=True)
        (root / "scratch" / "dead" / "file").write_bytes(b"12345")
        (root / "scratch" / "dead.lock").touch()
        (root / "locks").mkdir()
        (root / "locks" / ("ab" * 16)).touch()
        with store.scratch() as live, store.lock("cd" * 16):
            (live / "file").write_bytes(b"1")
            found = collect(root, ALL)
            assert paths(found) == {"dead"}
            assert found.freed == 5
            assert (live / "file").exists()
            assert {path.name for path in (root / "locks").iterdir()} == {"gc", "cd" * 16}
        assert not (root / "scratch" / "dead").exists()

    def test_the_memo_forgets_blobs_that_are_gone_once_they_are_most_of_it(self, root: Path) -> None:
        key = put(root, "kept")
        add_pin(root, Pin(name="p", keys=(key,), at=0, what=""))
        kept = Store(root).blob(digest_bytes(b"kept"))
        stat = kept.stat()
        row = [
            str(kept),
            stat.st_size,
            stat.st_mtime_ns,
            stat.st_ino,
            stat.st_ctime_ns,
            digest_bytes(b"kept"),
        ]
        rows = [row] + [[f"{root}/blobs/ab/{index}", 1, 2, 3, 4, digest_bytes(b"x")] for index in range(1100)]
        text = "".join(json.dumps(one) + "\n" for one in rows)
        (root / "blobs.memo").write_text(text, encoding="utf-8")
        collect(root, ALL)
        assert (root / "blobs.memo").read_text(encoding="utf-8") == json.dumps(row) + "\n"


class TestForecast:
    def test_what_would_go_is_what_goes(self, root: Path, tmp_path: Path) -> None:
        for index in range(6):
            put(root, f"{index}" * 100, days=20 * index)
        put_blob(root, "loose")
        use(root, tmp_path / "w" / "journal", put(root, "last"), days=50)
        (root / "quarantine").mkdir()
        (root / "quarantine" / "bad").write_bytes(b"1234")
        would = collect(root, Order(limits=MONTH.limits, dry_run=True))
        assert len(survey(root).records) == 7
        did = collect(root, MONTH)
        assert would == did
        assert would.records == 4

    def test_a_second_time_there_is_nothing_left_to_go(self, root: Path) -> None:
        put(root, "old", days=31)
        put(root, "young")
        collect(root, MONTH)
        again = collect(root, MONTH)
        assert (again.records, again.blobs, again.freed) == (0, {}, 0)

    def test_a_kept_record_is_reported_as_held(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(root, "old", days=31)
        monkeypatch.setattr(Door, "remove_records", lambda *_: set())
        found = collect(root, MONTH)
        assert (found.records, found.freed, found.held) == (0, 0, 2)
        sound(root)
