"""Words for messages: near misses and short lists."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LEAST_BEGINNING = 3
"""Characters from which on the beginning of a word says which one is meant."""


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = 0.6) -> str:
    """Return ``did you mean 'x'?`` when a known word is near, else ``otherwise``."""
    near = nearest(word, known, cutoff=cutoff)
    return f"did you mean {near!r}?" if near else otherwise


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the known word that is nearest, or nothing where none is near."""
    words = list(known)
    folded = {item.lower(): item for item in reversed(words)}
    close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=cutoff)
    # Who writes the beginning of a long name, such as onnx for onnxruntime, means that one.
    begun = [name for name in folded if len(word) >= LEAST_BEGINNING and name.startswith(word.lower())]
    return folded[(close or sorted(begun, key=len))[0]] if close or begun else ""


def near_file(path: Path) -> str:
    """Return a suggestion of a file of nearly the same name in the same folder, or nothing."""
    if not path.parent.is_dir():
        return ""
    return did_you_mean(path.name, sorted(entry.name for entry in path.parent.iterdir()), cutoff=0.8)


def listed(words: Iterable[str], *, most: int = 12) -> str:
    """Return the words with commas, cut after ``most`` of them."""
    items = list(words)
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
