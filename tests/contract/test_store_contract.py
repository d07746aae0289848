"""What a store promises, whatever happens: damage, crashes, full and read-only disks, other processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import ActionKey, Artifact
from edgebuild.cache.action_cache import ActionCache, Record
from edgebuild.cache.store import Store, beside
from edgebuild.clock import GRAIN_NS
from edgebuild.digest import digest_bytes
from edgebuild.errors import StoreError
from edgebuild.lock import GaveUpError
from edgebuild.perform.collect import tree_artifact
from tests.unit.crash import dies_before
from tests.unit.workbench import PROCESSES, alive, read_pid, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = bytes(range(256)) * 64
KEY = ActionKey("ab" * 32)


@pytest.fixture(params=["same filesystem", "another filesystem"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "same filesystem":
        yield tmp_path / "store"
        return
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second filesystem here")
    folder = memory / f"edgebuild-test-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def put(store: Store, folder: Path, data: bytes = DATA) -> Artifact:
    path = folder / f"made-{time.monotonic_ns()}"
    path.write_bytes(data)
    digest = digest_bytes(data)
    store.adopt(path, digest)
    return Artifact(role="out", digest=digest, size=len(data))


def record(artifact: Artifact) -> Record:
    return Record(
        key=KEY, artifacts=(artifact,), findings=(), document={"argv": ["x"]}, trees={}, seconds=1.0
    )


def damage(path: Path, *, keep_mtime: bool = False) -> None:
    """Flip one bit of a read-only blob."""
    stat = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.seek(len(DATA) // 2)
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ 1]))
    path.chmod(0o444)
    if keep_mtime:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def settle() -> None:
    """Let the clock go on, so that the next look may be remembered."""
    time.sleep(2 * GRAIN_NS / 1e9)


class TestContent:
    def test_what_goes_in_comes_out(self, root: Path, tmp_path: Path) -> None:
        store = Store(root)
        artifact = put(store, tmp_path)
        assert store.has_artifact(artifact)
        store.materialise(artifact, tmp_path / "deep" / "er" / "out")
        assert (tmp_path / "deep" / "er" / "out").read_bytes() == DATA

    def test_a_blob_is_read_only_and_a_copy_is_the_users(self, root: Path, tmp_path: Path) -> None:
        store = Store(root)
        artifact = put(store, tmp_path)
        assert store.blob(artifact.digest).stat().st_mode & 0o777 == 0o444
        store.materialise(artifact, tmp_path / "out")
        with (tmp_path / "out").open("r+b") as stream:
            stream.write(b"mine now")
        assert store.has_artifact(artifact)
        assert (tmp_path / "out").stat().st_mode & 0o200

    def test_equal_bytes_are_kept_once(self, root: Path, tmp_path: Path) -> None:
        store = Store(root)
        one, other = put(store, tmp_path), put(store, tmp_path)
        assert one == other
        assert len([p for p in (root / "blobs").rglob("*") if p.is_file()]) == 1

    def test_a_sound_blob_is_read_once(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        artifact = put(Store(root), tmp_path)
        settle()
        assert Store(root).has_artifact(artifact)
        monkeypatch.setattr("edgebuild.memo.digest_file", lambda path: pytest.fail(f"{path} is read again"))
        assert Store(root).has_artifact(artifact)


class TestDamage:
    @pytest.mark.parametrize("keep_mtime", [False, True])
    def test_one_flipped_bit_is_noticed_and_put_aside(
        self, root: Path, tmp_path: Path, *, keep_mtime: bool
    ) -> None:
        artifact = put(Store(root), tmp_path)
        settle()
        assert Store(root).has_artifact(artifact)
        damage(Store(root).blob(artifact.digest), keep_mtime=keep_mtime)
        store = Store(root)
        assert not store.has_artifact(artifact)
        assert not store.blob(artifact.digest).exists()
        assert len(list((root / "quarantine").iterdir())) == 1

    def test_it_is_noticed_by_the_same_store_too(self, root: Path, tmp_path: Path) -> None:
        store = Store(root)
        artifact = put(store, tmp_path)
        settle()
        assert store.has_artifact(artifact)
        damage(store.blob(artifact.digest))
        assert not store.has_artifact(artifact)

    @pytest.mark.parametrize("size", [0, 1, len(DATA) - 1])
    def test_a_short_blob_is_noticed(self, root: Path, tmp_path: Path, size: int) -> None:
        store = Store(root)
        artifact = put(store, tmp_path)
        store.blob(artifact.digest).chmod(0o644)
        os.truncate(store.blob(artifact.digest), size)
        assert not store.has_artifact(artifact)

    def test_adopting_the_right_bytes_mends_a_bad_blob(self, root: Path, tmp_path: Path) -> None:
        store = Store(root)
        artifact = put(store, tmp_path)
        damage(store.blob(artifact.digest))
        put(store, tmp_path)
        assert Store(root).has_artifact(artifact)
        assert store.blob(artifact.digest).read_bytes() == DATA

    def test_a_missing_blob_of_a_tree_is_noticed(self, root: Path, tmp_path: Path) -> None:
        store = Store(root)
        one, other = put(store, tmp_path, b"one"), put(store, tmp_path, b"other")
        tree = tree_artifact("out", [("a", one.digest, 3), ("b/c", other.digest, 5)])
        assert store.has_artifact(tree)
        store.blob(other.digest).unlink()
        assert not store.has_artifact(tree)

    def test_a_record_whose_blob_is_bad_is_a_miss(self, root: Path, tmp_path: Path) -> None:
        cache = ActionCache(Store(root))
        artifact = put(cache.store, tmp_path)
        cache.record(record(artifact))
        assert cache.lookup(KEY) is not None
        damage(cache.store.blob(artifact.digest))
        assert ActionCache(Store(root)).lookup(KEY) is None

    def test_a_good_blob_put_there_meanwhile_is_not_put_aside(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two processes find a blob bad; one has mended it when the other gets to put it aside."""
        store = Store(root)
        artifact = put(store, tmp_path)
        damage(store.blob(artifact.digest))
        real = store.memo.digest

        def slow(path: str) -> Any:
            found = real(path)
            put(Store(root), tmp_path)
            return found

        monkeypatch.setattr(store.memo, "digest", slow)
        assert store.has_artifact(artifact)
        assert store.blob(artifact.digest).read_bytes() == DATA


class TestMaterialise:
    @pytest.mark.parametrize("link", [False, True])
    @pytest.mark.parametrize("before", ["nothing", "file", "link", "dangling link", "folder"])
    def test_a_file_replaces_whatever_is_there(
        self, root: Path, tmp_path: Path, before: str, *, link: bool
    ) -> None:
        store, place = Store(root), tmp_path / "place"
        artifact = put(store, tmp_path)
        bystander = tmp_path / "bystander"
        bystander.write_text("mine", encoding="utf-8")
        if before == "file":
            place.write_text("old", encoding="utf-8")
        elif before == "link":
            place.symlink_to(bystander)
        elif before == "dangling link":
            place.symlink_to(tmp_path / "nothing")
        elif before == "folder":
            (place / "sub").mkdir(parents=True)
            (place / "sub" / "file").write_text("old", encoding="utf-8")
        store.materialise(artifact, place, link=link)
        assert place.read_bytes() == DATA
        assert place.is_symlink() == link
        assert bystander.read_text(encoding="utf-8") == "mine"
        assert not list(tmp_path.glob(".*"))

    @pytest.mark.parametrize("link", [False, True])
    @pytest.mark.parametrize("before", ["nothing", "file", "link", "other tree", "same tree"])
    def test_a_tree_is_exactly_its_listing_afterwards(
        self, root: Path, tmp_path: Path, before: str, *, link: bool
    ) -> None:
        store, place = Store(root), tmp_path / "place"
        one, other = put(store, tmp_path, b"one"), put(store, tmp_path, b"other")
        tree = tree_artifact("out", [("a", one.digest, 3), ("b/c", other.digest, 5)])
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "a").write_text("mine", encoding="utf-8")
        if before == "file":
            place.write_text("old", encoding="utf-8")
        elif before == "link":
            place.symlink_to(elsewhere)
        elif before == "other tree":
            (place / "a" / "was a folder").mkdir(parents=True)
            (place / "b").write_text("was a file", encoding="utf-8")
            (place / "z" / "y").mkdir(parents=True)
            (place / "z" / "y" / "x").write_text("old", encoding="utf-8")
            (place / "c").symlink_to(elsewhere)
        elif before == "same tree":
            store.materialise(tree, place, link=link)
        store.materialise(tree, place, link=link)
        found = {p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*") if p.is_file()}
        assert found == {"a": b"one", "b/c": b"other"}
        assert (elsewhere / "a").read_text(encoding="utf-8") == "mine"

    def test_what_is_not_in_the_store_is_an_error_of_the_store(self, root: Path, tmp_path: Path) -> None:
        artifact = Artifact(role="out", digest=digest_bytes(b"never"), size=5)
        with pytest.raises(StoreError):
            Store(root).materialise(artifact, tmp_path / "out")
        assert not list(tmp_path.glob(".*"))


class TestCrash:
    def test_a_crash_between_any_two_calls_leaves_nothing_that_is_taken_for_good(self, root: Path) -> None:
        artifact = Artifact(role="out", digest=digest_bytes(DATA), size=len(DATA))

        def work() -> None:
            cache = ActionCache(Store(root))
            store = cache.store
            with store.lock("action"), store.turn(exclusive=False), store.scratch() as scratch:
                (scratch / "out").write_bytes(DATA)
                store.adopt(scratch / "out", artifact.digest)
                cache.record(record(artifact))

        call = 0
        while dies_before(call, work):
            cache = ActionCache(Store(root))
            found = cache.lookup(KEY)
            if found is not None:
                assert cache.store.blob(artifact.digest).read_bytes() == DATA
            cache.store.sweep()
            assert not (root / "scratch").exists() or not list((root / "scratch").iterdir())
            with cache.store.lock("action", give_up=lambda: True):  # nobody holds it any more
                pass
            if found is not None:
                (root / "actions" / KEY[:2] / f"{KEY[2:]}.json").unlink()
            call += 1
        assert call > 10
        assert ActionCache(Store(root)).lookup(KEY) is not None

    def test_a_crash_while_a_bad_blob_is_replaced(self, root: Path, tmp_path: Path) -> None:
        store = Store(root)
        artifact = put(store, tmp_path)

        def work() -> None:
            put(Store(root), tmp_path)

        call = 0
        while True:
            damage(store.blob(artifact.digest))
            if not dies_before(call, work):
                break
            if Store(root).has_artifact(artifact):
                assert store.blob(artifact.digest).read_bytes() == DATA
            put(Store(root), tmp_path)
            call += 1
        assert call > 3
        assert Store(root).has_artifact(artifact)

    @pytest.mark.parametrize("kept", [0, 1, 100, -2])
    def test_a_torn_record_is_a_miss(self, root: Path, tmp_path: Path, kept: int) -> None:
        cache = ActionCache(Store(root))
        cache.record(record(put(cache.store, tmp_path)))
        path = next((root / "actions").rglob("*.json"))
        path.write_bytes(path.read_bytes()[:kept])
        assert ActionCache(Store(root)).lookup(KEY) is None
        assert not path.exists()

    def test_a_copy_to_a_user_is_whole_or_not_there(self, root: Path, tmp_path: Path) -> None:
        store, place = Store(root), tmp_path / "folder" / "out"
        artifact = put(store, tmp_path)
        call = 0
        while dies_before(call, lambda: Store(root).materialise(artifact, place)):
            assert not place.exists()
            assert not place.parent.exists() or set(place.parent.iterdir()) <= {beside(place)}
            call += 1
        assert call > 1
        assert place.read_bytes() == DATA


class TestScratch:
    def test_it_is_empty_and_gone_afterwards(self, root: Path) -> None:
        store = Store(root)
        with store.scratch() as one, store.scratch() as other:
            assert one != other
            assert not list(one.iterdir())
            (one / "deep").mkdir()
            (one / "deep" / "file").write_text("x", encoding="utf-8")
            (one / "deep").chmod(0o500)
        assert not list((root / "scratch").iterdir())

    def test_it_is_gone_after_an_error(self, root: Path) -> None:
        with pytest.raises(RuntimeError), Store(root).scratch():
            raise RuntimeError
        assert not list((root / "scratch").iterdir())

    def test_a_sweep_takes_the_dead_only(self, root: Path) -> None:
        def die(ready: Any) -> None:
            with Store(root).scratch() as folder:
                (folder / "file").write_text("x", encoding="utf-8")
                ready.set()
                time.sleep(600)

        ready = PROCESSES.Event()
        process = PROCESSES.Process(target=die, args=(ready,))
        process.start()
        assert ready.wait(120)
        with Store(root).scratch() as mine:
            Store(root).sweep()
            assert len([p for p in (root / "scratch").iterdir() if p.is_dir()]) == 2
            process.kill()
            process.join()
            Store(root).sweep()
            assert [p for p in (root / "scratch").iterdir() if p.is_dir()] == [mine]

    def test_a_sweep_ends_what_a_killed_run_left_going(self, root: Path, tmp_path: Path) -> None:
        """A step goes on when edgebuild is killed with SIGKILL: nobody is left to end it."""

        def die(ready: Any) -> None:
            with Store(root).scratch() as folder:
                script = f"echo $$ > {tmp_path}/pid; while :; do date > file; sleep 0.05; done"
                subprocess.Popen(["sh", "-c", f"setsid sh -c '{script}'"], cwd=folder)
                wait_until((tmp_path / "pid").exists)
                ready.set()
                time.sleep(600)

        ready = PROCESSES.Event()
        process = PROCESSES.Process(target=die, args=(ready,))
        process.start()
        assert ready.wait(120)
        stray = read_pid(tmp_path / "pid")
        Store(root).sweep()
        assert alive(stray)
        process.kill()
        process.join()
        assert alive(stray)
        Store(root).sweep()
        assert not alive(stray)
        assert not list((root / "scratch").iterdir())

    def test_no_sweep_takes_one_that_is_just_being_made(self, root: Path) -> None:
        """Two processes sweep without a pause while two others make and use directories."""
        over = PROCESSES.Event()

        def use() -> None:
            for _ in range(150):
                with Store(root).scratch() as folder:
                    (folder / "file").write_text("x", encoding="utf-8")
                    assert (folder / "file").read_text(encoding="utf-8") == "x"

        def sweep() -> None:
            while not over.is_set():
                Store(root).sweep()

        users = [PROCESSES.Process(target=use) for _ in range(2)]
        sweepers = [PROCESSES.Process(target=sweep) for _ in range(2)]
        for process in (*sweepers, *users):
            process.start()
        for process in users:
            process.join()
        over.set()
        for process in sweepers:
            process.join()
        assert [p.exitcode for p in (*users, *sweepers)] == [0, 0, 0, 0]
        assert not list((root / "scratch").iterdir())


class TestLock:
    def test_two_threads_exclude_each_other(self, root: Path) -> None:
        store, inside, most = Store(root), 0, 0

        def work() -> None:
            nonlocal inside, most
            for _ in range(20):
                with store.lock("name"):
                    inside += 1
                    most = max(most, inside)
                    time.sleep(0.0005)
                    inside -= 1

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == 1

    def test_four_processes_exclude_each_other_although_the_file_comes_and_goes(
        self, root: Path, tmp_path: Path
    ) -> None:
        claim = tmp_path / "claim"

        def work() -> None:
            for _ in range(100):
                with Store(root).lock("name"):
                    descriptor = os.open(claim, os.O_CREAT | os.O_EXCL)
                    os.close(descriptor)
                    claim.unlink()

        processes = [PROCESSES.Process(target=work) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [p.exitcode for p in processes] == [0] * 4
        assert not list((root / "locks").iterdir())

    def test_a_killed_holder_frees_it(self, root: Path) -> None:
        def hold(ready: Any) -> None:
            with Store(root).lock("name"):
                ready.set()
                time.sleep(600)

        ready = PROCESSES.Event()
        process = PROCESSES.Process(target=hold, args=(ready,))
        process.start()
        assert ready.wait(120)
        with pytest.raises(GaveUpError), Store(root).lock("name", give_up=lambda: True):
            pass
        process.kill()
        process.join()
        with Store(root).lock("name", give_up=lambda: True):
            pass

    def test_a_wait_can_be_given_up(self, root: Path) -> None:
        store = Store(root)
        asked: list[int] = []

        def third_time() -> bool:
            asked.append(1)
            return len(asked) == 3

        with store.lock("name"), pytest.raises(GaveUpError), store.lock("name", give_up=third_time):
            pass
        assert len(asked) == 3

    def test_no_child_process_inherits_it(self, root: Path) -> None:
        store = Store(root)
        with store.lock("name"), subprocess.Popen(["sleep", "60"]) as process:
            pass_on = list(Path(f"/proc/{process.pid}/fd").iterdir())
            held = [str(fd.readlink()) for fd in pass_on]
            process.kill()
        assert not [name for name in held if "locks" in name]

    def test_one_who_wants_the_machine_alone_gets_it_alone(self, root: Path) -> None:
        store = Store(root)
        with (
            store.turn(exclusive=False),
            store.turn(exclusive=False),
            pytest.raises(GaveUpError),
            store.turn(exclusive=True, give_up=lambda: True),
        ):
            pass
        with store.turn(exclusive=True):
            for exclusive in (False, True):
                with pytest.raises(GaveUpError), store.turn(exclusive=exclusive, give_up=lambda: True):
                    pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


class TestDisk:
    def test_a_full_disk_is_said_and_nothing_is_recorded(self, small_disk: Path, tmp_path: Path) -> None:
        store = Store(small_disk / "store")
        put(store, tmp_path, b"fits")
        with pytest.raises(StoreError, match="no space left") as caught:
            put(store, tmp_path, os.urandom(1_000_000))
        assert caught.value.exit_code == 8
        assert "EDGEBUILD_CACHE" in caught.value.hint
        kept = [p for p in (small_disk / "store" / "blobs").rglob("*") if p.is_file()]
        assert len(kept) == 1

    def test_a_record_that_does_not_fit_is_not_there(self, small_disk: Path, tmp_path: Path) -> None:
        cache = ActionCache(Store(small_disk / "store"))
        artifact = put(cache.store, tmp_path)
        with (small_disk / "filler").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"x" * 4096)
        with pytest.raises(StoreError, match="no space left"):
            cache.record(record(artifact))
        assert cache.lookup(KEY) is None
        (small_disk / "filler").unlink()
        cache.record(record(artifact))
        assert cache.lookup(KEY) is not None

    def test_a_copy_that_does_not_fit_leaves_what_was_there(self, small_disk: Path, tmp_path: Path) -> None:
        store = Store(tmp_path / "store")
        artifact = put(store, tmp_path, os.urandom(1_000_000))
        (small_disk / "out").write_text("old", encoding="utf-8")
        with pytest.raises(StoreError, match="no space left"):
            store.materialise(artifact, small_disk / "out")
        assert (small_disk / "out").read_text(encoding="utf-8") == "old"
        assert [p.name for p in small_disk.iterdir()] == ["out"]

    def test_a_read_only_store_says_so_and_can_still_be_read(self, small_disk: Path, tmp_path: Path) -> None:
        cache = ActionCache(Store(small_disk / "store"))
        artifact = put(cache.store, tmp_path)
        cache.record(record(artifact))
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        again = ActionCache(Store(small_disk / "store"))
        assert again.lookup(KEY) is not None
        again.store.materialise(artifact, tmp_path / "out")
        for work in (
            lambda: put(again.store, tmp_path, b"new"),
            lambda: again.record(record(artifact)),
            lambda: again.store.lock("name").__enter__(),
            lambda: again.store.turn(exclusive=True).__enter__(),
            lambda: again.store.scratch().__enter__(),
        ):
            with pytest.raises(StoreError, match="cannot be written") as caught:
                work()
            assert "EDGEBUILD_CACHE" in caught.value.hint
        again.store.sweep()

    def test_a_store_where_a_file_is_in_the_way_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "store").write_text("not a folder", encoding="utf-8")
        with pytest.raises(StoreError, match="store"):
            put(Store(tmp_path / "store"), tmp_path)
