"""Remote caches: what one must be able to do, how one is opened, and what of its answers is believed.

Every kind of remote keeps the same two rows of names below its base: ``ac/<action key>`` holds records and
``cas/<sha256>`` holds blobs. That is the layout of the plain HTTP cache protocol that ``bazel-remote``
(github.com/buchgr/bazel-remote) and any WebDAV server speak, so one cache can be reached both ways.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from edgebuild.digest import PREFIX, Digest, digest_file, digest_tree, is_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edgebuild.action import ActionKey, Artifact
    from edgebuild.cache.action_cache import Record

RECORD_LIMIT = 64 << 20
"""Bytes; no record is that long, so a longer answer is no record."""

SLOWEST = 4096
"""Bytes per second, on average; whoever sends more slowly holds a build up longer than it can save."""

TIMEOUT_SECONDS = 20.0

INSTALL = "pip install 'edgebuild[remote]'"


class RemoteError(Exception):
    """A remote did not do what it was asked: refused, too late, broken off, no credentials."""


class DamagedError(RemoteError):
    """What a remote sent is not what its name says."""


class StoppedError(RemoteError):
    """A transfer was given up because the run is being stopped."""


class Remote(Protocol):
    """A place that keeps records and blobs for other machines.

    Every method may be called from several threads, and raises RemoteError when the remote fails.
    """

    def get_record(self, key: ActionKey) -> bytes | None:
        """Return what is kept under an action key, or None."""

    def put_record(self, key: ActionKey, data: bytes) -> None:
        """Keep a record, whole or not at all; what was there is replaced."""

    def has_blob(self, digest: Digest, *, size: int) -> bool:
        """Return whether a blob of that name and size is there; its bytes are not looked at."""

    def get_blob(self, digest: Digest, to: Path, *, size: int) -> bool:
        """Write a blob to a new file and return True, or return False when it is not there.

        Raises:
            DamagedError: Its bytes are not those of its name; nothing is left at ``to``.
            OSError: The file cannot be written.
        """

    def put_blob(self, digest: Digest, path: Path) -> None:
        """Keep a file's bytes under their digest, whole or not at all.

        Raises:
            OSError: The file cannot be read.
        """


def shown(url: str) -> str:
    """Return an address without user name, password and query: fit for a log."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def record_name(key: ActionKey) -> str:
    """Return where the record of a key lies below the base."""
    return f"ac/{key}"


def blob_name(digest: Digest) -> str:
    """Return where a blob lies below the base."""
    return f"cas/{digest.removeprefix(PREFIX)}"


class Receiver:
    """Takes a transfer's bytes one piece after the other, and says when there is no point in going on."""

    def __init__(self, name: str, limit: int, *, timeout: float, give_up: Callable[[], bool]) -> None:
        self._name = name
        self._limit = limit
        self._timeout = timeout
        self._give_up = give_up
        self._since = time.monotonic()
        self._hash = hashlib.sha256()
        self.size = 0

    def take(self, data: bytes) -> None:
        """Count and hash a piece.

        Raises:
            DamagedError: More came than there is of it.
            StoppedError: The run is being stopped.
            RemoteError: It comes too slowly.
        """
        self._hash.update(data)
        self.add(len(data))

    def add(self, count: int) -> None:
        """Count bytes that someone else takes; raises as :meth:`take` does."""
        self.size += count
        if self.size > self._limit:
            raise DamagedError(f"{self._name} has more than {self._limit} bytes")
        if self._give_up():
            raise StoppedError("the run is being stopped")
        seconds = time.monotonic() - self._since
        if seconds > self._timeout and self.size < SLOWEST * seconds:
            raise RemoteError(f"sends {self._name} slower than {SLOWEST} bytes per second")

    @property
    def digest(self) -> Digest:
        """Of everything taken so far."""
        return Digest(PREFIX + self._hash.hexdigest())


def receive(pieces: Iterable[bytes], to: Path, digest: Digest, receiver: Receiver, *, size: int) -> None:
    """Write a blob's bytes to a new file while hashing them.

    Raises:
        DamagedError: They are not those of the digest and size; the file is gone again.
        OSError: The file cannot be written.
    """
    try:
        with to.open("xb") as sink:
            for piece in pieces:
                receiver.take(piece)
                sink.write(piece)
        _check(digest, receiver.digest, size=size, came=receiver.size)
    except BaseException:
        to.unlink(missing_ok=True)
        raise


def check_file(path: Path, digest: Digest, *, size: int) -> None:
    """Check a downloaded file that someone else wrote.

    Raises:
        DamagedError: Its bytes are not those of the digest and size.
        OSError: It cannot be read.
    """
    _check(digest, digest_file(path), size=size, came=path.stat().st_size)


def _check(wanted: Digest, found: Digest, *, size: int, came: int) -> None:
    if came != size:
        raise DamagedError(f"{blob_name(wanted)} has {came} bytes, not {size}")
    if found != wanted:
        raise DamagedError(f"{blob_name(wanted)} holds other bytes than its name says")


def believable(record: Record) -> bool:
    """Return whether a record from elsewhere holds together.

    Its names and digests become paths here, so they must not lead anywhere else.
    """
    return all(_sound(artifact) for artifact in record.artifacts)


def _sound(artifact: Artifact) -> bool:
    rows = [(artifact.digest, artifact.size), *((digest, size) for _, digest, size in artifact.entries)]
    if not all(is_digest(digest) and type(size) is int and size >= 0 for digest, size in rows):
        return False
    if not artifact.tree:
        return not artifact.entries
    names = [name for name, _, _ in artifact.entries]
    if not all(_is_inside(name) for name in names) or len(set(names)) != len(names):
        return False
    listed = digest_tree((name, digest) for name, digest, _ in artifact.entries)
    return listed == artifact.digest and artifact.size == sum(size for _, _, size in artifact.entries)


def _is_inside(name: object) -> bool:
    """Whether a relative path stays where it is put, spelled the one way."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == name and name != "."


def blobs_of(artifact: Artifact) -> Iterator[tuple[Digest, int]]:
    """Yield (digest, size) of everything that an artifact is made of."""
    if artifact.tree:
        yield from ((digest, size) for _, digest, size in artifact.entries)
    else:
        yield artifact.digest, artifact.size
