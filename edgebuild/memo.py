"""Remembered digests of files: a file whose stat is unchanged need not be read again.

The stat never decides that content is equal to something else; it only says that this very file has not
been written since it was hashed. A file changed within the clock's grain of its hashing is not remembered.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgebuild.clock import grain
from edgebuild.digest import Digest, decode, digest_file, encode, is_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 500
"""Lines that are parsed in one go; a strange one costs its block the quick way."""

Signature = tuple[int, int, int, int]


@dataclass(kw_only=True, slots=True)
class _Read:
    """What this process has read of a journal, for all memos of it.

    A row says what a file was when it looked so: that stays true, whoever wrote it and however the journal
    came to be another file meanwhile.

    Attributes:
        rows: By path.
        inode: Of the journal that was read.
        end: Where its last whole line ended, in bytes.
        lines: How many lines that were.
        torn: Its last line is not whole.
    """

    rows: dict[str, tuple[Signature, Digest]] = field(default_factory=dict)
    inode: int = 0
    end: int = 0
    lines: int = 0
    torn: bool = False


_read: dict[str, _Read] = {}
_lock = threading.Lock()


class Memo:
    """An append-only journal of ``path -> (stat signature, digest)``.

    Many processes may append at once: a line is one ``write`` in append mode. A torn or strange line is
    skipped, which costs one hash.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        with _lock:
            # A fleet of manifests makes a memo for each: the next one reads only what was appended since.
            self._read = _read.setdefault(os.path.abspath(journal), _Read())  # noqa: PTH100
            self._load(self._read)

    def digest(self, path: str) -> Digest:
        """Return the digest of a file, from memory when its stat is unchanged.

        Raises:
            OSError: The file cannot be read.
        """
        now = time.time_ns()
        before = signature(os.stat(path))  # noqa: PTH116 - called for every input of every action
        row = self._read.rows.get(path)
        if row is not None and row[0] == before:
            return row[1]
        value = digest_file(path)
        if signature(os.stat(path)) == before:  # noqa: PTH116
            self._remember(path, before, value, now)
        return value

    def _remember(self, path: str, stat: Signature, digest: Digest, now: int) -> None:
        """Note a digest, unless the file was so young when it was first looked at that a write may hide."""
        if now - max(stat[1], stat[3]) < grain(stat[1], stat[3]):
            return
        with _lock:
            self._read.rows[path] = (stat, digest)
            torn, self._read.torn = self._read.torn, False
        line = ("\n" if torn else "") + json.dumps([path, *stat, digest], ensure_ascii=False) + "\n"
        with contextlib.suppress(OSError):  # a memo that cannot be written costs time, not correctness
            fd = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(fd, encode(line))
            finally:
                os.close(fd)

    def _load(self, read: _Read) -> None:
        """Read what is new in the journal."""
        try:
            with open(self._journal, "rb") as stream:  # noqa: PTH123 - its stat and its bytes, of one file
                found = os.fstat(stream.fileno())
                if found.st_ino != read.inode or found.st_size < read.end:
                    read.inode, read.end, read.lines = found.st_ino, 0, 0
                stream.seek(read.end)
                data = stream.read()
        except OSError:
            return
        lines = data.split(b"\n")
        rest = lines.pop()
        read.torn = bool(rest)
        read.end += len(data) - len(rest)
        read.lines += len(lines)
        for path, stat, digest in _rows(lines):
            read.rows[path] = (stat, digest)
        if read.lines > 2 * len(read.rows) + 1000:
            self._compact(read)

    def _compact(self, read: _Read) -> None:
        rows = [
            json.dumps([path, *stat, value], ensure_ascii=False) + "\n"
            for path, (stat, value) in read.rows.items()
        ]
        temporary = f"{self._journal}.{os.getpid()}"
        with contextlib.suppress(OSError):
            with open(temporary, "wb") as stream:  # noqa: PTH123
                stream.write(encode("".join(rows)))
            os.replace(temporary, self._journal)  # noqa: PTH105
            read.torn = False


def signature(stat: os.stat_result) -> Signature:
    """Return what changes when a file is written: size, mtime, inode, ctime (times in nanoseconds)."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns)


def _rows(lines: list[bytes]) -> Iterator[tuple[str, Signature, Digest]]:
    """Yield the row of every line that holds one."""
    for start in range(0, len(lines), BLOCK):
        block = lines[start : start + BLOCK]
        found = _parsed(b"[" + b",".join(block) + b"]")
        if not isinstance(found, list) or len(found) != len(block):
            found = [_parsed(line) for line in block]
        yield from filter(None, map(_row, found))


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(decode(data))
    except (ValueError, RecursionError):
        return None


def _row(found: Any) -> tuple[str, Signature, Digest] | None:
    """Return what a line says as a row, or None when it says nothing of the kind."""
    try:
        path, size, mtime, inode, ctime, value = found
    except (ValueError, TypeError):
        return None
    numbers = type(size) is int and type(mtime) is int and type(inode) is int and type(ctime) is int
    if not (numbers and isinstance(path, str) and is_digest(value)):
        return None
    return path, (size, mtime, inode, ctime), Digest(value)
