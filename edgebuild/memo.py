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

from edgebuild.digest import Digest, digest_file

if TYPE_CHECKING:
    from pathlib import Path

GRAIN_NS = 20_000_000
"""Timestamps closer to now than this may repeat for a second write (kernel ticks are 1 to 10 ms)."""

Signature = tuple[int, int, int, int]


class Memo:
    """An append-only journal of ``path -> (stat signature, digest)``.

    Many processes may append at once: a line is one ``write`` in append mode. A torn or strange line is
    skipped, which costs one hash.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._rows: dict[str, tuple[Signature, str]] = {}
        self._lock = threading.Lock()
        self._load()

    def digest(self, path: str) -> Digest:
        """Return the digest of a file, from memory when its stat is unchanged.

        Raises:
            OSError: The file cannot be read.
        """
        before = signature(os.stat(path))  # noqa: PTH116 - called for every input of every action
        row = self._rows.get(path)
        if row is not None and row[0] == before:
            return Digest(row[1])
        value = digest_file(path)
        if signature(os.stat(path)) == before:  # noqa: PTH116
            self.remember(path, before, value)
        return value

    def remember(self, path: str, stat: Signature, digest: Digest) -> None:
        """Note a digest that was computed while the file had this signature."""
        if time.time_ns() - max(stat[1], stat[3]) < GRAIN_NS:
            return
        with self._lock:
            self._rows[path] = (stat, digest)
        line = json.dumps([path, *stat, digest], ensure_ascii=False) + "\n"
        with contextlib.suppress(OSError):  # a memo that cannot be written costs time, not correctness
            fd = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(fd, line.encode("utf-8", "surrogateescape"))
            finally:
                os.close(fd)

    def _load(self) -> None:
        try:
            text = self._journal.read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            return
        lines = text.split("\n")
        for line in lines:
            try:
                path, size, mtime, inode, ctime, value = json.loads(line)
            except ValueError:
                continue
            self._rows[path] = ((size, mtime, inode, ctime), value)
        if len(lines) > 2 * len(self._rows) + 1000:
            self._compact()

    def _compact(self) -> None:
        rows = [
            json.dumps([path, *stat, value], ensure_ascii=False) for path, (stat, value) in self._rows.items()
        ]
        temporary = f"{self._journal}.{os.getpid()}"
        with contextlib.suppress(OSError):
            with open(temporary, "wb") as stream:  # noqa: PTH123
                stream.write(("\n".join(rows) + "\n").encode("utf-8", "surrogateescape"))
            os.replace(temporary, self._journal)  # noqa: PTH105


def signature(stat: os.stat_result) -> Signature:
    """Return what changes when a file is written: size, mtime, inode, ctime (times in nanoseconds)."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns)
