"""``edgebuild cache``: what the store holds, what may go, and whether it is sound."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from edgebuild.amounts import counted, size_text
from edgebuild.cache.collect import Order, collect
from edgebuild.cache.files import gone, guarded
from edgebuild.cache.gc import EVERYTHING, Limits
from edgebuild.cache.leases import live_leases
from edgebuild.cache.pins import read_pins
from edgebuild.cache.scan import survey
from edgebuild.cache.uses import workspaces
from edgebuild.cache.verify import repair
from edgebuild.cache.verify import verify as verify_store
from edgebuild.environment.store import installed
from edgebuild.errors import StoreError, UsageError
from edgebuild.run.session import cache_root
from edgebuild.verbs.cache_views import (
    Contents,
    collected_document,
    collected_lines,
    stats_document,
    stats_lines,
    verified_document,
    verified_lines,
    what_goes,
)

REDRAW_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class StatsOptions:
    """What the user asked of ``cache stats``."""

    json: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class GcOptions:
    """What the user asked of ``cache gc``; sizes in bytes, ages in seconds."""

    max_size: int | None
    max_age: float | None
    keep_runs: int
    dry_run: bool
    json: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """What the user asked of ``cache verify``."""

    repair: bool
    json: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearOptions:
    """What the user asked of ``cache clear``."""

    yes: bool
    json: bool


def stats(options: StatsOptions) -> int:
    """Print what the store holds."""
    root = cache_root(os.environ)
    contents = Contents(
        root=root,
        seen=survey(root),
        roots=guarded(root).keys,
        journals={journal: not gone(journal) for journal in sorted(workspaces(root).values())},
        pins=tuple(pin.name for pin in read_pins(root)),
        runs=tuple(live_leases(root)),
        environments=installed(root),
    )
    found = stats_document(contents)
    _print(found if options.json else stats_lines(found, time.time()))
    return 0


def gc(options: GcOptions) -> int:
    """Remove what may go, or print what would."""
    root = cache_root(os.environ)
    limits = Limits(max_size=options.max_size, max_age=options.max_age)
    order = Order(limits=limits, keep_runs=options.keep_runs, dry_run=options.dry_run)
    found = collect(root, order)
    if options.json:
        _print(collected_document(root, found, dry_run=options.dry_run))
    else:
        _print(collected_lines(found, dry_run=options.dry_run, now=time.time()))
    return 0


def clear(options: ClearOptions) -> int:
    """Remove everything but pins and what live runs use.

    Raises:
        UsageError: Nobody is there to be asked.
    """
    root = cache_root(os.environ)
    if not options.yes:
        would = collect(root, Order(limits=EVERYTHING, pins_only=True, dry_run=True))
        what = what_goes(would)
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"{root}: this would remove {what}", hint="`--yes` says that it may")
        print(f"{root}: remove {what}? Pins stay. [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            print("nothing was removed", file=sys.stderr)
            return 0
    found = collect(root, Order(limits=EVERYTHING, pins_only=True))
    if options.json:
        _print(collected_document(root, found, dry_run=False))
    else:
        _print(collected_lines(found, dry_run=False, now=time.time()))
    return 0


def verify(options: VerifyOptions) -> int:
    """Read the whole store again.

    Raises:
        StoreError: Something is damaged, and was not repaired.
    """
    root = cache_root(os.environ)
    found = verify_store(root, lazy=bool(os.environ.get("EDGEBUILD_REMOTE")), progress=_Progress().show)
    repaired = repair(root, found) if options.repair and found.bad else 0
    _print(verified_document(root, found, repaired) if options.json else verified_lines(found))
    if repaired:
        print(f"edgebuild: {counted(repaired, 'file')} moved to {root / 'quarantine'}", file=sys.stderr)
    if found.bad and not options.repair:
        error = StoreError(
            f"{root}: {counted(len(found.bad), 'thing')} in it not as it should be",
            hint="`edgebuild cache verify --repair` puts them aside; the next run makes them anew",
        )
        if not options.json:  # whose document has said it
            raise error
        print(f"edgebuild: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _print(what: dict[str, Any] | list[str]) -> None:
    print("\n".join(what) if isinstance(what, list) else json.dumps(what, indent=2, ensure_ascii=False))


class _Progress:
    """How far a check is, redrawn in place on a terminal, and nothing elsewhere."""

    def __init__(self) -> None:
        self._shown = 0.0

    def show(self, done: int, total: int) -> None:
        """Show it, now and then and at the end."""
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self._shown < REDRAW_SECONDS and done < total):
            return
        self._shown = now
        end = "\n" if done >= total else ""
        print(f"\rchecked {size_text(done)} of {size_text(total)} ", end=end, file=sys.stderr, flush=True)
