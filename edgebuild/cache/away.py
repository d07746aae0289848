"""Which results have bytes in a remote cache only: a note per key, so that these are not taken for lost."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgebuild.action import ActionKey
from edgebuild.cache.store import make_folder

if TYPE_CHECKING:
    from pathlib import Path


def note(root: Path, key: ActionKey, address: str) -> None:
    """Note that a result came from a remote cache without all of its bytes."""
    place = _place(root, key)
    with contextlib.suppress(OSError):  # without the note an explanation is less exact, no more
        if not place.exists():
            make_folder(place.parent)
            place.write_text(address, encoding="utf-8")


def where(root: Path, key: ActionKey) -> str:
    """Return the address of the remote cache that has the bytes of a result, or an empty string."""
    try:
        return _place(root, key).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def keys(root: Path) -> frozenset[ActionKey]:
    """Return the key of every result that has a note."""
    return frozenset(
        ActionKey(place.parent.name + place.name)
        for place in (root / "elsewhere").glob("??/*")
        if place.is_file()
    )


def forget(root: Path, key: ActionKey) -> None:
    """Remove a note: the result was made here, or it is gone."""
    with contextlib.suppress(OSError):
        _place(root, key).unlink()


def _place(root: Path, key: ActionKey) -> Path:
    return root / "elsewhere" / key[:2] / key[2:]
