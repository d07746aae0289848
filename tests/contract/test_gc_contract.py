"""What garbage collection promises while runs go on, and however it is killed."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import ActionKey, Outcome
from edgebuild.cache import files as cache_files
from edgebuild.cache.action_cache import ActionCache
from edgebuild.cache.collect import Order, collect
from edgebuild.cache.files import AT_ONCE, Door
from edgebuild.cache.gc import EVERYTHING, Limits
from edgebuild.cache.journal import Journal
from edgebuild.cache.leases import LeasedCache, live_leases
from edgebuild.cache.removal import PATIENCE, alone, announced
from edgebuild.cache.scan import scan_blobs, scan_records
from edgebuild.cache.store import Store
from edgebuild.cache.uses import note_run
from edgebuild.digest import Digest, digest_bytes, digest_text
from edgebuild.errors import StoreError
from edgebuild.memo import Memo
from edgebuild.perform.context import Context
from edgebuild.run.engine import run_actions
from tests.unit.crash import dies_before
from tests.unit.storage import keys, put, put_blob, sound
from tests.unit.workbench import PROCESSES, Recorder, after, shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgebuild.action import Action, ActionResult

ALL = Order(limits=EVERYTHING)


def store_of(folder: Path) -> Path:
    root = folder / "store"
    root.mkdir(parents=True, exist_ok=True)
    return root


def run(workspace: Path, root: Path, actions: list[Action], *, jobs: int = 2) -> dict[str, ActionResult]:
    """Do what ``edgebuild run`` does with a store."""
    workspace.mkdir(parents=True, exist_ok=True)
    journal = workspace / ".edgebuild" / "demo" / "journal.jsonl"
    cache = LeasedCache(root, journal)
    context = Context(
        cache=cache,
        memo=Memo(workspace / "files.memo"),
        journal=Journal(journal),
        identities={},
        environ={"PATH": os.environ["PATH"]},
        machine="test processor",
        folder=journal.parent,
        workspace=workspace,
        listener=Recorder(),
    )
    cache.store.sweep()
    try:
        results = run_actions(actions, context, jobs=jobs, keep_going=True)
        for result in results.values():
            for artifact in result.artifacts:
                cache.store.materialise(artifact, workspace / "out" / result.id)
        note_run(root, journal, results.values())
    finally:
        cache.lease.close()
    return results


def chain(variant: int, links: int = 3) -> list[Action]:
    """Return actions that each copy what the one before left, and say which variant they are."""
    actions = [shell("a0", f"echo variant {variant} > out/out.txt; echo same > out/same.txt", out="out.txt")]
    for index in range(1, links):
        previous = actions[-1]
        script = "sleep 0.01; cat in/source/source.txt > out/out.txt; echo more >> out/out.txt"
        actions.append(shell(f"a{index}", script, after(previous)))
    return actions


def expected(variant: int, links: int = 3) -> list[str]:
    return [f"variant {variant}\n" + "more\n" * index for index in range(links)]


class Looks:
    """Something that a run does, in a thread of its own, at some moment of a removal."""

    def __init__(self, do: Callable[[], bool]) -> None:
        self._found: list[bool] = []
        self._thread = threading.Thread(target=lambda: self._found.append(do()))

    @contextlib.contextmanager
    def at(self, moment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Do it before the leases are read, while and after they are, or after the announcement."""
        real = cache_files.guarded

        def start() -> None:
            self._thread.start()
            self._thread.join(0.2)  # it may have to wait for us

        def guarded(*words: Any, **names: Any) -> Any:
            if moment == "before":
                start()
            now = real(*words, **names)
            if moment == "while":
                start()
            return now

        monkeypatch.setattr(cache_files, "guarded", guarded)
        yield
        if moment == "after":
            start()

    def result(self) -> bool:
        self._thread.join()
        (found,) = self._found
        return found


class TestLiveRuns:
    def test_a_run_fails_never_while_everything_possible_is_removed(self, tmp_path: Path) -> None:
        """Four workspaces flip between variants, so that hits, equal bytes and new results all occur."""
        root = store_of(tmp_path)
        over = PROCESSES.Event()
        removed = PROCESSES.Value("i", 0)
        kept = PROCESSES.Value("i", 0)

        def work(number: int) -> None:
            dice = random.Random(number)
            for _ in range(25):
                variant = dice.randrange(4)
                results = run(tmp_path / f"w{number}", root, chain(variant))
                assert [r.outcome for r in results.values() if r.outcome is Outcome.FAILED] == [], results
                texts = [(tmp_path / f"w{number}" / "out" / f"a{i}").read_text() for i in range(3)]
                assert texts == expected(variant)

        def remove() -> None:
            while not over.is_set():
                found = collect(root, ALL)
                removed.value += found.records + len(found.blobs)
                kept.value += found.held

        workers = [PROCESSES.Process(target=work, args=(number,)) for number in range(3)]
        remover = PROCESSES.Process(target=remove)
        for process in (remover, *workers):
            process.start()
        for process in workers:
            process.join()
        over.set()
        remover.join()
        assert [p.exitcode for p in (*workers, remover)] == [0, 0, 0, 0]
        assert removed.value > 50
        assert not list(live_leases(root))
        sound(root)

    def test_the_last_results_of_a_workspace_are_current_after_it(self, tmp_path: Path) -> None:
        root = store_of(tmp_path)
        for variant in (0, 1):
            run(tmp_path / "w", root, chain(variant))
        found = collect(root, ALL)
        assert found.records == 3
        outcomes = {r.outcome for r in run(tmp_path / "w", root, chain(1)).values()}
        assert outcomes == {Outcome.CURRENT}
        outcomes = {r.outcome for r in run(tmp_path / "w", root, chain(0)).values()}
        assert outcomes == {Outcome.RAN}
        sound(root)

    def test_what_a_live_run_looked_up_stays_until_it_ends(self, tmp_path: Path) -> None:
        root = store_of(tmp_path)
        key, other = put(root, "used"), put(root, "not used")
        cache = LeasedCache(root, tmp_path / "journal.jsonl")
        assert cache.lookup(key) is not None
        collect(root, ALL)
        assert keys(root) == {key}
        assert cache.lookup(other) is None
        sound(root)
        cache.lease.close()
        collect(root, ALL)
        assert keys(root) == set()
        assert not scan_blobs(root)

    def test_what_a_live_run_put_in_stays_although_no_record_names_it_yet(self, tmp_path: Path) -> None:
        root = store_of(tmp_path)
        cache = LeasedCache(root, tmp_path / "journal.jsonl")
        made = tmp_path / "made"
        made.write_bytes(b"new")
        cache.store.adopt(made, digest_bytes(b"new"))
        collect(root, ALL)
        assert set(scan_blobs(root)) == {digest_bytes(b"new")}
        cache.lease.close()
        collect(root, ALL)
        assert not scan_blobs(root)

    def test_a_lease_that_could_not_write_holds_everything(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = store_of(tmp_path)
        key = put(root, "anything")
        cache = LeasedCache(root, tmp_path / "journal.jsonl")

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("edgebuild.cache.leases.os.write", full)
            assert cache.lookup(key) is not None
        assert cache.lookup(ActionKey("ab" * 32)) is None
        found = collect(root, ALL)
        assert found.waiting
        assert keys(root) == {key}
        cache.lease.close()
        assert not collect(root, ALL).waiting
        assert keys(root) == set()

    def test_a_killed_run_holds_nothing(self, tmp_path: Path) -> None:
        root = store_of(tmp_path)
        key = put(root, "used")
        ready = PROCESSES.Event()

        def use() -> None:
            cache = LeasedCache(root, tmp_path / "journal.jsonl")
            assert cache.lookup(key) is not None
            ready.set()
            time.sleep(60)

        process = PROCESSES.Process(target=use)
        process.start()
        assert ready.wait(20)
        assert [lease.pid for lease in live_leases(root)] == [process.pid]
        collect(root, ALL)
        assert keys(root) == {key}
        process.kill()
        process.join()
        assert not list(live_leases(root))
        collect(root, ALL)
        assert keys(root) == set()
        assert not list((root / "leases").iterdir())

    @pytest.mark.parametrize("moment", ["before", "while", "after"])
    def test_a_record_looked_up_during_its_removal(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
    ) -> None:
        """Before or after the leases are read, or over when the announcement is: found and there, or not."""
        root = store_of(tmp_path)
        key = put(root, "contested")
        cache = LeasedCache(root, tmp_path / "journal.jsonl")
        looks = Looks(lambda: cache.lookup(key) is not None)
        with alone(root), looks.at(moment, monkeypatch):
            removed = Door(root).remove_records([key])
        assert looks.result() == (key in keys(root)) == (key not in removed)
        if moment == "before":
            assert not removed

    @pytest.mark.parametrize("moment", ["before", "while", "after"])
    def test_equal_bytes_that_are_put_in_during_their_removal(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
    ) -> None:
        """Once they are in, they are there, at every instant until the run has ended."""
        root = store_of(tmp_path)
        digest = put_blob(root, "equal")
        cache = LeasedCache(root, tmp_path / "journal.jsonl")

        def adopt() -> bool:
            made = tmp_path / "made"
            made.write_bytes(b"equal")
            cache.store.adopt(made, digest)
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                if not cache.store.blob(digest).exists():
                    return False
            return True

        looks = Looks(adopt)
        with alone(root), looks.at(moment, monkeypatch):
            Door(root).remove_blobs([digest], {})
        assert looks.result()
        assert cache.store.has(digest, 5)

    def test_a_record_from_elsewhere_holds_what_it_names_before_it_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = store_of(tmp_path)
        record = ActionCache(Store(root)).peek(put(root, "remote"))
        assert record is not None
        cache = LeasedCache(root, tmp_path / "journal.jsonl")
        cache.record(record)
        monkeypatch.setattr("edgebuild.cache.files.scan_records", lambda *_, **__: iter(()))
        with alone(root):
            assert Door(root).remove_blobs([digest_bytes(b"remote")], {}) == set()

    def test_a_run_that_ends_during_the_removal_keeps_its_new_record(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its lease is gone when leases are read, so its record has to be seen."""
        root = store_of(tmp_path)
        digest = put_blob(root, "late")
        looks = Looks(lambda: bool(put(root, "late")))
        with alone(root), looks.at("before", monkeypatch):
            assert Door(root).remove_blobs([digest], {}) == set()
        sound(root)
        assert len(keys(root)) == 1

    def test_a_record_written_anew_with_other_bytes_is_read_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = store_of(tmp_path)
        key = put(root, "old")
        digest = put_blob(root, "new")
        known = {row.key: row.inode for row in scan_records(root)}
        looks = Looks(lambda: bool(put(root, "new", key=key)))
        with alone(root), looks.at("before", monkeypatch):
            assert Door(root).remove_blobs([digest], known) == set()
        sound(root)

    def test_an_announcement_of_one_who_was_killed_stops_nobody(self, tmp_path: Path) -> None:
        root = store_of(tmp_path)
        key = put(root, "announced")
        with alone(root), announced(root, [key]):
            left = (root / "locks" / "removing").read_bytes()
        (root / "locks" / "removing").write_bytes(left)
        began = time.monotonic()
        assert LeasedCache(root, tmp_path / "journal.jsonl").lookup(key) is not None
        assert time.monotonic() - began < PATIENCE / 2
        collect(root, Order(limits=Limits()))
        assert not (root / "locks" / "removing").exists()

    def test_a_remover_that_was_stopped_by_hand_stops_nobody_for_ever(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("edgebuild.cache.removal.PATIENCE", 0.05)
        root = store_of(tmp_path)
        key = put(root, "announced")
        with alone(root), announced(root, [key]):
            assert LeasedCache(root, tmp_path / "journal.jsonl").lookup(key) is not None


class TestKilled:
    def test_a_kill_between_any_two_calls_leaves_no_record_without_its_blobs(self, tmp_path: Path) -> None:
        """The state between a kill and the next removal is what a run would meet."""
        call = 0
        while True:
            root = store_of(tmp_path / str(call))
            pinned = put(root, "pinned")
            for text in ("one", "two", "three"):
                put(root, text)
            loose = tmp_path / "loose"
            loose.write_bytes(b"loose")
            Store(root).adopt(loose, digest_bytes(b"loose"))
            (root / "pins").mkdir()
            (root / "pins" / "p.json").write_text(f'{{"at": 0, "keys": ["{pinned}"], "what": ""}}')
            died = dies_before(call, partial(collect, root, ALL))
            sound(root)
            assert pinned in keys(root)
            collect(root, ALL)
            assert keys(root) == {pinned}
            assert set(scan_blobs(root)) == {digest_bytes(b"pinned")}
            assert not (root / "locks" / "removing").exists()
            if not died:
                break
            call += 1
        assert call > 10


class TestAlone:
    def test_two_removers_exclude_each_other(self, tmp_path: Path) -> None:
        root = store_of(tmp_path)
        with alone(root), pytest.raises(StoreError, match="another process"):
            collect(root, ALL)
        assert collect(root, ALL).records == 0

    def test_a_forecast_needs_no_turn_and_changes_nothing(self, tmp_path: Path) -> None:
        root = store_of(tmp_path)
        put(root, "old")
        before = {path: path.stat() for path in root.rglob("*") if path.is_file()}
        with alone(root):
            found = collect(root, Order(limits=EVERYTHING, dry_run=True))
        assert (found.records, len(found.blobs)) == (1, 1)
        after_it = {p: p.stat() for p in root.rglob("*") if p.is_file() and p.name != "gc"}
        assert after_it == before

    def test_more_than_one_batch(self, tmp_path: Path) -> None:
        root = store_of(tmp_path)
        count = AT_ONCE + 3
        for index in range(count):
            digest = digest_text(str(index))
            place = Store(root).blob(Digest(digest))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(str(index))
        found = collect(root, ALL)
        assert len(found.blobs) == count
        assert not scan_blobs(root)


def test_the_remover_has_no_other_way_out() -> None:
    """Only the modules that are meant to remove things from a store do."""
    cache = Path(__file__).resolve().parents[2] / "edgebuild" / "cache"
    modules = ("collect", "files", "gc", "scan", "verify")
    callers = {name for name in modules if ".unlink(" in (cache / f"{name}.py").read_text(encoding="utf-8")}
    assert callers == {"files"}
