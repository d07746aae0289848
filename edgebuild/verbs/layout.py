"""Text in columns, wrapped on a terminal; a pipe gets whole lines, which other programs can cut."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NARROW = 40
"""A terminal of fewer columns is not worth wrapping for."""


def terminal_width() -> int:
    """Return the columns of the terminal that is written to, ``COLUMNS`` if that is set; 0: no terminal."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return 0


def entry(head: str, text: str, *, width: int = 0) -> list[str]:
    """Return a text behind its head, such as a name in a column; further lines start below its first word.

    Args:
        head: What stands before it, spaces included.
        text: The text.
        width: Columns to wrap at; 0: one line.
    """
    if not text or width < max(NARROW, len(head) + NARROW // 2):
        return [f"{head}{text}".rstrip()]
    return textwrap.wrap(
        text,
        width=width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(rows: Sequence[Sequence[str]], *, indent: str = "", width: int = 0) -> list[str]:
    """Return rows as aligned columns, two spaces apart; the last one is wrapped.

    Args:
        rows: Cells; all rows have equally many.
        indent: What every line starts with.
        width: Columns to wrap at; 0: do not.
    """
    if not rows:
        return []
    # A column that is empty everywhere takes no room.
    sizes = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    lines = []
    for row in rows:
        cells = [f"{cell:{size}}  " for cell, size in zip(row[:-1], sizes, strict=True) if size]
        lines += entry(indent + "".join(cells), row[-1], width=width)
    return lines
