from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionKey, Artifact
from edgebuild.cache.action_cache import Record, parse_record, spell_record
from edgebuild.cache.store import Store
from edgebuild.digest import Digest, digest_bytes
from edgebuild.errors import StoreError, UsageError
from edgebuild.perform.collect import tree_artifact
from edgebuild.remote.tier import RemoteTier, open_tier
from tests.servers import free_port
from tests.unit.fault_server import Faults, fault_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY, OTHER = ActionKey("cd" * 32), ActionKey("12" * 32)


@pytest.fixture
def server() -> Iterator[Faults]:
    with fault_server() as faults:
        yield faults


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    """The store of another machine."""
    return Store(tmp_path / "there")


def tier(
    store: Store, server: Faults | str, mode: str = "read-write", *, stop: bool = False, timeout: str = "10"
) -> RemoteTier:
    url = server if isinstance(server, str) else server.url
    environ = {"EDGEBUILD_REMOTE": url, "EDGEBUILD_REMOTE_MODE": mode, "EDGEBUILD_REMOTE_TIMEOUT": timeout}
    opened = open_tier(store, environ, give_up=lambda: stop)
    assert opened is not None
    return opened


def keep(store: Store, data: bytes) -> tuple[Digest, int]:
    """Put bytes into a store."""
    with store.scratch() as folder:
        (folder / "x").write_bytes(data)
        store.adopt(folder / "x", digest_bytes(data))
    return digest_bytes(data), len(data)


def made(store: Store, *contents: bytes, key: ActionKey = KEY) -> Record:
    """Return the record of an action that left one file and one tree in a store."""
    digest, size = keep(store, contents[0])
    rows = [(f"sub/{n}", *keep(store, data)) for n, data in enumerate(contents[1:])]
    artifacts = (Artifact(role="model", digest=digest, size=size), tree_artifact("data", rows))
    return Record(key=key, artifacts=artifacts, findings=(), document={"a": 1}, trees={}, seconds=1.0)


def blob(data: bytes) -> str:
    return "/cache/cas/" + digest_bytes(data).removeprefix("sha256:")


def upload(store: Store, server: Faults | str, record: Record, *, repeatable: bool = True) -> RemoteTier:
    sender = tier(store, server)
    sender.offer(record, "t/step", repeatable=repeatable)
    sender.close()
    return sender


def test_what_one_machine_made_another_has_as_it_was(server: Faults, here: Store, there: Store) -> None:
    record = made(there, b"one", b"two", b"three")
    sent = upload(there, server, record).summary()
    assert (sent.records_up, sent.blobs_up, sent.bytes_up, sent.dropped) == (1, 3, 11, 0)
    reader = tier(here, server, "read")
    for _ in range(2):  # equal actions; it counts once
        assert reader.fetch_record(KEY) == record
    assert reader.summary().blobs_down == 0  # only what is used
    assert all(reader.fetch_artifact(artifact) for artifact in record.artifacts)
    assert all(here.has_artifact(artifact) for artifact in record.artifacts)
    got = reader.close()
    assert (got.records_hit, got.records_missed, got.blobs_down, got.bytes_down) == (1, 0, 3, 11)
    assert got.warnings == ()


def test_the_record_goes_last(server: Faults, there: Store) -> None:
    upload(there, server, made(there, b"one", b"two"))
    puts = [line for line in server.asked if line.startswith("PUT")]
    assert puts[-1] == f"PUT /cache/ac/{KEY}"
    assert len(puts) == 3


def test_a_record_is_not_uploaded_when_a_blob_of_it_is_not(server: Faults, there: Store) -> None:
    record = made(there, b"one", b"two")
    there.blob(digest_bytes(b"two")).unlink()
    done = upload(there, server, record).summary()
    assert (done.records_up, done.dropped) == (0, 1)
    assert f"/cache/ac/{KEY}" not in server.files


def test_a_blob_that_is_no_longer_what_its_name_says_is_not_uploaded(server: Faults, there: Store) -> None:
    record = made(there, b"one")
    path = there.blob(digest_bytes(b"one"))
    path.chmod(0o644)
    path.write_bytes(b"onf")
    assert upload(there, server, record).summary().dropped == 1
    assert server.files == {}


def test_a_reader_writes_nothing(server: Faults, there: Store) -> None:
    reader = tier(there, server, "read")
    reader.offer(made(there, b"one"), "t/step")
    assert reader.close().dropped == 0
    assert server.asked == []


def test_what_is_there_is_not_uploaded_again(server: Faults, there: Store) -> None:
    record = made(there, b"one", b"two")
    upload(there, server, record)
    server.asked.clear()
    again = upload(there, server, replace(record, seconds=7.0)).summary()
    assert (again.records_up, again.blobs_up, server.count("PUT")) == (0, 0, 0)
    assert again.findings == ()


def test_blobs_that_the_remote_threw_away_are_uploaded_again(server: Faults, there: Store) -> None:
    record = made(there, b"one", b"two")
    upload(there, server, record)
    del server.files[blob(b"two")]
    assert upload(there, server, record).summary().blobs_up == 1
    assert server.files[blob(b"two")] == b"two"


def test_a_record_that_says_otherwise_is_a_finding_and_stays(
    server: Faults, here: Store, there: Store
) -> None:
    upload(there, server, made(there, b"one", b"two"))
    before = dict(server.files)
    sender = tier(here, server)
    for _ in range(2):
        sender.offer(made(here, b"ONE", b"two"), "t/step")
    done = sender.close()
    assert server.files == before
    [(action, finding)] = done.findings
    assert (action, finding.id, finding.level) == ("t/step", "not-reproducible", "warning")
    assert "t/step: model came out different" in finding.message
    assert "data" not in finding.message
    assert KEY in finding.message
    assert done.dropped == 0
    assert json.loads(json.dumps(done.document()))["findings"][0]["action"] == "t/step"


def test_two_measurements_may_differ(server: Faults, here: Store, there: Store) -> None:
    upload(there, server, made(there, b"one"))
    assert upload(here, server, made(here, b"two"), repeatable=False).summary().findings == ()


def test_someone_faster_wins_also_while_blobs_are_uploaded(
    server: Faults, here: Store, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = spell_record(made(there, b"one")), made(here, b"two")
    sender = tier(here, server)
    put_blob = sender._remote.put_blob

    def slowly(digest: Digest, path: Path) -> None:
        put_blob(digest, path)
        server.files[f"/cache/ac/{KEY}"] = theirs

    monkeypatch.setattr(sender._remote, "put_blob", slowly)
    sender.offer(ours, "t/step")
    assert len(sender.close().findings) == 1
    assert server.files[f"/cache/ac/{KEY}"] == theirs


@pytest.mark.parametrize("damage", ["flip", "cut", "text", "other-key", "empty", "escape"])
def test_a_record_that_is_none_is_a_miss_a_warning_and_replaced(
    server: Faults, here: Store, there: Store, damage: str
) -> None:
    record = made(there, b"one")
    good = spell_record(record)
    away = Artifact(role="x", digest=Digest("sha256:../../x"), size=1)
    server.files[f"/cache/ac/{KEY}"] = {
        "flip": good[:9] + bytes([good[9] ^ 1]) + good[10:],
        "cut": good[:-30],
        "text": b"<html>hello</html>",
        "other-key": spell_record(replace(record, key=OTHER)),
        "empty": b"",
        "escape": spell_record(replace(record, artifacts=(away,))),
    }[damage]
    reader = tier(here, server)
    assert reader.fetch_record(KEY) is None
    assert reader.fetch_record(KEY) is None
    got = reader.close()
    assert (got.rejected, got.records_missed, got.failures) == (1, 1, 0)
    assert "no sound record" in got.warnings[0]
    upload(there, server, record)
    assert parse_record(server.files[f"/cache/ac/{KEY}"], KEY) == record


@pytest.mark.parametrize("fault", ["flip", "short", "endless"])
def test_a_damaged_blob_is_discarded_counted_warned_about_and_mended(
    server: Faults, here: Store, there: Store, fault: str
) -> None:
    record = made(there, b"some bytes")
    upload(there, server, record)
    both = tier(here, server)
    server.always = fault
    for _ in range(2):
        assert not both.fetch_artifact(record.artifacts[0])
    assert not here.blob(record.artifacts[0].digest).exists()
    assert list((here.root / "scratch").iterdir()) == []
    assert both.summary().rejected == 1
    assert server.count("GET") == 1 + 2  # twice before the record went up, once for the blob
    server.always = ""
    server.files[blob(b"some bytes")] = b"same size!"
    both.offer(made(here, b"some bytes"), "t/step")
    assert both.close().blobs_up == 1
    assert server.files[blob(b"some bytes")] == b"some bytes"
    assert len(both.summary().warnings) == 1


def test_a_record_whose_blob_cannot_be_had_is_no_hit_any_more(
    server: Faults, here: Store, there: Store
) -> None:
    record = made(there, b"one", b"two", b"three")
    upload(there, server, record)
    del server.files[blob(b"two")]
    reader = tier(here, server, "read")
    assert reader.fetch_record(KEY) == record
    assert not reader.fetch_artifact(record.artifacts[1])
    assert reader.fetch_record(KEY) is None


@pytest.mark.parametrize("fault", ["500", "401", "reset", "hang"])
def test_a_failing_remote_is_a_miss_one_warning_and_then_left_alone(
    server: Faults, here: Store, fault: str
) -> None:
    server.always = fault
    reader = tier(here, server, timeout="0.2")
    assert [reader.fetch_record(ActionKey(f"{n:064}")) for n in range(10)] == [None] * 10
    assert not reader.fetch_blob(digest_bytes(b"x"), 1)
    asked = {line.rpartition("/")[2] for line in server.asked}
    assert asked == {f"{n:064}" for n in range(3)}
    done = reader.close()
    assert done.left_alone
    assert (done.failures, done.records_missed, len(done.warnings)) == (3, 10, 1)
    assert server.url in done.warnings[0]
    assert "left alone" in done.line()


def test_a_bug_in_asking_costs_the_remote_and_not_the_run(
    server: Faults, here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("Invalid header value b'Bearer secret'")

    monkeypatch.setattr("edgebuild.remote.http.HttpRemote.get_record", fail)
    reader = tier(here, server)
    assert [reader.fetch_record(ActionKey(f"{n:064}")) for n in range(4)] == [None] * 4
    done = reader.close()
    assert done.left_alone
    assert "ValueError" in done.warnings[0]
    assert "secret" not in done.warnings[0]


def test_nobody_listens(here: Store) -> None:
    heard: list[str] = []
    environ = {"EDGEBUILD_REMOTE": f"http://me:secret@127.0.0.1:{free_port()}/x?token=secret"}
    opened = open_tier(here, environ, mode="read-write", warn=heard.append)
    assert opened is not None
    opened.offer(made(here, b"one"), "t/step")
    done = opened.close()
    assert (done.dropped, done.failures) == (1, 1)
    assert heard == list(done.warnings)
    assert "refused" in heard[0]
    assert "secret" not in heard[0] + done.line() + json.dumps(done.document())


def test_one_good_answer_is_enough_to_go_on_asking(server: Faults, here: Store) -> None:
    reader = tier(here, server)
    server.next = ["401", "401", "", "401", "401", "", ""]
    for number in range(7):
        reader.fetch_record(ActionKey(f"{number:064}"))
    assert len(server.asked) == 7
    assert not reader.summary().left_alone


def test_a_hanging_upload_does_not_hold_anybody_up(server: Faults, there: Store) -> None:
    server.always = "hang"
    sender = tier(there, server, timeout="20")
    for number in range(6):
        sender.offer(made(there, b"one", key=ActionKey(f"{number:064}")), "t/step")
    assert sender.close(0.2).dropped == 6


def test_slow_uploads_are_waited_for(server: Faults, there: Store) -> None:
    server.always = "slow-upload"
    assert upload(there, server, made(there, b"one", b"two")).summary().records_up == 1


def test_a_stopped_run_asks_nothing_and_waits_for_nothing(server: Faults, there: Store) -> None:
    record = made(there, b"one")
    stopped = tier(there, server, stop=True)
    assert stopped.fetch_record(KEY) is None
    assert not stopped.fetch_blob(digest_bytes(b"absent"), 6)
    stopped.offer(record, "t/step")
    done = stopped.close(3600)
    assert (done.dropped, done.failures, done.warnings) == (1, 0, ())
    assert server.asked == []


def test_dropped_uploads_are_counted(server: Faults, there: Store) -> None:
    server.always = "hang"
    sender = tier(there, server)
    for number in range(9):
        sender.offer(made(there, b"one", key=ActionKey(f"{number:064}")), "t/step")
    sender.drop()
    server.release.set()
    assert sender.close(30).dropped >= 5


def test_a_key_is_asked_for_once(server: Faults, here: Store) -> None:
    reader = tier(here, server)
    assert [reader.fetch_record(KEY), reader.fetch_record(KEY)] == [None, None]
    assert server.asked == [f"GET /cache/ac/{KEY}"]
    assert reader.summary().records_missed == 1


def test_many_threads_that_want_one_blob_download_it_once(server: Faults, here: Store) -> None:
    data = b"x" * 100_000
    server.files[blob(data)] = data
    reader, got = tier(here, server), list[bool]()
    threads = [
        threading.Thread(target=lambda: got.append(reader.fetch_blob(digest_bytes(data), len(data))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 8
    assert server.count("GET") == 1


def test_a_store_that_cannot_take_it_is_an_error_of_the_store(
    server: Faults, here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files[blob(b"one")] = b"one"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgebuild.remote.http.receive", full)
    with pytest.raises(StoreError, match="no space left"):
        tier(here, server).fetch_blob(digest_bytes(b"one"), 3)


def test_a_mistake_of_ours_in_the_background_is_said(
    server: Faults, there: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = tier(there, server)

    def broken(*_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(sender._remote, "get_record", broken)
    sender.offer(made(there, b"one"), "t/step")
    done = sender.close()
    assert done.dropped == 1
    assert "cannot be asked (KeyError)" in done.warnings[0]


def test_without_an_address_there_is_no_remote(here: Store) -> None:
    assert open_tier(here, {}) is None
    assert open_tier(here, {"EDGEBUILD_REMOTE": ""}) is None


def test_the_command_line_comes_before_the_environment(here: Store, server: Faults) -> None:
    environ = {"EDGEBUILD_REMOTE": "http://elsewhere.invalid/", "EDGEBUILD_REMOTE_MODE": "read-write"}
    opened = open_tier(here, environ, url=server.url, mode="read")
    assert opened is not None
    assert opened.summary().url == server.url
    assert not opened.writable
    default = open_tier(here, {}, url=server.url)
    assert default is not None
    assert default.summary().mode == "read"


def test_a_mode_that_is_none(here: Store) -> None:
    with pytest.raises(UsageError, match="'write' is no mode"):
        open_tier(here, {"EDGEBUILD_REMOTE": "memory://x"}, mode="write")


def test_the_line_for_people(here: Store, there: Store, server: Faults) -> None:
    upload(there, server, made(there, b"one"))
    reader = tier(here, server, "read")
    reader.fetch_record(KEY)
    reader.fetch_blob(digest_bytes(b"one"), 3)
    assert reader.close().line() == f"remote {server.url}: 1 hit, 0 missed, 1 files down (3 B)"
    line = upload(there, server, made(there, b"more", key=OTHER)).summary().line()
    assert line.endswith("0 hit, 0 missed, 0 files down (0 B), 1 results and 1 files up (4 B)")
