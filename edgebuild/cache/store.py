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

from edgebuild.digest import PREFIX, Digest, digest_file, digest_text, short
from edgebuild.errors import LostError, StoreError
from edgebuild.lock import held, held_if_free, never
from edgebuild.memo import Memo
from edgebuild.process.orphans import kill_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgebuild.action import Artifact

FICLONE = 0x40049409
"""Linux ioctl that makes a copy share its blocks until one side is written (reflink)."""


class Store:
    """A directory of blobs named by their SHA-256.

    Layout below the root: ``blobs/ab/cdef...`` read-only files, ``quarantine/`` bytes that did not match
    their name, ``scratch/`` one directory per running action, ``locks/``, and the digest memo.

    Attributes:
        lost: Digests that were needed in this process and not to be had.
        fetch: Brings an artifact's missing bytes from elsewhere; says whether it could.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.memo = Memo(root / "blobs.memo")
        self.lost: set[Digest] = set()
        self.fetch: Callable[[Artifact], bool] | None = None

    def blob(self, digest: Digest) -> Path:
        """Return where a blob lies, or would."""
        name = digest.removeprefix(PREFIX)
        return Path(f"{self.root}/blobs/{name[:2]}/{name[2:]}")

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
        return self._quarantine(path, digest)

    def has_artifact(self, artifact: Artifact) -> bool:
        """Return whether every blob of a file or tree is here and sound."""
        if not artifact.tree:
            return self.has(artifact.digest, artifact.size)
        return all(self.has(digest, size) for _, digest, size in artifact.entries)

    def require(self, artifact: Artifact) -> None:
        """Make sure that an artifact's bytes are here and sound, fetching those that are not.

        Raises:
            LostError: They are not to be had; their digests are noted in ``lost``.
        """
        if self.has_artifact(artifact):
            return
        if self.fetch is not None and self.fetch(artifact) and self.has_artifact(artifact):
            return
        rows = artifact.entries if artifact.tree else (("", artifact.digest, artifact.size),)
        self.lost |= {digest for _, digest, size in rows if not self.has(digest, size)}
        raise LostError(f"{artifact.role} is gone from the store", hint="the next run makes it again")

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
            make_folder(target.parent)
            self._move_in(path, target)
        except OSError as error:
            raise store_error(error, self.root) from error

    def _move_in(self, path: Path, target: Path) -> None:
        try:
            path.chmod(0o444)
            path.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_in(path, target, by_way_of=target.with_name(f".{secrets.token_hex(8)}"), mode=0o444)
            path.unlink()

    def materialise(self, artifact: Artifact, target: Path, *, link: bool = False) -> None:
        """Put an artifact's bytes at a path: a reflink or a copy, or a symbolic link for a trusted reader.

        Only one process at a time may put anything at a path. One that is killed while it does may leave a
        file at :func:`beside` that path, which the next one to come removes.

        Args:
            artifact: What.
            target: File or directory path; its parent is made, what was there is replaced.
            link: Make symbolic links into the store instead of copies.

        Raises:
            LostError: Its bytes are not to be had.
            StoreError: They cannot be written to the place.
        """
        self.require(artifact)
        try:
            if artifact.tree:
                _replace_tree(target, artifact)
                for name, digest, _ in artifact.entries:
                    place = target / name
                    make_folder(place.parent)
                    self._put(digest, place, link=link)
            else:
                make_folder(target.parent)
                self._put(artifact.digest, target, link=link)
        except OSError as error:
            raise store_error(error, target.parent, root=self.root) from error

    def _put(self, digest: Digest, place: Path, *, link: bool) -> None:
        source = self.blob(digest)
        if place.is_dir() and not place.is_symlink():
            remove_tree(place)
        if link:
            place.unlink(missing_ok=True)
            place.symlink_to(source)
            return
        _copy_in(source, place, by_way_of=beside(place))

    def _quarantine(self, path: Path, digest: Digest) -> bool:
        """Put a bad blob aside; return whether another process had put a good one there meanwhile."""
        place = self.root / "quarantine" / f"{path.parent.name}{path.name}.{secrets.token_hex(4)}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
            if digest_file(place) == digest:
                place.rename(path)
                return True
        except OSError:
            return False  # it cannot be moved: whoever replaces it will say so
        return False

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty directory that is removed afterwards; leftovers of killed runs are removed too."""
        lock = self.root / "scratch" / f"{secrets.token_hex(8)}.lock"
        # Held before the directory is there, so that no sweep can take the directory for a dead one.
        with self._held(lock, shared=False, give_up=never):
            folder = lock.with_suffix("")
            try:
                folder.mkdir()
            except OSError as error:
                raise store_error(error, self.root) from error
            try:
                yield folder
            finally:
                _remove_scratch(lock)

    def sweep(self) -> None:
        """Remove scratch directories whose owner is gone (its lock is free), with the processes in them."""
        with contextlib.suppress(OSError):
            for lock in list((self.root / "scratch").glob("*.lock")):
                with contextlib.suppress(OSError), held_if_free(lock) as free:
                    if free:
                        kill_inside(lock.with_suffix(""))
                        _remove_scratch(lock)

    @contextlib.contextmanager
    def lock(self, name: str, *, give_up: Callable[[], bool] = never) -> Iterator[None]:
        """Hold a lock between threads and processes.

        Args:
            name: Of the lock.
            give_up: Asked now and then while waiting; true ends the wait.

        Raises:
            GaveUpError: ``give_up`` said so.
            StoreError: The store cannot be written.
        """
        path = self.root / "locks" / name
        with self._held(path, shared=False, give_up=give_up):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    path.unlink()

    @contextlib.contextmanager
    def turn(self, *, exclusive: bool, give_up: Callable[[], bool] = never) -> Iterator[None]:
        """Share the machine with other actions, or have it alone (a measurement does).

        Raises:
            GaveUpError: ``give_up`` said so.
            StoreError: The store cannot be written.
        """
        with self._held(self.root / "locks" / "machine", shared=not exclusive, give_up=give_up):
            yield

    @contextlib.contextmanager
    def _held(self, path: Path, *, shared: bool, give_up: Callable[[], bool]) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(held(path, shared=shared, give_up=give_up))
            except OSError as error:
                raise store_error(error, self.root) from error
            yield


def store_error(error: OSError, place: Path | str, *, root: Path | None = None) -> StoreError:
    """Return the store error for an operating system error, with what to do about it.

    Args:
        error: What the operating system said.
        place: Where, unless it names a file itself.
        root: The store, where the place may be elsewhere: only the store can be moved by a variable.
    """
    where = Path(error.filename or place).absolute()
    movable = root is None or where.is_relative_to(root) or root.is_relative_to(where)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        other = ", or set EDGEBUILD_CACHE to a larger disk" if movable else ""
        hint = f"free some space there{other}; finished steps are kept"
        return StoreError(f"{place}: no space left on the device", hint=hint)
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return StoreError(
            f"{error.filename or place}: cannot be written: {error.strerror}",
            hint="make it writable, or set EDGEBUILD_CACHE to a directory that is"
            if movable
            else "make it writable; a build leaves its state and its results beside the manifest",
        )
    return StoreError(f"{error.filename or place}: {error.strerror or error}")


def make_folder(path: Path) -> None:
    """Make a directory with its parents; it is asked for first, for it is mostly there."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's bytes, sharing blocks where the filesystem can."""
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
        except OSError:
            shutil.copyfileobj(reader, writer, 1 << 20)


def beside(place: Path) -> Path:
    """Return where a file of the workspace is written before it gets its name.

    The same place each time, so that what a killed process left there can be found; hashed, because a name
    may be as long as the filesystem lets it be.
    """
    return place.with_name(f".{short(digest_text(place.name), 16)}")


def _copy_in(source: Path, place: Path, *, by_way_of: Path, mode: int | None = None) -> None:
    """Copy a file to a place where it appears whole or not at all; what was there is replaced."""
    try:
        copy_file(source, by_way_of)
        if mode is not None:
            by_way_of.chmod(mode)
        by_way_of.rename(place)
    except BaseException:
        with contextlib.suppress(OSError):
            by_way_of.unlink()
        raise


def remove_tree(folder: Path) -> None:
    """Remove a directory tree, also what is read-only in it; what cannot go stays, for a later sweep."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir():
        with contextlib.suppress(OSError):
            folder.chmod(0o700)
        for parent, names, _ in os.walk(folder):
            for path in (Path(parent, name) for name in names):
                if not path.is_symlink():
                    with contextlib.suppress(OSError):
                        path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


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


def _remove_scratch(lock: Path) -> None:
    """Remove a scratch directory and then its lock; the lock stays as long as something is left to sweep."""
    folder = lock.with_suffix("")
    remove_tree(folder)
    if not folder.exists():
        with contextlib.suppress(OSError):
            lock.unlink()
