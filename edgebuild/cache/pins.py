"""Pins: results that nobody removes until they are unpinned, such as those of a release."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebuild.cache.store import store_error
from edgebuild.digest import canonical_json, decode, encode
from edgebuild.errors import StoreError, UsageError
from edgebuild.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """A name for results that stay.

    Attributes:
        name: What it is called.
        keys: Action keys, sorted.
        at: When it was made, seconds since 1970.
        what: Where the keys came from, in words.
    """

    name: str
    keys: tuple[str, ...]
    at: float
    what: str


def read_pins(root: Path) -> tuple[Pin, ...]:
    """Return the pins of a store by name.

    Raises:
        StoreError: One cannot be read: what it holds must not go because of that.
    """
    try:
        return tuple(_read(_place(root, name)) for name in _names(root))
    except OSError as error:
        raise store_error(error, root) from error


def add_pin(root: Path, pin: Pin) -> None:
    """Write a pin.

    Raises:
        UsageError: It cannot be called so, or there is one of that name.
        StoreError: The store cannot be written.
    """
    if not _NAME.fullmatch(pin.name):
        raise UsageError(
            f"{pin.name!r} cannot name a pin", hint="letters, digits, `.`, `_` and `-`, such as 1.4.0"
        )
    place = _place(root, pin.name)
    temporary = place.with_name(f".{secrets.token_hex(8)}")
    body = {"at": pin.at, "keys": list(pin.keys), "what": pin.what}
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(encode(canonical_json(body)))
        os.link(temporary, place)  # unlike a rename, it replaces none
    except FileExistsError:
        hint = f"`edgebuild cache unpin {pin.name}` first, or choose another name"
        raise UsageError(f"there is a pin {pin.name!r} already", hint=hint) from None
    except OSError as error:
        raise store_error(error, root) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def remove_pin(root: Path, name: str) -> None:
    """Remove a pin; its results stay until something else decides that they go.

    Raises:
        UsageError: There is none of that name.
        StoreError: The store cannot be written.
    """
    names = _names(root)
    if name not in names:
        known = f"pins: {', '.join(names)}" if names else "there are no pins"
        raise UsageError(f"there is no pin {name!r}", hint=did_you_mean(name, names, otherwise=known))
    try:
        _place(root, name).unlink(missing_ok=True)
    except OSError as error:
        raise store_error(error, root) from error


def resolve_key(word: str, keys: Sequence[str]) -> str:
    """Return the one key that a word is, or starts.

    Raises:
        UsageError: It is none, or several.
    """
    found = [key for key in keys if key.startswith(word)] if re.fullmatch("[0-9a-f]{6,64}", word) else []
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{word} starts {len(found)} keys", hint="give more of its digits")
    hint = "give a key that is there, or a name and a manifest: `edgebuild cache pin 1.4.0 manifest.yaml`"
    raise UsageError(f"the store has no record of {word}", hint=hint)


def _names(root: Path) -> list[str]:
    try:
        found = os.listdir(root / "pins")  # noqa: PTH208 - only the names are wanted
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".json") for name in found if name.endswith(".json"))


def _place(root: Path, name: str) -> Path:
    return root / "pins" / f"{name}.json"


def _read(path: Path) -> Pin:
    data = path.read_bytes()
    try:
        row = json.loads(decode(data))
        keys, at, what = row["keys"], float(row["at"]), str(row["what"])
        return Pin(name=path.stem, keys=tuple(map(str, keys)), at=at, what=what)
    except (ValueError, KeyError, TypeError):
        hint = f"`edgebuild cache unpin {path.stem}` when you do not need what it held"
        raise StoreError(f"{path}: is no pin", hint=hint) from None
