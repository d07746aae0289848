"""What every kind of remote cache must do; each test runs against each kind."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from edgebuild.action import ActionKey
from edgebuild.digest import digest_bytes
from edgebuild.remote.interface import DamagedError, Remote, RemoteError
from edgebuild.remote.open import open_remote
from tests.servers import nginx, s3_server, s3_variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = ActionKey("ab" * 32)
DATA = hashlib.sha256(b"seed").digest() * 5000
DIGEST = digest_bytes(DATA)

KINDS = ["path", "file", "memory", "http", "webdav", pytest.param("s3", marks=pytest.mark.slow)]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nginx(tmp_path_factory.mktemp("nginx")) as url:
        yield url


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """A bucket on an S3 server."""
    with s3_server() as url, pytest.MonkeyPatch.context() as patch:
        for name, value in s3_variables(url).items():
            patch.setenv(name, value)
        import fsspec

        fsspec.filesystem("s3").mkdir("cache")
        yield "s3://cache"


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty remote."""
    name = uuid4().hex
    match request.param:
        case "path":
            return str(tmp_path / "remote")
        case "file":
            return (tmp_path / "remote with space").as_uri().replace("%20", " ")
        case "memory":
            return f"memory://{name}"
        case "s3":
            return f"{request.getfixturevalue('bucket')}/{name}"
        case "webdav":
            return f"{request.getfixturevalue('server').replace('http', 'webdav')}/strict/{name}"
        case _:
            return f"{request.getfixturevalue('server')}/open/{name}/"


@pytest.fixture
def remote(address: str) -> Remote:
    return open_remote(address, os.environ)


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    path.chmod(0o444)  # as in the store
    return path


def test_an_empty_remote_has_nothing_and_says_so(remote: Remote, tmp_path: Path) -> None:
    assert remote.get_record(KEY) is None
    assert not remote.has_blob(DIGEST, size=len(DATA))
    assert not remote.get_blob(DIGEST, tmp_path / "to", size=len(DATA))
    assert not (tmp_path / "to").exists()


def test_a_blob_comes_back_as_it_was(remote: Remote, blob: Path, tmp_path: Path) -> None:
    remote.put_blob(DIGEST, blob)
    assert remote.has_blob(DIGEST, size=len(DATA))
    assert remote.get_blob(DIGEST, tmp_path / "to", size=len(DATA))
    assert (tmp_path / "to").read_bytes() == DATA
    assert blob.read_bytes() == DATA


def test_an_empty_blob_is_a_blob(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    digest = digest_bytes(b"")
    remote.put_blob(digest, tmp_path / "empty")
    assert remote.has_blob(digest, size=0)
    assert remote.get_blob(digest, tmp_path / "to", size=0)
    assert (tmp_path / "to").read_bytes() == b""


def test_a_record_comes_back_as_it_was_and_the_last_one_counts(remote: Remote) -> None:
    remote.put_record(KEY, b"first\n\0\xff")
    assert remote.get_record(KEY) == b"first\n\0\xff"
    remote.put_record(KEY, b"second")
    assert remote.get_record(KEY) == b"second"
    assert remote.get_record(ActionKey("cd" * 32)) is None


def test_a_blob_can_be_put_over_one_that_is_there(remote: Remote, blob: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(DATA[:100])
    remote.put_blob(DIGEST, other)
    remote.put_blob(DIGEST, blob)
    assert remote.get_blob(DIGEST, tmp_path / "to", size=len(DATA))


def test_a_blob_of_another_size_does_not_count_as_there(remote: Remote, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(DATA[:-1])
    remote.put_blob(DIGEST, cut)
    assert not remote.has_blob(DIGEST, size=len(DATA))


@pytest.mark.parametrize(
    "bad",
    [DATA[:-1], DATA + b"x", DATA[:7] + b"\x00" + DATA[8:], b""],
    ids=["truncated", "longer", "flipped", "empty"],
)
def test_bytes_that_are_not_those_of_the_name_are_discarded(
    remote: Remote, tmp_path: Path, bad: bytes
) -> None:
    (tmp_path / "bad").write_bytes(bad)
    remote.put_blob(DIGEST, tmp_path / "bad")
    with pytest.raises(DamagedError, match=DIGEST.removeprefix("sha256:")):
        remote.get_blob(DIGEST, tmp_path / "to", size=len(DATA))
    assert not (tmp_path / "to").exists()


def test_a_blob_that_is_what_its_name_says_but_not_what_the_record_says(
    remote: Remote, blob: Path, tmp_path: Path
) -> None:
    remote.put_blob(DIGEST, blob)
    with pytest.raises(DamagedError, match="bytes"):
        remote.get_blob(DIGEST, tmp_path / "to", size=len(DATA) + 1)


def test_the_layout_is_that_of_the_http_cache_protocol(address: str, remote: Remote, blob: Path) -> None:
    remote.put_blob(DIGEST, blob)
    remote.put_record(KEY, b"r")
    if address.startswith(("http:", "webdav:")):
        import urllib3

        base = address.replace("webdav", "http").rstrip("/")
        names = {f"{base}/cas/{hashlib.sha256(DATA).hexdigest()}": DATA, f"{base}/ac/{KEY}": b"r"}
        with urllib3.PoolManager() as pool:
            assert {name: pool.request("GET", name).data for name in names} == names
    else:
        import fsspec

        fs, base = fsspec.core.url_to_fs(address)
        found = {name.removeprefix(base).lstrip("/") for name in fs.find(base)}
        assert found == {f"cas/{hashlib.sha256(DATA).hexdigest()}", f"ac/{KEY}"}


def test_a_file_of_ours_that_cannot_be_read_is_no_failure_of_the_remote(
    remote: Remote, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="No such file"):
        remote.put_blob(DIGEST, tmp_path / "absent")


def test_many_threads_may_use_one_remote(remote: Remote, tmp_path: Path) -> None:
    wrong: list[object] = []

    def use(number: int) -> None:
        try:
            data = str(number % 3).encode() * 50_000
            digest, source, to = digest_bytes(data), tmp_path / f"from{number}", tmp_path / f"to{number}"
            source.write_bytes(data)
            for _ in range(3):
                remote.put_blob(digest, source)
                assert remote.get_blob(digest, to, size=len(data))
                to.unlink()
        except (AssertionError, RemoteError, OSError) as error:
            wrong.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_download_is_given_up_when_the_run_is_being_stopped(
    address: str, remote: Remote, blob: Path, tmp_path: Path
) -> None:
    remote.put_blob(DIGEST, blob)
    stopped = open_remote(address, os.environ, give_up=lambda: True)
    if not address.startswith(("/", "file:")):  # these copy at the speed of a disk
        with pytest.raises(RemoteError, match="stopped"):
            stopped.get_blob(DIGEST, tmp_path / "to", size=len(DATA))
        assert not (tmp_path / "to").exists()
    else:
        assert stopped.get_blob(DIGEST, tmp_path / "to", size=len(DATA))
