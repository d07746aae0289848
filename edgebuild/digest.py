"""Digests: what a digest is, and the only place that computes one."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NewType

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Digest = NewType("Digest", str)
"""``sha256:`` and 64 lower-case hexadecimal digits: the algorithm is part of the value."""

PREFIX = "sha256:"
CHUNK = 1 << 20


def digest_bytes(data: bytes) -> Digest:
    """Return the digest of bytes in memory."""
    return Digest(PREFIX + hashlib.sha256(data).hexdigest())


def digest_text(text: str) -> Digest:
    """Return the digest of a text as UTF-8."""
    return digest_bytes(text.encode("utf-8"))


def digest_file(path: Path | str) -> Digest:
    """Return the digest of a file's content, read once in chunks.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a str path skips building a Path
        return Digest(PREFIX + hashlib.file_digest(stream, "sha256").hexdigest())


def canonical_json(document: Any) -> str:
    """Return the one spelling of a JSON document: sorted keys, no spaces, no NaN."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_document(document: Any) -> Digest:
    """Return the digest of a JSON document's canonical spelling."""
    return digest_text(canonical_json(document))


def digest_tree(entries: Iterable[tuple[str, Digest]]) -> Digest:
    """Return the digest of a tree: its sorted (relative path, content digest) pairs.

    Names count: two files that swap names are another tree.
    """
    return digest_document(sorted(entries))


def short(digest: str, length: int = 12) -> str:
    """Return the first hexadecimal digits of a digest, for people only (never for a key)."""
    return digest.removeprefix(PREFIX)[:length]
