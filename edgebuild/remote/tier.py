"""The remote cache as a run uses it: asked when nothing is here, fed in the background, checked always.

Whatever goes wrong with it is a warning and a miss, never a failed build.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from edgebuild.cache.store import store_error
from edgebuild.errors import StoreError, UsageError
from edgebuild.process.execute import stopping
from edgebuild.remote.interface import DamagedError, RemoteError, StoppedError, blobs_of, shown
from edgebuild.remote.ledger import Ledger
from edgebuild.remote.open import open_remote
from edgebuild.remote.send import Offer, Sender, read_record
from edgebuild.remote.upload import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgebuild.action import ActionKey, Artifact
    from edgebuild.cache.action_cache import Record
    from edgebuild.cache.store import Store
    from edgebuild.digest import Digest
    from edgebuild.remote.interface import Remote
    from edgebuild.remote.ledger import RemoteSummary

MODES = ("read", "read-write")

DRAIN_SECONDS = 300.0
"""How long the end of a run waits for uploads."""

FETCHERS = 8
"""Files of one tree that are downloaded at once."""

STRIPES = 64

T = TypeVar("T")


def silent(text: str) -> None:
    """Hear a warning and say nothing; the summary has it too."""


def open_tier(
    store: Store,
    environ: Mapping[str, str],
    *,
    url: str = "",
    mode: str = "",
    warn: Callable[[str], None] = silent,
    give_up: Callable[[], bool] = stopping,
) -> RemoteTier | None:
    """Return the remote cache that the command line or the environment names, or None.

    Args:
        store: Where downloads go and uploads come from.
        environ: ``EDGEBUILD_REMOTE`` and ``EDGEBUILD_REMOTE_MODE`` count where the next two are empty.
        url: Of ``--remote``.
        mode: Of ``--remote-mode``: ``read`` (the default) or ``read-write``.
        warn: Called with each warning, from any thread.
        give_up: Asked during transfers; true ends them.

    Raises:
        UsageError: The address or mode is wrong, or a package it needs is not installed.
    """
    url = url or environ.get("EDGEBUILD_REMOTE", "")
    mode = mode or environ.get("EDGEBUILD_REMOTE_MODE", "") or MODES[0]
    if mode not in MODES:
        raise UsageError(f"{mode!r} is no mode of a remote cache", hint=f"use {' or '.join(MODES)}")
    if not url:
        return None
    remote = open_remote(url, environ, give_up=give_up)
    ledger = Ledger(shown(url), warn)
    return RemoteTier(remote, store, ledger, writable=mode == "read-write", give_up=give_up)


class RemoteTier:
    """A remote cache and what one run does with it. May be used from several threads."""

    def __init__(
        self,
        remote: Remote,
        store: Store,
        ledger: Ledger,
        *,
        writable: bool = False,
        give_up: Callable[[], bool] = stopping,
    ) -> None:
        self.writable = writable
        self._remote = remote
        self._store = store
        self._ledger = ledger
        self._give_up = give_up
        self._stripes = [threading.Lock() for _ in range(STRIPES)]
        self._absent: set[str] = set()
        self._hit: set[ActionKey] = set()
        self._sender = Sender(remote, store, ledger)
        self._uploads = Uploads(self._upload)

    @property
    def address(self) -> str:
        """The address, without credentials."""
        return self._ledger.url

    def fetch_record(self, key: ActionKey) -> Record | None:
        """Return the remote's record of a key, or None; none of its blobs is looked at.

        A key that could not be had is not asked for again in this run; nor is a record believed any more
        when a blob of it could not be had.
        """
        if key in self._absent:
            return None
        record = None
        try:
            record = self._ask(lambda: read_record(self._remote, key), None)
        except DamagedError as error:
            self._ledger.rejected(error)
        if record is not None and any(d in self._absent for a in record.artifacts for d, _ in blobs_of(a)):
            record = None
        if record is None:
            self._absent.add(key)
            self._ledger.count(records_missed=1)
        elif key not in self._hit:  # equal actions ask for the same key
            self._hit.add(key)
            self._ledger.count(records_hit=1)
        return record

    def fetch_blob(self, digest: Digest, size: int) -> bool:
        """Bring a blob into the store, unless it is there; False: it cannot be had.

        Raises:
            StoreError: The store cannot take it.
        """
        # Several actions may want one blob at once; whoever comes second finds it in the store.
        with self._stripes[hash(digest) % STRIPES]:
            if self._store.has(digest, size):
                return True
            if digest in self._absent or not self._download(digest, size):
                self._absent.add(digest)
                return False
        return True

    def fetch_artifact(self, artifact: Artifact) -> bool:
        """Bring every blob of a file or tree into the store, several at once; False: one cannot be had.

        Raises:
            StoreError: The store cannot take it.
        """
        rows = [row for row in dict.fromkeys(blobs_of(artifact)) if not self._store.has(*row)]
        if len(rows) < 2:
            return all(self.fetch_blob(*row) for row in rows)
        in_vain = threading.Event()

        def fetch(row: tuple[Digest, int]) -> bool:
            if in_vain.is_set() or not self.fetch_blob(*row):
                in_vain.set()
            return not in_vain.is_set()

        with ThreadPoolExecutor(min(FETCHERS, len(rows))) as threads:
            return all(threads.map(fetch, rows))

    def offer(self, record: Record, action_id: str, *, repeatable: bool = True) -> None:
        """Upload a result some time before :meth:`close`; returns at once, and does nothing in mode ``read``.

        Args:
            record: The result; its blobs are in the store.
            action_id: Of the action, for a finding.
            repeatable: An equal action must leave equal bytes (a measurement need not).
        """
        if self.writable:
            self._uploads.offer(Offer(record=record, action_id=action_id, repeatable=repeatable))

    def drop(self) -> None:
        """Forget what waits for its upload."""
        self._uploads.drop()

    def close(self, limit: float = DRAIN_SECONDS) -> RemoteSummary:
        """Wait for the uploads, at most ``limit`` seconds and not while the run is being stopped; report."""
        self._uploads.close(limit, give_up=self._give_up)
        return self.summary()

    def summary(self) -> RemoteSummary:
        """Return what was done so far."""
        return self._ledger.summary(MODES[self.writable], dropped=self._uploads.dropped)

    def _download(self, digest: Digest, size: int) -> bool:
        try:
            with self._store.scratch() as folder:
                to = folder / "blob"
                if not self._ask(lambda: self._remote.get_blob(digest, to, size=size), otherwise=False):
                    return False
                self._store.adopt(to, digest)
        except DamagedError as error:
            self._sender.replace_blob(digest)
            self._ledger.rejected(error)
            return False
        except OSError as error:
            raise store_error(error, self._store.root) from error
        self._ledger.count(blobs_down=1, bytes_down=size)
        return True

    def _upload(self, offer: Offer) -> bool:
        sent = False
        try:
            sent = self._ask(lambda: self._sender.send(offer), otherwise=False)
        except (OSError, StoreError) as error:
            self._ledger.say("unread", f"{offer.action_id} is not uploaded: {error}")
        return sent

    def _ask(self, question: Callable[[], T], otherwise: T) -> T:
        """Return the remote's answer, or ``otherwise`` when it gives none.

        Raises:
            DamagedError: It gave a wrong one.
        """
        if self._ledger.left_alone or self._give_up():
            return otherwise
        try:
            answer = question()
        except StoppedError:
            return otherwise
        except DamagedError:
            self._ledger.answered()
            raise
        except RemoteError as error:
            self._ledger.failed(error)
            return otherwise
        except (OSError, StoreError):  # our own disk's, not the remote's
            raise
        except Exception as bug:  # noqa: BLE001 - the remote is not needed; its words may hold credentials
            self._ledger.failed(RemoteError(f"cannot be asked ({type(bug).__name__})"))
            return otherwise
        self._ledger.answered()
        return answer
