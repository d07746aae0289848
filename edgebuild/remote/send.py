"""What goes to a remote cache: all blobs of a result, then its record, and never over another result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebuild.action import Finding
from edgebuild.cache.action_cache import parse_record, spell_record
from edgebuild.remote.interface import DamagedError, believable, blobs_of

if TYPE_CHECKING:
    from edgebuild.action import ActionKey
    from edgebuild.cache.action_cache import Record
    from edgebuild.cache.store import Store
    from edgebuild.digest import Digest
    from edgebuild.remote.interface import Remote
    from edgebuild.remote.ledger import Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A result to upload.

    Attributes:
        record: The result; its blobs are in the store.
        action_id: Of the action, for a finding.
        repeatable: An equal action must leave equal bytes (a measurement need not).
    """

    record: Record
    action_id: str
    repeatable: bool = True


class Sender:
    """Uploads what a remote lacks of a result. May be used from several threads."""

    def __init__(self, remote: Remote, store: Store, ledger: Ledger) -> None:
        self._remote = remote
        self._store = store
        self._ledger = ledger
        self._there: set[Digest] = set()
        self._damaged: set[Digest] = set()

    def replace_blob(self, digest: Digest) -> None:
        """Take note that the remote's blob of this name is not what it should be."""
        self._damaged.add(digest)
        self._there.discard(digest)  # it was seen there, but not looked into

    def send(self, offer: Offer) -> bool:
        """Upload what the remote lacks of a result; False: its blobs are not here any more.

        Raises:
            RemoteError: The remote fails.
            OSError: A blob cannot be read.
            StoreError: Likewise.
        """
        record = offer.record
        there = self._record(record.key)
        if there is None:
            if not self._send_blobs(record):
                return False
            there = self._record(record.key)  # that took its time: someone else may have been faster
            if there is None:
                self._remote.put_record(record.key, spell_record(record))
                self._ledger.count(records_up=1)
                return True
        if there.artifacts != record.artifacts:
            self._note_other(offer, there)
            return True
        return self._send_blobs(record)  # those that the remote has thrown away since

    def _record(self, key: ActionKey) -> Record | None:
        try:
            return read_record(self._remote, key)
        except DamagedError:
            return None  # to be replaced

    def _send_blobs(self, record: Record) -> bool:
        for digest, size in (row for artifact in record.artifacts for row in blobs_of(artifact)):
            if digest in self._there:
                continue
            if digest in self._damaged or not self._remote.has_blob(digest, size=size):
                if not self._store.has(digest, size):
                    return False
                self._remote.put_blob(digest, self._store.blob(digest))
                self._damaged.discard(digest)
                self._ledger.count(blobs_up=1, bytes_up=size)
            self._there.add(digest)
        return True

    def _note_other(self, offer: Offer, there: Record) -> None:
        if not offer.repeatable:  # no two measurements are equal
            return
        ours = {a.role: a for a in offer.record.artifacts}
        theirs = {a.role: a for a in there.artifacts}
        roles = [role for role in dict.fromkeys([*ours, *theirs]) if ours.get(role) != theirs.get(role)]
        key = offer.record.key
        finding = Finding(
            id="not-reproducible",
            level="warning",
            message=f"{offer.action_id}: {', '.join(roles)} came out different from what the remote cache "
            f"holds for the same key {key}; the remote keeps what it has",
            hint="the key holds everything declared; something undeclared, or chance, changes the bytes",
        )
        self._ledger.find(key, offer.action_id, finding)


def read_record(remote: Remote, key: ActionKey) -> Record | None:
    """Return a remote's record of a key, or None when there is none.

    Raises:
        DamagedError: There is one, and it is not to be believed.
        RemoteError: The remote fails.
    """
    data = remote.get_record(key)
    if data is None:
        return None
    record = parse_record(data, key)
    if record is None or not believable(record):
        raise DamagedError(f"ac/{key} is no sound record")
    return record
