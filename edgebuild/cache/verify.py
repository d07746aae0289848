"""Proof that a store is what it says: every byte read again, every record's seal, every blob it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgebuild.cache import away
from edgebuild.cache.files import Door, blob_path
from edgebuild.cache.removal import alone
from edgebuild.cache.scan import scan_blobs, scan_records
from edgebuild.digest import Digest, digest_file

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from edgebuild.cache.scan import Row

Kind = Literal["blob", "record", "incomplete"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bad:
    """One thing that is not what it should be.

    Attributes:
        kind: ``blob``: its bytes are not what its name says; ``record``: its seal is broken; ``incomplete``:
            a record names a blob that is not there, or not sound.
        name: Digest or action key.
        path: Its file.
        what: What is wrong.
    """

    kind: Kind
    name: str
    path: Path
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What a check of a store came to.

    Attributes:
        records: How many were checked.
        blobs: How many were read.
        size: Bytes read.
        bad: What is wrong.
        repaired: How much of it was moved to the quarantine.
        elsewhere: How many of the records name blobs that are in a remote cache only.
    """

    records: int
    blobs: int
    size: int
    bad: tuple[Bad, ...]
    repaired: int = 0
    elsewhere: int = 0


def verify(
    root: Path, *, lazy: bool = False, progress: Callable[[int, int], None] = lambda *_: None
) -> Verified:
    """Read everything, believing no date and no remembered digest.

    Args:
        root: The store.
        lazy: Any record may name blobs that are not here: a remote cache has them. Else only those that
            came from one.
        progress: Called with (bytes read, bytes in all) now and then.

    Raises:
        StoreError: It holds records of another version of edgebuild.
    """
    rows = list(scan_records(root))
    blobs = scan_blobs(root)  # after the records: a blob lies there before a record names it
    bad, read = _blobs(root, blobs, progress)
    unsound = {Digest(one.name) for one in bad}
    elsewhere = 0
    for row in rows:
        absent = row.held is not None and not row.sizes.keys() <= blobs.keys()
        kept = absent and (lazy or bool(away.where(root, row.key)))
        elsewhere += kept
        what = _record(row, root, blobs, unsound, lazy=lazy or kept)
        if what:
            kind: Kind = "incomplete" if row.held else "record"
            bad.append(Bad(kind=kind, name=row.key, path=row.path, what=what))
    return Verified(records=len(rows), blobs=len(blobs), size=read, bad=tuple(bad), elsewhere=elsewhere)


def repair(root: Path, found: Verified) -> int:
    """Move what is wrong to the quarantine, records first; return how much. The next run makes it anew.

    Raises:
        StoreError: It cannot be moved, or another process removes from the store.
    """
    with alone(root):
        door = Door(root)
        ordered = sorted(found.bad, key=lambda one: one.kind == "blob")
        return sum(door.put_aside(one.path) for one in ordered)


def _blobs(
    root: Path, blobs: Mapping[Digest, int], progress: Callable[[int, int], None]
) -> tuple[list[Bad], int]:
    bad: list[Bad] = []
    total, read = sum(blobs.values()), 0
    for digest, size in blobs.items():
        path = blob_path(root, digest)
        what = _content(path, digest)
        if what:
            bad.append(Bad(kind="blob", name=digest, path=path, what=what))
        read += size
        progress(read, total)
    return bad, read


def _content(path: Path, digest: Digest) -> str:
    """Return what is wrong with a blob, or nothing."""
    try:
        found = digest_file(path)
    except FileNotFoundError:  # removed meanwhile
        return ""
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if found == digest else f"its bytes are {found}"


def _record(
    row: Row, root: Path, blobs: Mapping[Digest, int], unsound: Collection[Digest], *, lazy: bool
) -> str:
    """Return what is wrong with a record, or nothing."""
    if row.held is None:
        return "its seal is broken"
    for digest, size in row.sizes.items():
        if digest in blobs and blobs[digest] != size:
            return f"{row.held.step}: {digest} has {blobs[digest]} bytes, not {size}"
        if lazy:
            continue
        if digest in unsound:
            return f"{row.held.step}: {digest} is damaged"
        if digest not in blobs and row.path.exists() and not blob_path(root, digest).exists():
            return f"{row.held.step}: {digest} is not there"
    return ""
