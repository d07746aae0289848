"""What a search for mixed precision talks about: candidates, questions, points, and what it found. Values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranges:
    """How activation ranges are measured.

    Attributes:
        method: ``minmax``, ``entropy`` or ``percentile``.
        percentile: In percent; 0 for other methods.
        images: Calibration images used, the first of the set; 0: all.
    """

    method: str
    percentile: float = 0.0
    images: int = 0

    @property
    def name(self) -> str:
        """Return it in words, short."""
        method = f"{self.method} {self.percentile:g}" if self.method == "percentile" else self.method
        return f"{method}, {self.images} images" if self.images else method


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One way to quantize.

    Attributes:
        keep: Groups and blocks that stay float.
        ranges: How ranges are measured.
    """

    keep: tuple[str, ...]
    ranges: Ranges


EVERYTHING = ("*",)

FLOAT = Candidate(keep=EVERYTHING, ranges=Ranges(method="minmax"))
"""The float model itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """How much noise does quantizing this block alone bring?"""

    block: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """How accurate is this candidate on the search's validation images?"""

    candidate: Candidate


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """How slow is a model with these nodes in float, as a ratio to the default?"""

    keep: tuple[str, ...]


Probe = Noise | Metric | Latency


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockFacts:
    """What a search knows of a block before it starts.

    Attributes:
        share: Of the model's multiplications.
        moved: Its weights are not those of the last search; what that knew of it does not count.
        noise: From the last search, or None.
        gain: What keeping it float brought then, in the metric's unit, or None.
    """

    label: str
    share: float
    moved: bool = True
    noise: float | None = None
    gain: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """What can be varied.

    Attributes:
        base: What always stays float: the default recipe's, or what the manifest says.
        ranges: How the default measures ranges.
        less: A base with fewer float nodes that is worth trying, or None.
        blocks: All blocks.
        branches: Labels of those that are branches of the head.
        groups: Named groups that are not in the base and hold nodes.
        other_ranges: Other ways to measure ranges.
        previous: The last search's front; empty when there was none.
    """

    base: tuple[str, ...]
    ranges: Ranges
    less: tuple[str, ...] | None
    blocks: tuple[BlockFacts, ...]
    branches: tuple[str, ...]
    groups: tuple[str, ...]
    other_ranges: tuple[Ranges, ...]
    previous: tuple[Candidate, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the manifest asks for.

    Attributes:
        max_drop: Greatest loss against float, in the metric's unit.
        max_slowdown: Greatest slowdown against the default recipe, as a fraction.
        budget: Most candidates that are scored, the float model and the default among them.
    """

    max_drop: float
    max_slowdown: float
    budget: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A measured candidate.

    Attributes:
        metric: On the search's validation images.
        ratio: Latency over the default's.
        drop: The float model's metric less this one's.
    """

    candidate: Candidate
    metric: float
    ratio: float
    drop: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Explored:
    """What a search found.

    Attributes:
        points: Everything measured, the float model first.
        front: Candidates that none beats on both axes, the fastest first.
        default: The default's point; None when it could not be measured.
        reference: The float model's metric; None when it could not be measured.
        choice: What keeps the limits, or None.
        noise: Per block.
        gain: Per block: what keeping it float, on top of the default, brought.
        skipped: Candidates that were not scored, and why.
        spent: Candidates scored.
    """

    points: tuple[Point, ...]
    front: tuple[Point, ...]
    default: Point | None
    reference: float | None
    choice: Point | None
    noise: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    skipped: tuple[tuple[Candidate, str], ...] = ()
    spent: int = 0
