"""A remote cache on any filesystem that fsspec reaches: local path, S3, GCS, Azure, SFTP, memory, and others.

Where an upload shows up only when it is complete (object stores), a name is written directly; elsewhere the
bytes go to a temporary name beside it that is then moved. Both are looked at again afterwards.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import threading
from typing import TYPE_CHECKING, Any

from fsspec.callbacks import Callback
from fsspec.config import conf
from fsspec.core import url_to_fs
from fsspec.registry import get_filesystem_class, known_implementations

from edgebuild.errors import UsageError
from edgebuild.lock import never
from edgebuild.remote.interface import (
    RECORD_LIMIT,
    DamagedError,
    Receiver,
    RemoteError,
    blob_name,
    check_file,
    record_name,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgebuild.action import ActionKey
    from edgebuild.digest import Digest

CONNECT_SECONDS = 5.0

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "oci": "ocifs",
    "oss": "ossfs",
}
"""What to install for a kind of address, where its name does not say so."""

MEMORY = threading.RLock()

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss"})

OWN_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


class FsspecRemote:
    """Records and blobs as files of a filesystem."""

    def __init__(self, url: str, *, timeout: float, give_up: Callable[[], bool] = never) -> None:
        self._url = url
        self._kind = url.partition("://")[0].lower()
        self._timeout = timeout
        # fsspec's filesystem in memory is one dictionary for the process, and moves in two steps.
        self._turn = MEMORY if url.startswith("memory:") else contextlib.nullcontext()
        self._give_up = give_up
        self._mine = threading.local()
        _require(self._kind, url)

    def get_record(self, key: ActionKey) -> bytes | None:
        """Return what is kept under an action key, or None."""
        with _asked():
            fs, base = self._open()
            try:
                # With an end, s3fs does not ask for the size first.
                data: bytes = fs.cat_file(f"{base}/{record_name(key)}", start=0, end=RECORD_LIMIT + 1)
            except FileNotFoundError:
                return None
        if len(data) > RECORD_LIMIT:
            raise DamagedError(f"{record_name(key)} is longer than a record can be")
        return data

    def put_record(self, key: ActionKey, data: bytes) -> None:
        """Keep a record."""
        self._put(record_name(key), lambda fs, place: fs.pipe_file(place, data), len(data))

    def has_blob(self, digest: Digest, *, size: int) -> bool:
        """Return whether a blob of that name and size is there."""
        with _asked():
            fs, base = self._open()
            return _size(fs, f"{base}/{blob_name(digest)}") == size

    def get_blob(self, digest: Digest, to: Path, *, size: int) -> bool:
        """Write a blob to a new file, and check it."""
        try:
            with _asked(own=to), self._turn:
                fs, base = self._open()
                watch = _Watch(
                    Receiver(blob_name(digest), size, timeout=self._timeout, give_up=self._give_up)
                )
                try:
                    fs.get_file(f"{base}/{blob_name(digest)}", str(to), callback=watch)
                except FileNotFoundError:
                    to.unlink(missing_ok=True)
                    return False
            check_file(to, digest, size=size)
        except BaseException:
            to.unlink(missing_ok=True)
            raise
        return True

    def put_blob(self, digest: Digest, path: Path) -> None:
        """Keep a file's bytes under their digest."""
        size = path.stat().st_size
        self._put(blob_name(digest), lambda fs, place: fs.put_file(str(path), place), size)

    def _put(self, name: str, write: Callable[[Any, str], object], size: int) -> None:
        with _asked(), self._turn:
            fs, base = self._open()
            place = f"{base}/{name}"
            if self._kind in OBJECT_STORES:
                write(fs, place)
            else:
                _write_beside(fs, place, write)
            if _size(fs, place) != size:
                raise RemoteError(f"{name} is not there, or not whole, after its upload")

    def _open(self) -> tuple[Any, str]:
        """Return the filesystem and the base in it; each thread has its own connection."""
        try:
            return self._mine.place  # type: ignore[no-any-return]
        except AttributeError:
            options = {} if self._kind in conf else _options(self._kind, self._timeout)
            fs, base = url_to_fs(self._url, **options)
            if self._kind in {"s3", "s3a"}:
                fs.retries = 1  # s3fs tries again what botocore has already tried again
            if self._kind in {"sftp", "ssh"}:
                fs.ftp.get_channel().settimeout(self._timeout)
            self._mine.place = fs, base.rstrip("/")
            return self._mine.place  # type: ignore[no-any-return]


class _Watch(Callback):  # type: ignore[misc] # fsspec has no types
    """Ends a download that brings too much or too little, or that nobody waits for any more."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__()
        self._receiver = receiver

    def relative_update(self, inc: int = 1) -> None:
        self._receiver.add(inc)

    def absolute_update(self, value: int) -> None:
        self._receiver.add(value - self._receiver.size)


def _require(kind: str, url: str) -> None:
    try:
        get_filesystem_class(kind or "no kind at all")  # fsspec takes no kind for a local path
    except ValueError as error:
        known = "http, https, webdav, file, s3, gs, az, sftp or memory"
        message = f"remote cache {shown(url)}: {kind}:// is no kind of address that fsspec knows"
        raise UsageError(message, hint=f"use {known}") from error
    except ImportError as error:
        package = PACKAGES.get(kind)
        hint = f"install it with: pip install {package}" if package else known_implementations[kind]["err"]
        what = package or "what fsspec needs for it"
        raise UsageError(f"remote cache {shown(url)}: {what} is not installed", hint=hint) from error


def _options(kind: str, timeout: float) -> dict[str, Any]:
    """Return how long to wait for each kind, unless the user's fsspec configuration has a word on it."""
    connect = min(CONNECT_SECONDS, timeout)
    if kind in {"s3", "s3a"}:
        # Two tries share the time, since silence is tried again too.
        retries = {"total_max_attempts": 2, "mode": "standard"}
        return {
            "config_kwargs": {"connect_timeout": connect, "read_timeout": timeout / 2, "retries": retries}
        }
    if kind in {"sftp", "ssh"}:
        return {"timeout": connect, "banner_timeout": timeout, "auth_timeout": timeout}
    return {"timeout": timeout} if kind in {"ftp", "gs", "gcs"} else {}


def _size(fs: Any, place: str) -> int | None:
    fs.invalidate_cache()  # some kinds remember listings
    try:
        size: int | None = fs.info(place)["size"]
    except FileNotFoundError:
        return None
    return size


def _write_beside(fs: Any, place: str, write: Callable[[Any, str], object]) -> None:
    folder = place.rpartition("/")[0]
    temporary = f"{folder}/.{secrets.token_hex(8)}"
    fs.makedirs(folder, exist_ok=True)
    try:
        write(fs, temporary)
        _move(fs, temporary, place)
    except BaseException:
        with contextlib.suppress(Exception):  # it may never have been there
            fs.rm_file(temporary)
        raise


def _move(fs: Any, temporary: str, place: str) -> None:
    try:
        fs.mv(temporary, place)
    except Exception:
        if not fs.exists(place):
            raise
        fs.rm_file(place)  # some kinds do not replace by moving; absent for an instant is a miss
        fs.mv(temporary, place)


@contextlib.contextmanager
def _asked(*, own: Path | None = None) -> Iterator[None]:
    """Turn whatever a filesystem raises into a RemoteError; a full disk of our own stays what it is."""
    try:
        yield
    except RemoteError:
        raise
    except Exception as error:
        if (
            own is not None
            and isinstance(error, OSError)
            and error.errno in OWN_DISK
            and _is_ours(error, own)
        ):
            raise
        raise RemoteError(_reason(error)) from error


def _is_ours(error: OSError, own: Path) -> bool:
    return error.errno in {errno.ENOSPC, errno.EDQUOT} or str(own) in {error.filename, error.filename2}


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "the bucket or folder is not there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
