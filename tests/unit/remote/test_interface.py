from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionKey, Artifact
from edgebuild.cache.action_cache import Record, parse_record, spell_record
from edgebuild.digest import Digest, digest_bytes
from edgebuild.errors import UsageError
from edgebuild.perform.collect import tree_artifact
from edgebuild.remote.interface import Receiver, RemoteError, believable, shown
from edgebuild.remote.open import open_remote
from tests.servers import s3_variables
from tests.unit.fault_server import fault_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgebuild.remote.interface import Remote

KEY = ActionKey("cd" * 32)
A, B = digest_bytes(b"a"), digest_bytes(b"bb")


def record(*artifacts: Artifact) -> Record:
    return Record(key=KEY, artifacts=artifacts, findings=(), document={}, trees={}, seconds=1.0)


def tree(*entries: tuple[str, Digest, int]) -> Artifact:
    return tree_artifact("data", list(entries))


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://me:secret@cache.example:8443/base/?sig=abc#x", "https://cache.example:8443/base"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("sftp://user@host/path/", "sftp://host/path"),
        ("/mnt/cache", "/mnt/cache"),
    ],
)
def test_an_address_is_shown_without_credentials(url: str, public: str) -> None:
    assert shown(url) == public


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "ten", "1e9"])
def test_a_timeout_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="EDGEBUILD_REMOTE_TIMEOUT"):
        open_remote("memory://x", {"EDGEBUILD_REMOTE_TIMEOUT": text})


def test_a_relative_path_is_one_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    remote = open_remote("my cache/#1", {})
    monkeypatch.chdir("/")
    remote.put_record(KEY, b"x")
    assert (tmp_path / "my cache" / "#1" / "ac" / KEY).read_bytes() == b"x"


@pytest.mark.parametrize(("url", "missing"), [("http://h/", "urllib3"), ("memory://x", "fsspec")])
def test_without_the_extra_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, url: str, missing: str
) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == missing or name in {
            "edgebuild.remote.http",
            "edgebuild.remote.filesystem",
        }:
            monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == missing:
                raise ModuleNotFoundError(f"No module named {name!r}", name=missing)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(UsageError, match=rf"{missing} is not installed\n.*edgebuild\[remote\]"):
        open_remote(url, {})


def test_a_transfer_is_hashed_and_measured_on_its_way() -> None:
    receiver = Receiver("it", 3, timeout=60, give_up=lambda: False)
    receiver.take(b"b")
    receiver.take(b"b")
    assert (receiver.digest, receiver.size) == (B, 2)
    with pytest.raises(RemoteError, match="it has more than 3 bytes"):
        receiver.take(b"bb")


def test_a_record_that_holds_together_is_believed() -> None:
    good = record(
        Artifact(role="model", digest=A, size=1),
        tree(("x", A, 1), ("sub/y", B, 2), (".hidden", B, 2)),
        tree(),
    )
    assert believable(good)
    again = parse_record(spell_record(good), KEY)
    assert again is not None
    assert believable(again)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "", ".", "a//b", "./a", "a/", "a\0b", "..", "a/."]
)
def test_a_name_that_leads_elsewhere_is_not_believed(name: str) -> None:
    assert not believable(record(tree((name, A, 1))))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: replace(a, digest=A),
        lambda a: replace(a, size=a.size + 1),
        lambda a: replace(a, entries=a.entries[:1]),
        lambda a: replace(a, entries=a.entries + a.entries),
        lambda a: replace(a, tree=False),
        lambda a: replace(a, entries=(("x", Digest("sha256:../../../etc"), 1), *a.entries[1:])),
        lambda a: replace(a, entries=(("x", A, -1), *a.entries[1:])),
        lambda a: replace(a, entries=((5, A, 1), *a.entries[1:])),
        lambda a: replace(a, entries=(("x", A, True), *a.entries[1:])),
    ],
)
def test_a_record_that_contradicts_itself_is_not_believed(change: Callable[[Artifact], Artifact]) -> None:
    whole = tree(("x", A, 1), ("y", B, 2))
    assert believable(record(whole))
    assert not believable(record(change(whole)))


def test_a_file_with_a_digest_that_is_none_is_not_believed() -> None:
    assert not believable(record(Artifact(role="m", digest=Digest("sha256:ABC"), size=1)))
    assert not believable(record(Artifact(role="m", digest=A, size=-1)))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://bucket/x", "gcsfs is not installed\n.*pip install gcsfs"),
        ("sftp://host/x", "paramiko is not installed\n.*pip install paramiko"),
        ("hdfs://host/x", "not installed\n.*pyarrow"),
    ],
)
def test_a_kind_whose_package_is_missing_says_which(
    monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    def absent(_: str) -> None:
        raise ImportError("no")

    monkeypatch.setattr("edgebuild.remote.filesystem.get_filesystem_class", absent)
    with pytest.raises(UsageError, match=words):
        open_remote(url, {})


@pytest.mark.parametrize("url", ["gopher://host/x", "nonsense://", "://x"])
def test_a_kind_that_nobody_knows(url: str) -> None:
    with pytest.raises(UsageError, match="no kind of address"):
        open_remote(url, {})


def put(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"a")
    remote.put_blob(A, tmp_path / "blob")


def test_a_folder_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remote = open_remote(str(tmp_path / "file" / "cache"), {})
    with pytest.raises(RemoteError, match="Not a directory"):
        put(remote, tmp_path)
    with pytest.raises(RemoteError, match="Not a directory"):
        remote.put_record(KEY, b"x")


def test_an_interrupted_upload_leaves_nothing_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = open_remote(str(tmp_path / "cache"), {})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", fail)
        with pytest.raises(RemoteError, match="No space left"):
            put(remote, tmp_path)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_an_upload_that_did_not_arrive_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = open_remote(str(tmp_path / "cache"), {})
    monkeypatch.setattr("shutil.copyfile", lambda _, to: Path(to).touch())
    with pytest.raises(RemoteError, match="not whole, after its upload"):
        put(remote, tmp_path)


def test_a_full_disk_of_our_own_is_not_the_remotes_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = open_remote(str(tmp_path / "cache"), {})
    put(remote, tmp_path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(OSError, match="No space left"):
        remote.get_blob(A, tmp_path / "to", size=1)


def test_a_filesystem_that_does_not_replace_by_moving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    move = shutil.move

    def strict(source: str, target: str) -> None:
        if Path(target).exists():
            raise FileExistsError(17, "File exists")
        move(source, target)

    monkeypatch.setattr("shutil.move", strict)
    remote = open_remote(str(tmp_path / "cache"), {})
    remote.put_record(KEY, b"one")
    remote.put_record(KEY, b"two")
    assert remote.get_record(KEY) == b"two"


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "asked"), [("hang", 2), ("500", 2), ("403", 1)])
def test_a_bucket_is_asked_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch, fault: str, asked: int
) -> None:
    s3fs = pytest.importorskip("s3fs")
    s3fs.S3FileSystem.clear_instance_cache()  # one is kept per thread, whatever the environment says now
    with fault_server() as server:
        server.always = fault
        for name, value in s3_variables(server.url).items():
            monkeypatch.setenv(name, value)
        remote = open_remote(f"s3://bucket/{fault}", {"EDGEBUILD_REMOTE_TIMEOUT": "1"})
        with pytest.raises(RemoteError):
            remote.get_record(KEY)
        assert server.count("GET") == asked
