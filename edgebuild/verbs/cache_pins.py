"""``edgebuild cache pin``, ``unpin``, ``pins``: results that stay, such as those of a release."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebuild.action import ActionKey
from edgebuild.amounts import counted, span_text
from edgebuild.cache.action_cache import ActionCache
from edgebuild.cache.pins import Pin, add_pin, read_pins, remove_pin, resolve_key
from edgebuild.cache.scan import scan_records
from edgebuild.cache.store import Store
from edgebuild.errors import StoreError, UsageError
from edgebuild.run.session import cache_root
from edgebuild.suggest import listed

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class PinOptions:
    """What the user asked of ``cache pin``."""

    name: str
    manifest: str
    words: tuple[str, ...]
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    json: bool


def pin(options: PinOptions) -> int:
    """Pin the results of a manifest, or of one key.

    Raises:
        UsageError: There is nothing of that kind to pin.
        StoreError: A result has gone while it was being pinned.
    """
    root = cache_root(os.environ)
    if options.manifest:
        name, what, keys = options.name, _what(options), _results(options)
    else:
        key = resolve_key(options.name, [row.key for row in scan_records(root) if row.held])
        name, what, keys = key[:12], f"key {key}", (key,)
    made = Pin(name=name, keys=tuple(sorted(set(keys))), at=round(time.time(), 3), what=what)
    add_pin(root, made)
    _check(root, made)
    if options.json:
        print(json.dumps({"schema": 1, **_row(made)}, indent=2, ensure_ascii=False))
    else:
        print(f"pinned {counted(len(made.keys), 'result')} as {name}")
    return 0


def unpin(name: str, *, as_json: bool) -> int:
    """Remove a pin.

    Raises:
        UsageError: There is none of that name.
    """
    remove_pin(cache_root(os.environ), name)
    print(json.dumps({"schema": 1, "unpinned": name}, indent=2) if as_json else f"unpinned {name}")
    return 0


def pins(*, as_json: bool) -> int:
    """List the pins."""
    found = read_pins(cache_root(os.environ))
    if as_json:
        print(json.dumps({"schema": 1, "pins": [_row(one) for one in found]}, indent=2, ensure_ascii=False))
        return 0
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        age = span_text(time.time() - one.at)
        print(f"{one.name:{width}}  {counted(len(one.keys), 'result'):>11}  {age} ago  {one.what}")
    return 0


def _results(options: PinOptions) -> tuple[str, ...]:
    """Return the key of every chosen action and of all it needs.

    Raises:
        UsageError: One of them has no result, or none of them can be built here.
    """
    from edgebuild.plan.selection import own_targets, select  # noqa: PLC0415
    from edgebuild.run.forecast import forecast  # noqa: PLC0415 - a key alone needs no manifest
    from edgebuild.run.placing import delivered  # noqa: PLC0415
    from edgebuild.run.session import Silence, open_session  # noqa: PLC0415
    from edgebuild.run.spare import spare  # noqa: PLC0415

    session = open_session(options.manifest, overrides=options.overrides, templates=options.templates)
    asked = own_targets(session.plan, select(session.plan, options.words))
    left_out = session.unavailable(asked, skip_all=True)
    chosen = select(session.plan, options.words, without=left_out)
    if not chosen.actions:
        absent = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise UsageError(f"nothing of this can be built here, so there is no result of it: {absent}")
    wanted = set(chosen.actions)
    actions = [action for action in session.plan.actions if action.id in wanted]
    context = session.context(Silence(), look=True)
    spare(actions, context, delivered(session.plan))
    found = forecast(actions, context).values()
    missing = [one.id for one in found if one.result is None]
    if missing:
        raise UsageError(
            f"there is no result of {listed(missing)}",
            hint=f"`edgebuild run {options.manifest}` first, or choose targets that are built",
        )
    return tuple(one.result.key for one in found if one.result is not None and one.result.key)


def _check(root: Path, made: Pin) -> None:
    """Look whether the results are still there, now that nobody removes them any more."""
    cache = ActionCache(Store(root))
    away = [key for key in made.keys if not cache.path(ActionKey(key)).exists()]
    if away:
        remove_pin(root, made.name)
        raise StoreError(
            f"{counted(len(away), 'result')} went while being pinned", hint="run again, then pin again"
        )


def _what(options: PinOptions) -> str:
    words = [options.manifest, *options.words, *(f"--set {one}" for one in options.overrides)]
    return " ".join(words)


def _row(one: Pin) -> dict[str, object]:
    return {"name": one.name, "at": one.at, "what": one.what, "keys": list(one.keys)}
