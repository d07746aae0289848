"""Leases: what a live run uses of a store, written down before it is used.

A run writes a name (an action key or a digest) into its lease, waits until that name is not being removed
(:mod:`edgebuild.cache.removal`), and only then looks whether the thing is there. From then on it stays there
until the run ends.

A lease is a locked file. The kernel frees the lock when the run ends, however it ends, so a lease that can
be locked belongs to nobody. A live lease without a line claims everything: it is just being made, or its
run could not write.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebuild.cache.action_cache import ActionCache, Record
from edgebuild.cache.journal import last_keys
from edgebuild.cache.removal import keep_off
from edgebuild.cache.store import Store, store_error
from edgebuild.cache.uses import register
from edgebuild.digest import decode, encode
from edgebuild.lock import held, held_if_free

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgebuild.action import ActionKey
    from edgebuild.digest import Digest

NO_REMOVER = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Where this user cannot make a lease; nothing can be removed there in this user's name either."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """A live run's lease.

    Attributes:
        pid: Process number of the run, 0 when it is not known yet.
        since: When it began, seconds since 1970.
        workspace: Path of its journal.
        claims: Action keys and digests; None: everything.
    """

    pid: int
    since: float
    workspace: str
    claims: frozenset[str] | None


class Lease:
    """The lease of this process; it is made by its first claim, and given back by :meth:`close` or at exit.

    Args:
        root: The store.
        journal: The workspace's journal: its keys are claimed at once, in one write, for a run that finds
            nothing to do uses just these.
    """

    def __init__(self, root: Path, journal: Path) -> None:
        self._root = root
        self._journal = journal
        self._claimed: set[str] = set()
        self._lock = threading.Lock()
        self._open: contextlib.ExitStack | None = None
        self._descriptor = -1
        self._end: weakref.finalize[..., Lease] | None = None

    def claim(self, name: str) -> None:
        """Say that this run uses a thing, before it looks whether it is there.

        Raises:
            StoreError: The lease cannot be made.
        """
        if name in self._claimed:
            return
        with self._lock:
            if self._open is None:
                self._begin()
            if name in self._claimed:
                return
            self._write(f"{name}\n")
        keep_off(self._root, {name})
        self._claimed.add(name)  # only now: another thread that finds it here does not wait

    def close(self) -> None:
        """Give the lease back; a later claim makes a new one."""
        with self._lock:
            if self._end is not None:
                self._end()
            self._open, self._end, self._descriptor = None, None, -1
            self._claimed.clear()

    def _begin(self) -> None:
        stack = contextlib.ExitStack()
        try:
            path = self._root / "leases" / secrets.token_hex(8)
            _sweep(path.parent)
            stack.enter_context(held(path))
            stack.callback(path.unlink, missing_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
            stack.callback(os.close, self._descriptor)
        except OSError as error:
            stack.close()
            if error.errno not in NO_REMOVER:
                raise store_error(error, self._root) from error
        self._open = stack
        self._end = weakref.finalize(self, _close, stack, os.getpid())
        register(self._root, self._journal)
        head = {"pid": os.getpid(), "since": round(time.time(), 3), "workspace": str(self._journal)}
        keys = dict.fromkeys(last_keys(self._journal).values())
        self._write("".join(f"{line}\n" for line in (json.dumps(head), *keys)))
        keep_off(self._root, keys.keys())
        self._claimed.update(keys)

    def _write(self, text: str) -> None:
        if self._descriptor < 0:
            return
        data = encode(text)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            # A full disk must not fail a run that only reads: an empty lease claims everything.
            # What was written after this would turn "everything" into a few names, so nothing is.
            os.ftruncate(self._descriptor, 0)
            self._descriptor = -1


class LeasedStore(Store):
    """A store that claims what it is about to put in."""

    def __init__(self, root: Path, lease: Lease) -> None:
        super().__init__(root)
        self.lease = lease

    def adopt(self, path: Path, digest: Digest) -> None:
        """Claim the digest, then move the file in: equal bytes that are there may not go meanwhile."""
        self.lease.claim(digest)
        super().adopt(path, digest)


class LeasedCache(ActionCache):
    """An action cache that claims what it is about to look up or to write.

    Args:
        root: The store.
        journal: The workspace's journal.
    """

    def __init__(self, root: Path, journal: Path) -> None:
        self.lease = Lease(root, journal)
        super().__init__(LeasedStore(root, self.lease))

    def lookup(self, key: ActionKey) -> Record | None:
        """Claim the key, then return its record, or None."""
        self.lease.claim(key)
        return super().lookup(key)

    def _write(self, record: Record) -> None:
        """Claim the key and all that the record names, then write it: also one that comes from elsewhere."""
        self.lease.claim(record.key)
        for artifact in record.artifacts:
            if not artifact.tree:
                self.lease.claim(artifact.digest)
            for _, digest, _ in artifact.entries:
                self.lease.claim(digest)
        super()._write(record)


def live_leases(root: Path) -> Iterator[Live]:
    """Yield the leases of live runs; those of dead ones are removed."""
    for path in _paths(root / "leases"):
        found = None
        with contextlib.suppress(OSError):  # gone meanwhile: its run has ended
            found = None if _removed_dead(path) else _read(path)
        if found is not None:
            yield found


def _sweep(folder: Path) -> None:
    for path in _paths(folder):
        with contextlib.suppress(OSError):
            _removed_dead(path)


def _paths(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)]  # noqa: PTH208 - asked for every few removals
    except OSError:
        return []


def _removed_dead(path: Path) -> bool:
    with held_if_free(path) as free:
        if free:
            path.unlink(missing_ok=True)
        return free


def _read(path: Path) -> Live:
    whole, _, _ = path.read_bytes().rpartition(b"\n")  # a line without its end has not been waited for yet
    head, *names = decode(whole).split("\n")
    if not head:
        return Live(pid=0, since=0.0, workspace="", claims=None)
    try:
        row = json.loads(head)
        return Live(
            pid=int(row["pid"]),
            since=float(row["since"]),
            workspace=str(row["workspace"]),
            claims=frozenset(names),
        )
    except (ValueError, KeyError, TypeError):
        return Live(pid=0, since=0.0, workspace="", claims=None)


def _close(stack: contextlib.ExitStack, pid: int) -> None:
    if os.getpid() == pid:  # a forked child shares the lock, but the lease is its parent's
        with contextlib.suppress(OSError):
            stack.close()
