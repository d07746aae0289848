"""The workspace's journal: which key each action had when it last succeeded here.

One line per success, appended in one write, so a kill at any instant loses at most the last line; a torn
line is skipped. It decides nothing: it only lets explanations say what is different from last time.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import TYPE_CHECKING

from edgebuild.action import ActionKey

if TYPE_CHECKING:
    from pathlib import Path


class Journal:
    """Last keys by action id, in a file that is only appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._keys: dict[str, str] = {}
        lines = _lines(path)
        self._torn = bool(lines.pop())
        for line in lines:
            row = _row(line)
            if row is not None:
                self._keys[row[0]] = row[1]
        if len(lines) > 4 * len(self._keys) + 1000:
            self._compact()

    def last(self, action: str) -> ActionKey | None:
        """Return the key of the action's last success in this workspace."""
        key = self._keys.get(action)
        return ActionKey(key) if key else None

    def note(self, action: str, key: ActionKey) -> None:
        """Note a success; writes only when it differs from the last one."""
        with self._lock:
            if self._keys.get(action) == key:
                return
            self._keys[action] = key
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(fd, (b"\n" if self._torn else b"") + _line(action, key))
                self._torn = False
            finally:
                os.close(fd)

    def _compact(self) -> None:
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # it is only shorter afterwards
            temporary.write_bytes(b"".join(_line(action, key) for action, key in self._keys.items()))
            temporary.replace(self._path)
            self._torn = False


def last_keys(path: Path) -> dict[str, ActionKey]:
    """Return the key of every action's last success in a workspace, without opening its journal to write."""
    rows = (_row(line) for line in _lines(path)[:-1])
    return {action: ActionKey(key) for action, key in filter(None, rows)}


def _lines(path: Path) -> list[bytes]:
    """Return the lines; the last one is what follows the last line end: empty, or torn."""
    try:
        return path.read_bytes().split(b"\n")
    except OSError:
        return [b""]


def _row(line: bytes) -> tuple[str, str] | None:
    try:
        action, key = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    return (action, key) if isinstance(action, str) and isinstance(key, str) else None


def _line(action: str, key: str) -> bytes:
    return (json.dumps([action, key], ensure_ascii=False) + "\n").encode()
