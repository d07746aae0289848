"""Garbage collection of a store: look, choose, and take out what may go, while runs go on."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgebuild.cache import uses
from edgebuild.cache.files import Door, gone, guarded
from edgebuild.cache.gc import DAY, Choice, Limits, Roots, choose, quarantine_age, unnamed
from edgebuild.cache.removal import alone
from edgebuild.cache.scan import survey
from edgebuild.cache.store import Store, store_error

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edgebuild.action import ActionKey
    from edgebuild.cache.files import Guarded
    from edgebuild.cache.scan import Leftover, Survey
    from edgebuild.digest import Digest

TORN_AGE = DAY
"""Seconds after which an unfinished write is surely dead: it is written without a pause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is asked for.

    Attributes:
        limits: How much is to stay.
        keep_runs: Runs per workspace whose packages stay.
        pins_only: The last results of workspaces and their packages may go too.
        dry_run: Only say what would go.
    """

    limits: Limits
    keep_runs: int = 5
    pins_only: bool = False
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What went, or would go.

    Attributes:
        choice: The records chosen, by age and size.
        records: How many records went.
        blobs: Bytes per blob that went.
        garbage: Files that went and were no part of any result: quarantine, unfinished writes, scratch.
        freed: Bytes in all.
        held: Records and blobs that were to go and stayed, for a run had begun to use them.
        waiting: A run is live that could not say what it uses: no record and no blob went.
        workspaces: Journals of workspaces that are no longer there.
        damaged: Damaged records that were moved to the quarantine.
        left: Bytes of the records and named blobs that stay.
    """

    choice: Choice
    records: int
    blobs: dict[Digest, int]
    garbage: tuple[Leftover, ...]
    freed: int
    held: int
    waiting: bool
    workspaces: tuple[Path, ...]
    damaged: int
    left: int


def collect(root: Path, order: Order, now: float | None = None) -> Collected:
    """Take out what may go, or say what would.

    Args:
        root: The store.
        order: What is asked for.
        now: Seconds since 1970.

    Raises:
        StoreError: The store cannot be written, another process removes from it, or it cannot be understood.
    """
    at = time.time() if now is None else now
    if order.dry_run or not root.is_dir():
        return _forecast(root, order, survey(root), at)
    with alone(root):
        door = Door(root, pins_only=order.pins_only)
        seen = survey(root)
        return _collect(root, order, seen, _forecast(root, order, seen, at), door)


def _forecast(root: Path, order: Order, seen: Survey, now: float) -> Collected:
    """Return what would go."""
    now_held = guarded(root, pins_only=order.pins_only)
    journals = uses.workspaces(root).values()
    away = tuple(sorted(journal for journal in journals if gone(journal)))
    choice = choose(seen.records, seen.blobs, _roots(order, seen, now_held), order.limits, now)
    doomed = {one.record.key for one in choice.doomed}
    stay = [record for record in seen.records if record.key not in doomed]
    loose = set() if now_held.everything else unnamed(seen.blobs, stay) - now_held.claims
    blobs = {digest: seen.blobs[digest] for digest in sorted(loose)}
    garbage = (
        *(one for one in seen.quarantine if now - one.at > quarantine_age(order.limits)),
        *(one for one in seen.torn if now - one.at > TORN_AGE),
        *(one for one in seen.scratch if not one.live),
    )
    sizes = sum(one.record.size for one in choice.doomed) + sum(one.size for one in garbage)
    return Collected(
        choice=choice,
        records=len(doomed),
        blobs=blobs,
        garbage=garbage,
        freed=sizes + sum(blobs.values()),
        held=0,
        waiting=now_held.everything,
        workspaces=away,
        damaged=len(seen.damaged),
        left=choice.left,
    )


def _roots(order: Order, seen: Survey, now_held: Guarded) -> Roots:
    last = () if order.pins_only else seen.uses.last(order.keep_runs)
    return Roots(
        keys=now_held.claims | now_held.keys,
        recent=frozenset(key for run in last if not gone(run.journal) for key in run.keys),
        everything=now_held.everything,
    )


def _collect(root: Path, order: Order, seen: Survey, plan: Collected, door: Door) -> Collected:
    """Do what was forecast, as far as no run has begun to use it meanwhile."""
    for row in seen.damaged:
        door.put_aside(row.path)
    removed = door.remove_records(one.record.key for one in plan.choice.doomed)
    known = {key: inode for key, inode in seen.inodes.items() if key not in removed}
    stay = [record for record in seen.records if record.key not in removed]
    loose = unnamed(plan.blobs, stay)
    blobs = {digest: seen.blobs[digest] for digest in door.remove_blobs(loose, known)}
    scratch = {one.path for one in seen.scratch}
    door.remove_files([one.path for one in plan.garbage if one.path not in scratch])
    door.remove_locks()
    Store(root).sweep()
    door.shorten_memo([digest for digest in seen.blobs if digest not in blobs])
    _forget(root, order, seen, known, door)
    kept = [one for one in plan.choice.doomed if one.record.key not in removed]
    freed = (
        sum(one.record.size for one in plan.choice.doomed if one.record.key in removed)
        + sum(blobs.values())
        + sum(one.size for one in plan.garbage)
    )
    return replace(
        plan,
        records=len(removed),
        blobs=blobs,
        freed=freed,
        held=len(kept) + len(plan.blobs) - len(blobs),
        left=plan.left + sum(one.freed for one in kept),
    )


def _forget(root: Path, order: Order, seen: Survey, keys: Collection[ActionKey], door: Door) -> None:
    """Forget workspaces that are not there any more, and all but the last runs of the others."""
    door.remove_files([path for path, journal in uses.workspaces(root).items() if gone(journal)])
    last = () if order.pins_only else seen.uses.last(order.keep_runs)
    kept = [run for run in last if not gone(run.journal)]
    try:
        uses.fold(root, seen.uses, kept=kept, keys=keys)
    except OSError as error:
        raise store_error(error, root) from error
