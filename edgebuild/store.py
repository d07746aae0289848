"""The content store: bytes by digest, written once, verified when used, never handed out for writing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.action import Artifact
from edgebuild.digest import PREFIX, Digest, digest_tree
from edgebuild.errors import StoreError
from edgebuild.memo import Memo, signature

if TYPE_CHECKING:
    from collections.abc import Iterator

FICLONE = 0x40049409
"""Linux ioctl that makes a copy share its blocks until one side is written (reflink)."""


class Store:
    """A directory of blobs named by their SHA-256.

    Layout below the root: ``blobs/ab/cdef...`` read-only files, ``quarantine/`` bytes that did not match
    their name, ``scratch/`` one directory per running action, ``locks/``, and the digest memo.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.memo = Memo(root / "blobs.memo")

    def blob(self, digest: Digest) -> Path:
        """Return where a blob lies, or would."""
        name = digest.removeprefix(PREFIX)
        return self.root / "blobs" / name[:2] / name[2:]

    def has(self, digest: Digest, size: int) -> bool:
        """Return whether the bytes are here and are what their name says; a bad blob is quarantined.

        The content is read again only when the blob's stat changed since it was last verified.
        """
        path = self.blob(digest)
        try:
            if path.stat().st_size == size and self.memo.digest(str(path)) == digest:
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
        self._quarantine(path)
        return False

    def has_artifact(self, artifact: Artifact) -> bool:
        """Return whether every blob of a file or tree is here and sound."""
        if not artifact.tree:
            return self.has(artifact.digest, artifact.size)
        return all(self.has(digest, size) for _, digest, size in artifact.entries)

    def adopt(self, path: Path, digest: Digest) -> None:
        """Move a finished file into the store under its digest.

        Raises:
            StoreError: The disk is full or the store cannot be written; nothing is left half-written.
        """
        target = self.blob(digest)
        try:
            if target.exists() and self.has(digest, path.stat().st_size):
                path.unlink()
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            self._move_in(path, target)
            stat = target.stat()
        except OSError as error:
            raise store_error(error, self.root) from error
        self.memo.remember(str(target), signature(stat), digest)

    def _move_in(self, path: Path, target: Path) -> None:
        temporary = target.with_name(f".{secrets.token_hex(8)}")
        try:
            try:
                path.rename(temporary)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.copyfile(path, temporary)
                path.unlink()
            temporary.chmod(0o444)
            temporary.rename(target)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def materialise(self, artifact: Artifact, target: Path, *, link: bool = False) -> None:
        """Put an artifact's bytes at a path: a reflink or a copy, or a symbolic link for a trusted reader.

        Args:
            artifact: What; it must be in the store.
            target: File or directory path; its parent is made, what was there is replaced.
            link: Make symbolic links into the store instead of copies.
        """
        try:
            if artifact.tree:
                _replace_tree(target, artifact)
                for name, digest, _ in artifact.entries:
                    place = target / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    self._put(digest, place, link=link)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._put(artifact.digest, target, link=link)
        except OSError as error:
            raise store_error(error, target.parent) from error

    def _put(self, digest: Digest, place: Path, *, link: bool) -> None:
        source = self.blob(digest)
        if link:
            place.symlink_to(source)
            return
        temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        try:
            copy_file(source, temporary)
            temporary.rename(place)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _quarantine(self, path: Path) -> None:
        place = self.root / "quarantine" / f"{path.parent.name}{path.name}.{secrets.token_hex(4)}"
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty directory that is removed afterwards; leftovers of killed runs are removed too."""
        folder = self.root / "scratch" / secrets.token_hex(8)
        try:
            folder.mkdir(parents=True)
            lock = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise store_error(error, self.root) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            remove_tree(folder)
            with contextlib.suppress(OSError):
                folder.with_suffix(".lock").unlink()
            os.close(lock)

    def sweep(self) -> None:
        """Remove scratch directories whose owner is gone (its lock is free)."""
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(self.root / "scratch")):
                if entry.name.endswith(".lock"):
                    _sweep_one(Path(entry.path))

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock between threads and processes; the kernel frees it when its holder dies."""
        path = self.root / "locks" / name
        descriptor = self._acquire(path)
        try:
            yield
        finally:
            # Unlinked while held: whoever waits on this inode sees that the name is gone and starts anew.
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)

    @contextlib.contextmanager
    def turn(self, *, exclusive: bool) -> Iterator[None]:
        """Share the machine with other actions, or have it alone (a measurement does)."""
        path = self.root / "locks" / "machine"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise store_error(error, self.root) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def _acquire(self, path: Path) -> int:
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise store_error(error, self.root) from error
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
            except FileNotFoundError:
                pass
            os.close(descriptor)


def store_error(error: OSError, place: Path) -> StoreError:
    """Return the store error for an operating system error, with what to do about it."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        hint = "free some space there, or set EDGEBUILD_CACHE to a larger disk; finished steps are kept"
        return StoreError(f"{place}: no space left on the device", hint=hint)
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return StoreError(
            f"{error.filename or place}: cannot be written: {error.strerror}",
            hint="make it writable, or set EDGEBUILD_CACHE to a directory that is",
        )
    return StoreError(f"{error.filename or place}: {error.strerror or error}")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's bytes, sharing blocks where the filesystem can."""
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
        except OSError:
            shutil.copyfileobj(reader, writer, 1 << 20)


def remove_tree(folder: Path) -> None:
    """Remove a directory tree, read-only directories too; what cannot go is left for a later sweep."""

    def retry(_: object, name: str, __: object) -> None:
        with contextlib.suppress(OSError):
            Path(name).parent.chmod(0o700)
            Path(name).unlink()

    shutil.rmtree(folder, onerror=retry)


def tree_artifact(role: str, entries: list[tuple[str, Digest, int]]) -> Artifact:
    """Return the artifact of a directory from its (relative path, digest, size) rows."""
    rows = tuple(sorted(entries))
    return Artifact(
        role=role,
        digest=digest_tree((name, digest) for name, digest, _ in rows),
        size=sum(size for _, _, size in rows),
        entries=rows,
        tree=True,
    )


def _replace_tree(target: Path, artifact: Artifact) -> None:
    """Make the directory and remove what the artifact does not hold."""
    wanted = {name for name, _, _ in artifact.entries}
    if target.is_dir() and not target.is_symlink():
        for place in sorted(target.rglob("*"), reverse=True):
            if place.is_dir() and not place.is_symlink():
                with contextlib.suppress(OSError):
                    place.rmdir()
            elif place.relative_to(target).as_posix() not in wanted:
                place.unlink()
    else:
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        target.mkdir(parents=True)


def _sweep_one(lock: Path) -> None:
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        remove_tree(lock.with_suffix(""))
        lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
