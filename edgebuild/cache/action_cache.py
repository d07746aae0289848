"""The action cache: action key -> what the action left, over a content store.

A record is written last, so its presence says that everything it names was complete. It carries the key
document too: that is what explanations compare. Failures are never recorded.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgebuild.action import ActionKey, Artifact, Finding
from edgebuild.cache import away
from edgebuild.cache.store import Store, make_folder, store_error
from edgebuild.digest import Digest, canonical_json, decode, digest_bytes, digest_text, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD_SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What one action left.

    Attributes:
        key: The action key.
        artifacts: Its outputs by content.
        findings: What the toolchain's log rules found.
        document: The key document, for explanations.
        trees: Listing per tree input, role -> rows of (relative path, digest), for explanations.
        texts: Rendered files, path -> text, for explanations.
        seconds: How long it took when it ran.
        rules: Patterns that its log was read with, for findings.
    """

    key: ActionKey
    artifacts: tuple[Artifact, ...]
    findings: tuple[Finding, ...]
    document: Mapping[str, Any]
    trees: Mapping[str, tuple[tuple[str, str], ...]]
    seconds: float
    texts: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[str, ...] = ()


class Elsewhere(Protocol):
    """Results on other machines (:mod:`edgebuild.remote.tier`)."""

    @property
    def address(self) -> str:
        """Where they are, fit for a message."""

    def fetch_record(self, key: ActionKey) -> Record | None:
        """Return the record of a key, or None; none of its blobs is looked at."""

    def fetch_artifact(self, artifact: Artifact) -> bool:
        """Bring an artifact's blobs into the store; False: they cannot be had."""

    def offer(self, record: Record, action_id: str, *, repeatable: bool) -> None:
        """Upload a result some time."""


class ActionCache:
    """Records by action key, and the store that holds what they name.

    Attributes:
        store: The content.
        elsewhere: Asked for what is not here, and given what is made here; None: nobody.
        spared: Keys whose results are taken as they are although bytes of them are not here.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.elsewhere: Elsewhere | None = None
        self.spared: frozenset[ActionKey] = frozenset()
        self._came: set[ActionKey] = set()

    def connect(self, elsewhere: Elsewhere) -> None:
        """Ask other machines for what is not here."""
        self.elsewhere = elsewhere
        self.store.fetch = elsewhere.fetch_artifact

    def lookup(self, key: ActionKey) -> Record | None:
        """Return the record of a key when everything it names can be had, else None.

        What is here is checked. What is elsewhere is not downloaded before it is used: a record there was
        written last, so its presence says that its blobs are there too.
        """
        record = self.peek(key)
        if record is not None and self._is_here(record):
            return record
        if self.elsewhere is None:
            return record if key in self.spared else None
        found = self.elsewhere.fetch_record(key)
        if found is not None:
            self._came.add(key)
            if found != record:
                self._write(found)
            if not self._is_here(found):
                away.note(self.store.root, key, self.elsewhere.address)
        return found

    def _is_here(self, record: Record) -> bool:
        return all(self.store.has_artifact(artifact) for artifact in record.artifacts)

    def lost(self, key: ActionKey) -> str:
        """Return in words what has become of a result that is known and cannot be had."""
        address = away.where(self.store.root, key)
        if address and self.elsewhere is None:
            return f"its bytes are in the remote cache {address}, which is not connected"
        return "its stored output is missing or was damaged"

    def peek(self, key: ActionKey) -> Record | None:
        """Return the record of a key without looking at its blobs; a damaged record is put aside."""
        path = self.path(key)
        try:
            data = path.read_bytes()
        except OSError:  # absent, or not to be read now: a miss, which costs time only
            return None
        record = parse_record(data, key)
        if record is None:
            self._put_aside(path)
        return record

    def known(self, key: ActionKey) -> Record | None:
        """Return a record from here or from elsewhere, for explanations: none of its blobs is looked at."""
        return self.peek(key) or (self.elsewhere.fetch_record(key) if self.elsewhere else None)

    def forget(self, key: ActionKey) -> None:
        """Remove a record, so that its action runs again."""
        with contextlib.suppress(OSError):
            self.path(key).unlink()
        away.forget(self.store.root, key)

    def record(self, record: Record, action_id: str = "", *, repeatable: bool = True) -> None:
        """Keep a result that was made here: write its record, atomically, and offer it elsewhere.

        Args:
            record: The result; its blobs are in the store.
            action_id: Of the action, for findings.
            repeatable: An equal action must leave equal bytes; a measurement need not.

        Raises:
            StoreError: The disk is full or the store cannot be written.
        """
        self._write(record)
        self._came.discard(record.key)
        away.forget(self.store.root, record.key)
        self.share(record, action_id, repeatable=repeatable)

    def share(self, record: Record, action_id: str, *, repeatable: bool) -> None:
        """Offer a result elsewhere: one made here, or one from before there was anybody to share with."""
        if self.elsewhere is not None and record.key not in self._came:
            self.elsewhere.offer(record, action_id, repeatable=repeatable)

    def _write(self, record: Record) -> None:
        path = self.path(record.key)
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        try:
            make_folder(path.parent)
            temporary.write_bytes(spell_record(record))
            temporary.rename(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise store_error(error, self.store.root) from error

    def path(self, key: ActionKey) -> Path:
        """Return where the record of a key lies, or would."""
        return Path(f"{self.store.root}/actions/{key[:2]}/{key[2:]}.json")

    def _put_aside(self, path: Path) -> None:
        place = self.store.root / "quarantine" / f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)


def spell_record(record: Record) -> bytes:
    """Return a record as the bytes that a cache keeps."""
    body = {
        "schema": RECORD_SCHEMA,
        "key": record.key,
        "artifacts": [[a.role, a.digest, a.size, a.tree, list(a.entries)] for a in record.artifacts],
        "findings": [[f.id, f.level, f.message, f.hint] for f in record.findings],
        "document": record.document,
        "trees": {role: list(rows) for role, rows in record.trees.items()},
        "seconds": round(record.seconds, 3),
        "texts": dict(record.texts),
        "rules": list(record.rules),
    }
    text = canonical_json(body)
    # The record's own digest: one flipped bit anywhere in it and it is not believed.
    return encode(f"{text}\n{digest_text(text)}\n")


def parse_record(data: bytes, key: ActionKey) -> Record | None:
    """Return the record in bytes that a cache kept, or None when they are not whole or of another key."""
    body, _, seal = data.rstrip(b"\n").rpartition(b"\n")
    if not body or seal != digest_bytes(body).encode():
        return None
    try:
        row = json.loads(decode(body))
        if row["schema"] != RECORD_SCHEMA or row["key"] != key:
            return None
        return Record(
            key=key,
            artifacts=tuple(_artifact(*a) for a in row["artifacts"]),
            findings=tuple(Finding(id=i, level=lv, message=m, hint=h) for i, lv, m, h in row["findings"]),
            document=row["document"],
            trees={role: tuple((n, d) for n, d in rows) for role, rows in row["trees"].items()},
            seconds=row["seconds"],
            texts=row.get("texts", {}),
            rules=tuple(row.get("rules", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _artifact(role: str, digest: str, size: int, tree: bool, entries: list[list[Any]]) -> Artifact:  # noqa: FBT001
    return Artifact(
        role=role,
        digest=Digest(digest),
        size=size,
        tree=tree,
        entries=tuple((name, Digest(value), length) for name, value, length in entries),
    )
