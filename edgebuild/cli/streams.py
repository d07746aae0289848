"""Standard streams that never end a run: closed, full, without a reader, or of a small character set.

Imported before everything else, so it imports next to nothing itself.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

TYPE_CHECKING = False  # as in edgebuild.cli.main

if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer

SPELLED = {"✓": "+", "✗": "x", "▲": "!", "≤": "<=", "≥": ">=", "→": "->", "·": "-", "…": "..."}
"""What stands for our own symbols where the encoding has none; all else is escaped as in JSON."""


class LostOutputError(Exception):
    """Standard output cannot be written."""


class _Output(io.FileIO):
    """Standard output: what cannot be written is an error of its own kind, and a reader that is gone none."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # `| head`: nobody wants the rest
            return len(memoryview(data))
        except OSError as error:
            raise LostOutputError(error.strerror) from None


class _Messages(io.FileIO):
    """Standard error: where it cannot be written there is nobody to tell."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data))


def mend() -> None:
    """Give the process three standard streams to rely on."""
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        _open(number, mode)  # output that is closed is opened to read: to write there is an error, as it was
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for good
    codecs.register_error("edgebuild", _spell)
    sys.stdout = _stream(_Output(1, "w", closefd=False), sys.stdout)
    sys.stderr = _stream(_Messages(2, "w", closefd=False), sys.stderr)


def finish(code: int) -> int:
    """Write what is left of standard output; return the exit code, another one when it cannot be written."""
    try:
        sys.stdout.flush()
    except LostOutputError as error:
        return lost(error, code)
    return code


def lost(error: LostOutputError, code: int = 0) -> int:
    """Say that standard output cannot be written, give it up, and return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr.write(f"edgebuild: standard output: {error}; what was made is kept\n")
    return code if code == 1 or code > 128 else 8


def _open(number: int, mode: int) -> None:
    """Open a descriptor that is closed: the next file would get its number, and take what is printed."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, mode)
        os.dup2(opened, number)
        if opened != number:
            os.close(opened)


def _stream(raw: io.FileIO, before: TextIO | None) -> TextIO:
    errors = getattr(before, "errors", "strict")
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", "utf-8"),
        errors="edgebuild" if errors in {"strict", "backslashreplace"} else errors,
        line_buffering=raw.fileno() == 2 or raw.isatty(),
    )


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for text that the encoding does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(SPELLED.get(one, _escaped(one)) for one in error.object[error.start : error.end])
    return text, error.end


def _escaped(character: str) -> str:
    """Return a character as JSON escapes it."""
    data = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{data[start : start + 4]}" for start in range(0, len(data), 4))
