"""What a process says: line by line for a listener, and its last words for a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TAIL_BYTES = 4000

LINE_BYTES = 1 << 16
"""A longer line reaches the listener in pieces: a tool may print megabytes without a line end."""


def log_tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, for an error message."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class Lines:
    """Cuts a byte stream into lines for a listener; carriage returns count as line ends."""

    def __init__(self, listener: Callable[[str], None] | None) -> None:
        self._listener = listener
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take some bytes; what they complete goes to the listener."""
        if self._listener is None:
            return
        *whole, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            if line:
                self._listener(line.decode("utf-8", "replace"))
        if len(self._rest) > LINE_BYTES:
            self.end()

    def end(self) -> None:
        """Give the listener what has no line end."""
        if self._rest and self._listener is not None:
            self._listener(self._rest.decode("utf-8", "replace"))
            self._rest = b""
