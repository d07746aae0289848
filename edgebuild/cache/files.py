"""The one door through which anything leaves a store.

Some names are announced, then leases, roots and new records are read, and only what none of these holds is
removed: see :mod:`edgebuild.cache.removal`. Records go before the blobs that they name, so however this is
killed, no record names a blob that it has removed.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edgebuild.cache import away
from edgebuild.cache.journal import last_keys
from edgebuild.cache.leases import live_leases
from edgebuild.cache.pins import read_pins
from edgebuild.cache.removal import announced
from edgebuild.cache.scan import scan_records
from edgebuild.cache.store import store_error
from edgebuild.cache.uses import read_uses, workspaces
from edgebuild.digest import PREFIX, Digest
from edgebuild.lock import held_if_free

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from edgebuild.action import ActionKey

AT_ONCE = 1024
"""Names that are announced at once; leases and roots are read once for them, and runs wait that long."""

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
    """Takes things out of a store. Hold :func:`edgebuild.cache.removal.alone` around all its work.

    Args:
        root: The store.
        pins_only: The last results of workspaces may go.
    """

    def __init__(self, root: Path, *, pins_only: bool = False) -> None:
        self._root = root
        self._pins_only = pins_only

    def remove_records(self, keys: Iterable[ActionKey]) -> set[ActionKey]:
        """Remove records that nothing holds; return the keys of those that are gone.

        Raises:
            StoreError: One cannot be removed.
        """
        removed: set[ActionKey] = set()
        for some in _batches(keys):
            with announced(self._root, some):
                now = guarded(self._root, pins_only=self._pins_only)
                for key in some:
                    if not now.hold(key):
                        _remove(self._root / "actions" / key[:2] / f"{key[2:]}.json")
                        away.forget(self._root, key)
                        removed.add(key)
        return removed

    def remove_blobs(self, digests: Iterable[Digest], known: Mapping[ActionKey, int]) -> set[Digest]:
        """Remove blobs that no record names and nobody claims; return those that are gone.

        Args:
            digests: Blobs that none of the known records names.
            known: Inodes by key of the records that were read.

        Raises:
            StoreError: One cannot be removed.
        """
        removed: set[Digest] = set()
        read = dict(known)
        named: set[Digest] = set()
        for some in _batches(digests):
            with announced(self._root, some):
                now = guarded(self._root, pins_only=self._pins_only)
                # After the leases: when a run has ended, its records are there.
                for row in scan_records(self._root, known=read):
                    read[row.key] = row.inode
                    named.update(row.sizes)
                for digest in some:
                    if digest not in named and not now.hold(digest):
                        _remove(blob_path(self._root, digest))
                        removed.add(digest)
        return removed

    def remove_files(self, paths: Iterable[Path]) -> None:
        """Remove files that are no part of any result, as far as that is possible."""
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink()

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
        memo, temporary = self._root / "blobs.memo", self._root / "locks" / f".{secrets.token_hex(8)}"
        here = {str(blob_path(self._root, digest)) for digest in blobs}
        with contextlib.suppress(OSError):
            lines = memo.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if _path(line) in here]
            if len(lines) > 2 * len(kept) + 1000:
                temporary.write_bytes(b"".join(kept))
                temporary.replace(memo)


def blob_path(root: Path, digest: Digest) -> Path:
    """Return where a blob lies, or would."""
    digits = digest.removeprefix(PREFIX)
    return root / "blobs" / digits[:2] / digits[2:]


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise store_error(error, path) from error


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
