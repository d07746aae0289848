"""Records and blobs in a store, for the tests of what looks after it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from edgebuild.action import ActionKey, Artifact
from edgebuild.cache.action_cache import ActionCache, Record
from edgebuild.cache.scan import scan_blobs, scan_records
from edgebuild.cache.store import Store
from edgebuild.digest import digest_bytes, digest_text

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.digest import Digest

DAY = 86400


def put(root: Path, text: str, *, key: str = "", step: str = "export", days: float = 0) -> ActionKey:
    """Put a record and its blob into a store, as a run without a lease would some days ago."""
    cache = ActionCache(Store(root))
    name = ActionKey(key or digest_text(f"key of {text}").removeprefix("sha256:"))
    artifact = Artifact(role="out", digest=put_blob(root, text), size=len(text.encode()))
    cache.record(
        Record(key=name, artifacts=(artifact,), findings=(), document={"step": step}, trees={}, seconds=1.0)
    )
    at = time.time() - days * DAY
    os.utime(cache.path(name), (at, at))
    return name


def put_blob(root: Path, text: str) -> Digest:
    """Put a blob into a store, which no record names."""
    root.mkdir(parents=True, exist_ok=True)
    made = root.parent / f"made-{time.monotonic_ns()}"
    made.write_text(text, encoding="utf-8")
    digest = digest_bytes(text.encode())
    Store(root).adopt(made, digest)
    return digest


def keys(root: Path) -> set[str]:
    """Return the keys of the records that are there."""
    return {row.key for row in scan_records(root)}


def sound(root: Path) -> None:
    """Check that every record names blobs that are there."""
    blobs = scan_blobs(root)
    for row in scan_records(root):
        assert row.held is not None
        assert set(row.sizes) <= set(blobs), row.held.step
