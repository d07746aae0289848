"""What lies in a store, read without changing anything."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import ActionKey
from edgebuild.cache.action_cache import RECORD_SCHEMA
from edgebuild.cache.gc import Held
from edgebuild.cache.uses import read_uses
from edgebuild.digest import PREFIX, Digest, decode, digest_bytes
from edgebuild.errors import StoreError
from edgebuild.lock import held_if_free

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgebuild.cache.uses import Uses

SEALED = re.compile(rb"(.+)\n(sha256:[0-9a-f]{64})\n*", re.DOTALL)

_PARTS = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{62}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A record as it lies in the store.

    Attributes:
        path: Its file.
        key: The action key that its place says.
        inode: Of its file: another one is another record.
        held: What it says, as of the time when it was written; None when its seal is broken.
        sizes: Bytes per blob that it names.
    """

    path: Path
    key: ActionKey
    inode: int = 0
    held: Held | None = None
    sizes: Mapping[Digest, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftover:
    """A file or directory that is no part of any result.

    Attributes:
        path: Where.
        size: Bytes in all.
        at: When it was last written, seconds since 1970.
        live: A run uses it.
    """

    path: Path
    size: int
    at: float
    live: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """A whole store.

    Attributes:
        records: What sound records say, with their last use.
        inodes: Per key of these, the inode of its file.
        damaged: Records whose seal is broken.
        blobs: Bytes per blob.
        uses: Who used what, and when.
        torn: What writes that never ended left.
        quarantine: What was found damaged.
        scratch: Directories of actions that run, or whose run was killed.
    """

    records: tuple[Held, ...]
    inodes: Mapping[ActionKey, int]
    damaged: tuple[Row, ...]
    blobs: Mapping[Digest, int]
    uses: Uses
    torn: tuple[Leftover, ...]
    quarantine: tuple[Leftover, ...]
    scratch: tuple[Leftover, ...]


def survey(root: Path) -> Survey:
    """Look at a whole store.

    Raises:
        StoreError: It holds records of another version of edgebuild, or cannot be read.
    """
    # Blobs first: a run puts them in before the record that names them, so no blob of a record that is
    # found here is missing from the list, and what is too much in it is looked at again before it goes.
    blobs = scan_blobs(root)
    rows = tuple(scan_records(root))
    uses = read_uses(root)
    times = uses.times()
    return Survey(
        records=tuple(
            replace(row.held, used=max(row.held.used, times.get(row.key, 0.0))) for row in rows if row.held
        ),
        inodes={row.key: row.inode for row in rows if row.held},
        damaged=tuple(row for row in rows if row.held is None),
        blobs=blobs,
        uses=uses,
        torn=tuple(scan_torn(root)),
        quarantine=tuple(scan_quarantine(root)),
        scratch=tuple(scan_scratch(root)),
    )


def scan_records(root: Path, *, known: Mapping[ActionKey, int] | None = None) -> Iterator[Row]:
    """Yield the records of a store.

    Args:
        root: The store.
        known: Inodes by key; these records have been read already, and are left out.

    Raises:
        StoreError: A record was written by another version of edgebuild, so nobody here knows what it names.
    """
    read = known or {}
    for folder, entry in _named(root / "actions", ".json"):
        key = ActionKey(folder.name + entry.name.removesuffix(".json"))
        if key not in read or read[key] != entry.inode():
            row = _record(folder / entry.name, key)
            if row is not None:
                yield row


def scan_blobs(root: Path) -> dict[Digest, int]:
    """Return the blobs of a store with their sizes."""
    found = {}
    for folder, entry in _named(root / "blobs", ""):
        with contextlib.suppress(OSError):
            found[Digest(f"{PREFIX}{folder.name}{entry.name}")] = entry.stat().st_size
    return found


def scan_torn(root: Path) -> Iterator[Leftover]:
    """Yield what writes that never ended left among blobs, records, uses and pins."""
    for top in ("blobs", "actions"):
        for folder in _folders(root / top):
            yield from _leftovers(folder, dots=True)
    for top in ("uses", "workspaces", "pins"):
        yield from _leftovers(root / top, dots=True)


def scan_quarantine(root: Path) -> Iterator[Leftover]:
    """Yield what was found damaged; its time is when it was put aside."""
    yield from _leftovers(root / "quarantine", dots=False)


def scan_scratch(root: Path) -> Iterator[Leftover]:
    """Yield the directories of running actions, and of those whose run was killed."""
    for lock in sorted((root / "scratch").glob("*.lock")):
        with contextlib.suppress(OSError), held_if_free(lock) as free:
            folder = lock.with_suffix("")
            yield Leftover(path=folder, size=_size(folder), at=lock.stat().st_mtime, live=not free)


def _record(path: Path, key: ActionKey) -> Row | None:
    try:
        data = path.read_bytes()
        stat = path.stat()
    except FileNotFoundError:  # gone meanwhile
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    row = Row(path=path, key=key, inode=stat.st_ino)
    match = SEALED.fullmatch(data)
    if match is None or match[2] != digest_bytes(match[1]).encode():
        return row
    try:
        body = json.loads(decode(match[1]))
        if body["schema"] != RECORD_SCHEMA:
            raise StoreError(
                f"{path}: was written by another version of edgebuild (schema {body['schema']})",
                hint="use the newest edgebuild that shares this store to look after it",
            )
        sizes = dict(pair for artifact in body["artifacts"] for pair in _sizes(artifact))
        said = Held(
            key=body["key"],
            step=str(body["document"].get("step", "")),
            size=len(data),
            used=stat.st_mtime,
            seconds=float(body["seconds"]),
            blobs=tuple(sizes),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return row
    return replace(row, held=said, sizes=sizes) if said.key == key else row


def _sizes(row: list[Any]) -> Iterator[tuple[Digest, int]]:
    _, digest, size, tree, entries = row
    if not tree:
        yield Digest(digest), size
    for _, entry, length in entries:
        yield Digest(entry), length


def _folders(top: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from sorted(path for path in top.iterdir() if _PARTS.fullmatch(path.name))


def _named(top: Path, suffix: str) -> Iterator[tuple[Path, os.DirEntry[str]]]:
    """Yield the folder and entry of every file whose path spells a digest."""
    for folder in _folders(top):
        with contextlib.suppress(OSError):
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                if entry.name.endswith(suffix) and _REST.fullmatch(entry.name.removesuffix(suffix)):
                    yield folder, entry


def _leftovers(folder: Path, *, dots: bool) -> Iterator[Leftover]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return
    for name in names:
        if name.startswith(".") is dots:
            with contextlib.suppress(OSError):
                stat = os.stat(folder / name)  # noqa: PTH116
                # A rename changes ctime only, and a rename is how a blob gets to the quarantine.
                yield Leftover(path=folder / name, size=stat.st_size, at=max(stat.st_mtime, stat.st_ctime))


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
    return total
