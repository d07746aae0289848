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
from typing import TYPE_CHECKING

from edgebuild.digest import Digest, decode, digest_file, encode, is_digest

if TYPE_CHECKING:
    from pathlib import Path

GRAIN_NS = 20_000_000
"""Timestamps closer to now than this may repeat for a second write (kernel ticks are 1 to 10 ms)."""

COARSE_NS = 2_000_000_000
"""The same where a filesystem keeps whole seconds only."""

Signature = tuple[int, int, int, int]


class Memo:
    """An append-only journal of ``path -> (stat signature, digest)``.

    Many processes may append at once: a line is one ``write`` in append mode. A torn or strange line is
    skipped, which costs one hash.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._rows: dict[str, tuple[Signature, Digest]] = {}
        self._torn = False
        self._lock = threading.Lock()
        self._load()

    def digest(self, path: str) -> Digest:
        """Return the digest of a file, from memory when its stat is unchanged.

        Raises:
            OSError: The file cannot be read.
        """
        now = time.time_ns()
        before = signature(os.stat(path))  # noqa: PTH116 - called for every input of every action
        row = self._rows.get(path)
        if row is not None and row[0] == before:
            return row[1]
        value = digest_file(path)
        if signature(os.stat(path)) == before:  # noqa: PTH116
            self._remember(path, before, value, now)
        return value

    def _remember(self, path: str, stat: Signature, digest: Digest, now: int) -> None:
        """Note a digest, unless the file was so young when it was first looked at that a write may hide."""
        if now - max(stat[1], stat[3]) < _grain(stat):
            return
        with self._lock:
            self._rows[path] = (stat, digest)
            torn, self._torn = self._torn, False
        line = ("\n" if torn else "") + json.dumps([path, *stat, digest], ensure_ascii=False) + "\n"
        with contextlib.suppress(OSError):  # a memo that cannot be written costs time, not correctness
            fd = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(fd, encode(line))
            finally:
                os.close(fd)

    def _load(self) -> None:
        try:
            data = self._journal.read_bytes()
        except OSError:
            return
        lines = data.split(b"\n")
        self._torn = bool(lines.pop())
        for line in lines:
            row = _row(line)
            if row is not None:
                self._rows[row[0]] = row[1:]
        if len(lines) > 2 * len(self._rows) + 1000:
            self._compact()

    def _compact(self) -> None:
        rows = [
            json.dumps([path, *stat, value], ensure_ascii=False) + "\n"
            for path, (stat, value) in self._rows.items()
        ]
        temporary = f"{self._journal}.{os.getpid()}"
        with contextlib.suppress(OSError):
            with open(temporary, "wb") as stream:  # noqa: PTH123
                stream.write(encode("".join(rows)))
            os.replace(temporary, self._journal)  # noqa: PTH105
            self._torn = False


def signature(stat: os.stat_result) -> Signature:
    """Return what changes when a file is written: size, mtime, inode, ctime (times in nanoseconds)."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns)


def _grain(stat: Signature) -> int:
    return COARSE_NS if stat[1] % 1_000_000_000 == 0 and stat[3] % 1_000_000_000 == 0 else GRAIN_NS


def _row(line: bytes) -> tuple[str, Signature, Digest] | None:
    """Return a line's row, or None for one that is not whole."""
    try:
        path, size, mtime, inode, ctime, value = json.loads(decode(line))
    except (ValueError, TypeError, RecursionError):
        return None
    numbers = all(isinstance(number, int) for number in (size, mtime, inode, ctime))
    if not (numbers and isinstance(path, str) and is_digest(value)):
        return None
    return path, (size, mtime, inode, ctime), Digest(value)
