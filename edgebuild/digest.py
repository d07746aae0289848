"""Digests: what a digest is, and the only place that computes one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NewType

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import FileIO
    from pathlib import Path

Digest = NewType("Digest", str)
"""``sha256:`` and 64 lower-case hexadecimal digits: the algorithm is part of the value."""

PREFIX = "sha256:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
CHUNK = 1 << 20
LARGE = 1 << 25
"""Size in bytes from which reading and hashing overlap."""


def digest_bytes(data: bytes) -> Digest:
    """Return the digest of bytes in memory."""
    return Digest(PREFIX + hashlib.sha256(data).hexdigest())


def digest_text(text: str) -> Digest:
    """Return the digest of a text as UTF-8."""
    return digest_bytes(encode(text))


def encode(text: str) -> bytes:
    """Return a text as UTF-8; what Python makes of a file name that is not UTF-8 has a spelling too."""
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """Return the text that :func:`encode` made bytes of.

    Raises:
        UnicodeDecodeError: It made no such bytes.
    """
    return data.decode("utf-8", "surrogatepass")


def digest_file(path: Path | str) -> Digest:
    """Return the digest of a file's content, read once in chunks.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a str path skips building a Path
        if os.fstat(stream.fileno()).st_size >= LARGE:
            return _digest_large(stream)
        return Digest(PREFIX + hashlib.file_digest(stream, "sha256").hexdigest())


def _digest_large(stream: FileIO) -> Digest:
    """Read the next chunk while one is hashed: reading alone would take a seventh of the time."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only for weights and the like

    state = hashlib.sha256()
    chunk, spare = bytearray(CHUNK), bytearray(CHUNK)
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(stream.readinto, chunk)
        while count := ahead.result():
            ahead = reader.submit(stream.readinto, spare)
            state.update(memoryview(chunk)[:count])
            chunk, spare = spare, chunk
    return Digest(PREFIX + state.hexdigest())


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


def is_digest(value: object) -> bool:
    """Return whether a value read from a file is spelled like a digest."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def short(digest: str, length: int = 12) -> str:
    """Return the first hexadecimal digits of a digest, for people only (never for a key)."""
    return digest.removeprefix(PREFIX)[:length]
