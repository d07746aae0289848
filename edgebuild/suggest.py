"""Words for messages: near misses and short lists."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return ``did you mean 'x'?`` when a known word is near, else ``otherwise``."""
    words = list(known)
    folded = {item.lower(): item for item in reversed(words)}
    close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[close[0]]!r}?" if close else otherwise


def listed(words: Iterable[str], *, most: int = 12) -> str:
    """Return the words with commas, cut after ``most`` of them."""
    items = list(words)
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
