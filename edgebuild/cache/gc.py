"""What goes when a store is to get smaller: values in, values out. Nothing here touches a file.

A record goes, never a blob: a blob is there because a record names it, and goes when the last one has gone.
Roots never go. Of the rest, what has not been used for longest goes first.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgebuild.action import ActionKey
    from edgebuild.digest import Digest

DAY = 86400.0

QUARANTINE_AGE = 7 * DAY
"""Seconds that damaged files are kept for someone to look at, when no shorter limit is given."""

PACKAGE_STEP = "package"
"""The step whose records the last runs of a workspace keep: what was handed out can be looked up again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A record in a store, as far as it matters here.

    Attributes:
        key: Its action key.
        step: What the action was.
        size: Bytes of the record itself.
        used: When it was last used, in seconds since 1970.
        seconds: How long the action took: what is quick to make goes before what is slow.
        blobs: Every blob that it names, each once.
    """

    key: ActionKey
    step: str
    size: int
    used: float
    seconds: float
    blobs: tuple[Digest, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Roots:
    """What may not go.

    Attributes:
        keys: Of pins, of the last results of every workspace, and of what live runs use.
        recent: Of the last runs of every workspace; of these, packages may not go.
        everything: Nothing may go: a live run could not say what it uses.
    """

    keys: frozenset[str] = frozenset()
    recent: frozenset[str] = frozenset()
    everything: bool = False

    def hold(self, record: Held) -> bool:
        """Return whether a record may not go."""
        if record.step == PACKAGE_STEP and record.key in self.recent:
            return True
        return self.everything or record.key in self.keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much is to stay.

    Attributes:
        max_size: Bytes of records and of the blobs that they name; None: any.
        max_age: Seconds since the last use; None: any.
    """

    max_size: int | None = None
    max_age: float | None = None


EVERYTHING = Limits(max_age=-math.inf)
"""Limits that only roots are within."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doomed:
    """A record that goes, and the bytes that become free with it."""

    record: Held
    reason: Literal["age", "size"]
    freed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What goes.

    Attributes:
        doomed: Records, in the order in which they go.
        left: Bytes of what stays: records, and blobs that they name.
        reached: Whether the limits hold then; roots alone may exceed a size.
    """

    doomed: tuple[Doomed, ...]
    left: int
    reached: bool


def choose(
    records: Iterable[Held], sizes: Mapping[Digest, int], roots: Roots, limits: Limits, now: float
) -> Choice:
    """Return which records go.

    Args:
        records: All that are there.
        sizes: Bytes per blob that is there.
        roots: What may not go.
        limits: How much is to stay.
        now: Seconds since 1970.
    """
    everything = list(records)
    names = Counter(blob for record in everything for blob in record.blobs)
    left = sum(record.size for record in everything) + sum(sizes.get(blob, 0) for blob in names)
    doomed = []
    for record in sorted((r for r in everything if not roots.hold(r)), key=_order):
        reason = _reason(record, left, limits, now)
        if reason is None:
            break  # whatever comes now was used later, and nothing has become larger
        names.subtract(record.blobs)
        freed = record.size + sum(sizes.get(blob, 0) for blob in record.blobs if not names[blob])
        left -= freed
        doomed.append(Doomed(record=record, reason=reason, freed=freed))
    reached = limits.max_size is None or left <= limits.max_size
    return Choice(doomed=tuple(doomed), left=left, reached=reached)


def unnamed(blobs: Iterable[Digest], records: Iterable[Held]) -> set[Digest]:
    """Return the blobs that no record names."""
    named = {blob for record in records for blob in record.blobs}
    return {blob for blob in blobs if blob not in named}


def quarantine_age(limits: Limits) -> float:
    """Return how many seconds damaged files are kept."""
    return QUARANTINE_AGE if limits.max_age is None else min(QUARANTINE_AGE, limits.max_age)


def by_step(records: Sequence[Held], sizes: Mapping[Digest, int]) -> dict[str, tuple[int, int]]:
    """Return, per step, how many records there are and the bytes of the blobs they name, largest first."""
    blobs: dict[str, set[Digest]] = {}
    for record in records:
        blobs.setdefault(record.step, set()).update(record.blobs)
    count = Counter(record.step for record in records)
    rows = {step: (count[step], sum(sizes.get(blob, 0) for blob in found)) for step, found in blobs.items()}
    return dict(sorted(rows.items(), key=lambda row: (-row[1][1], row[0])))


def _order(record: Held) -> tuple[float, float, str]:
    return (record.used, record.seconds, record.key)


def _reason(record: Held, left: int, limits: Limits, now: float) -> Literal["age", "size"] | None:
    if limits.max_age is not None and now - record.used > limits.max_age:
        return "age"
    if limits.max_size is not None and left > limits.max_size:
        return "size"
    return None
