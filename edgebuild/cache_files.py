"""The one door through which anything leaves a store.

A file is first moved to ``trash/``, where no run finds it; then leases, roots and new records are read, and
what they hold is moved back; only the rest is removed. Records go before the blobs that they name. So at no
instant does a record that a run can find name a blob that is gone, unless a kill falls between the move of
a blob and its way back; what lies in the trash then is put back by whoever comes next.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edgebuild.cache_scan import scan_records
from edgebuild.digest import PREFIX, Digest
from edgebuild.errors import StoreError
from edgebuild.journal import last_keys
from edgebuild.leases import live_leases
from edgebuild.lock import held_if_free
from edgebuild.pins import read_pins
from edgebuild.store import store_error
from edgebuild.uses import read_uses, workspaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from edgebuild.action import ActionKey

AT_ONCE = 1024
"""Files that are in the trash at the same time; leases and roots are read once for them."""

T = TypeVar("T")

_LOCK = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarded:
    """What may not go now.

    Attributes:
        claims: Keys and digests that live runs use.
        keys: Keys of pins, and of the last results of every workspace.
        everything: A live run could not say what it uses.
    """

    claims: frozenset[str]
    keys: frozenset[str]
    everything: bool

    def hold(self, name: str) -> bool:
        """Return whether a key or digest may not go."""
        return self.everything or name in self.claims or name in self.keys


def guarded(root: Path, *, pins_only: bool = False) -> Guarded:
    """Read what may not go.

    Args:
        root: The store.
        pins_only: The last results of workspaces may go.
    """
    # Leases first: a run that has ended meanwhile has left its keys in its journal before.
    leases = list(live_leases(root))
    keys = {key for pin in read_pins(root) for key in pin.keys}
    if not pins_only:
        there = {journal for journal in workspaces(root).values() if not gone(journal)}
        keys.update(key for journal in there for key in last_keys(journal).values())
        # What another user's journal says is not always ours to read; what their run noted here is.
        keys.update(key for run in read_uses(root).last(1) if run.journal in there for key in run.keys)
    return Guarded(
        claims=frozenset(name for lease in leases for name in lease.claims or ()),
        keys=frozenset(keys),
        everything=any(lease.claims is None for lease in leases),
    )


def gone(journal: Path) -> bool:
    """Return whether a workspace is no longer there; one that cannot be looked at may be."""
    try:
        journal.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


class Door:
    """Takes things out of a store. One at a time: hold :func:`alone` around all its work.

    Args:
        root: The store.
        pins_only: The last results of workspaces may go.
    """

    def __init__(self, root: Path, *, pins_only: bool = False) -> None:
        self._root = root
        self._pins_only = pins_only

    def put_back(self) -> None:
        """Put back what a kill left in the trash."""
        for path in _entries(self._root / "trash"):
            place = self._home(path.name)
            if place is not None:
                _back(path, place)

    def remove_records(self, keys: Iterable[ActionKey]) -> set[ActionKey]:
        """Remove records that nothing holds; return the keys of those that are gone."""
        removed: set[ActionKey] = set()
        for some in _batches(keys):
            taken = {key: path for key in some if (path := self._take(f"r-{key}")) is not None}
            now = guarded(self._root, pins_only=self._pins_only)
            for key, path in taken.items():
                if now.hold(key):
                    self._return(path)
                else:
                    path.unlink()
                    removed.add(key)
        return removed

    def remove_blobs(self, digests: Iterable[Digest], known: Mapping[ActionKey, int]) -> set[Digest]:
        """Remove blobs that no record names and nobody claims; return those that are gone.

        Args:
            digests: Blobs that none of the known records names.
            known: Inodes by key of the records that were read.
        """
        removed: set[Digest] = set()
        read = dict(known)
        named: set[Digest] = set()
        for some in _batches(digests):
            taken = {
                digest: path
                for digest in some
                if (path := self._take(f"b-{digest.removeprefix(PREFIX)}")) is not None
            }
            now = guarded(self._root, pins_only=self._pins_only)
            for row in scan_records(self._root, known=read):  # after the leases: a run ends with its records
                read[row.key] = row.inode
                named.update(row.sizes)
            for digest, path in taken.items():
                if digest in named or now.hold(digest):
                    self._return(path)
                else:
                    path.unlink()
                    removed.add(digest)
        return removed

    def remove_files(self, paths: Collection[Path]) -> int:
        """Remove files that are no part of any result; return how many are gone."""
        count = 0
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink()
                count += 1
        return count

    def remove_locks(self) -> None:
        """Remove the lock files that killed runs left."""
        for path in _entries(self._root / "locks"):
            if _LOCK.fullmatch(path.name):
                with contextlib.suppress(OSError), held_if_free(path) as free:
                    if free:
                        path.unlink()

    def put_aside(self, path: Path) -> bool:
        """Move a damaged file to the quarantine; return whether it was still there.

        Raises:
            StoreError: It cannot be moved.
        """
        name = path.parent.name + path.name
        place = self._root / "quarantine" / f"{name}.{secrets.token_hex(4)}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise store_error(error, path) from error
        return True

    def shorten_memo(self, blobs: Collection[Digest]) -> None:
        """Forget remembered digests of blobs that are gone, once they are the larger part."""
        memo, temporary = self._root / "blobs.memo", self._root / "trash" / f".{secrets.token_hex(8)}"
        here = {str(blob_path(self._root, digest)) for digest in blobs}
        with contextlib.suppress(OSError):
            lines = memo.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if _path(line) in here]
            if len(lines) > 2 * len(kept) + 1000:
                temporary.parent.mkdir(exist_ok=True)
                temporary.write_bytes(b"".join(kept))
                temporary.replace(memo)

    def _take(self, name: str) -> Path | None:
        """Move a file to the trash; None when it is not there."""
        place, path = self._home(name), self._root / "trash" / name
        if place is None:
            return None
        try:
            path.parent.mkdir(exist_ok=True)
            place.rename(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise store_error(error, place) from error
        return path

    def _return(self, path: Path) -> None:
        place = self._home(path.name)
        if place is not None:
            _back(path, place)

    def _home(self, name: str) -> Path | None:
        """Return where something in the trash belongs."""
        kind, _, digits = name.partition("-")
        if kind == "r":
            return self._root / "actions" / digits[:2] / f"{digits[2:]}.json"
        return blob_path(self._root, Digest(PREFIX + digits)) if kind == "b" else None


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Be the only one who takes something out of a store.

    Raises:
        StoreError: Another one does, or the store cannot be written.
    """
    path = root / "locks" / "gc"
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            free = stack.enter_context(held_if_free(path))
        except OSError as error:
            raise store_error(error, root) from error
        if not free:
            raise StoreError(
                f"{root}: another process is removing from it", hint="try again when it has ended"
            )
        yield


def _back(path: Path, place: Path) -> None:
    """Move a file back, unless there is a new one in its place."""
    try:
        os.link(path, place)
    except FileExistsError:
        pass
    except OSError:  # no hard links here
        if not place.exists():
            path.rename(place)
            return
    path.unlink(missing_ok=True)


def blob_path(root: Path, digest: Digest) -> Path:
    """Return where a blob lies, or would."""
    digits = digest.removeprefix(PREFIX)
    return root / "blobs" / digits[:2] / digits[2:]


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    everything = list(items)
    for start in range(0, len(everything), AT_ONCE):
        yield everything[start : start + AT_ONCE]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _path(line: bytes) -> str:
    try:
        return str(json.loads(line)[0])
    except (ValueError, TypeError, IndexError, KeyError):
        return ""
