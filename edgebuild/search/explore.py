"""The decisions of a search for mixed precision: which variant to measure next, which to choose. Pure.

:func:`explore` is a generator. It yields what it wants to know and is sent the answer, so the same decisions
are made whether an answer was measured now, was measured before an interruption, or comes from a test.
Answers are in :mod:`edgebuild.plan.candidates`; who measures is :mod:`edgebuild.search.run`.

The order of questions follows what was seen to matter: the structure (branches of the head, decode) in turn
with how ranges are measured, then single blocks, the most sensitive first, then sums of them.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from edgebuild.plan.candidates import (
    FLOAT,
    Candidate,
    Explored,
    Latency,
    Limits,
    Metric,
    Noise,
    Point,
    Probe,
    Space,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from edgebuild.plan.candidates import Ranges

SAME_SPEED = 0.01
"""Ratios this close cannot be told apart by a measurement; accuracy decides between them."""

HOPELESS = 0.03
"""A variant this much slower than allowed is not scored: it could not be chosen."""

SINGLES = 6
"""A search scores the most sensitive blocks alone, one per this many probes of its budget."""

SUMS = (2, 3, 4, 6, 8)
"""How many of the most sensitive blocks are kept float together."""


def explore(space: Space, limits: Limits) -> Generator[Probe, float | None, Explored]:
    """Ask for measurements until the budget is spent or nothing is left to ask, then choose.

    Args:
        space: What can be varied, and what an earlier search knows.
        limits: What the manifest asks for.

    Yields:
        Probes; each wants its answer sent: a noise power, a metric, or a latency as a ratio to the default's.
        None says that it could not be measured.

    Returns:
        Every point, the front and the choice.
    """
    search = _Search(space, limits)
    yield from search.basis()
    if not space.previous or not (yield from search.again()):
        yield from search.anew()
    return search.result()


class _Search:
    """What is known so far."""

    def __init__(self, space: Space, limits: Limits) -> None:
        self._space = space
        self._limits = limits
        self._scores: dict[Candidate, float | None] = {}
        self._ratios: dict[tuple[str, ...], float | None] = {space.base: 1.0}
        self._noise: dict[str, float] = {}
        self._gain: dict[str, float] = {}
        self._skipped: dict[Candidate, str] = {}
        self._left = limits.budget
        self._default = Candidate(keep=space.base, ranges=space.ranges)

    def basis(self) -> Generator[Probe, float | None, None]:
        """Ask what every search needs: the noise of the blocks that moved, float, and the default."""
        for block in self._space.blocks:
            known = block.noise if not block.moved else None
            answer = known if known is not None else (yield Noise(block=block.label))
            if answer is not None:
                self._noise[block.label] = answer
            if block.gain is not None and not block.moved:
                self._gain[block.label] = block.gain
        self._ratios[FLOAT.keep] = yield Latency(keep=FLOAT.keep)
        yield from self._score(FLOAT)
        yield from self._score(self._default)

    def again(self) -> Generator[Probe, float | None, bool]:
        """Start from the last search: its front, and what has moved; return whether that is enough."""
        for candidate in self._space.previous:
            yield from self._try(candidate)
        best = self._best_ranges()
        yield from self._try(Candidate(keep=self._space.base, ranges=best[0]))
        ranked = self._ranking()[: self._singles()]
        for block in self._space.blocks:
            if block.moved and block.label in ranked:
                yield from self._single(block.label)
        for candidate in [*self._sums(best)][:2]:
            yield from self._try(candidate)
        return self._choice(self._points()) is not None

    def anew(self) -> Generator[Probe, float | None, None]:
        """Ask in the order of what was seen to matter."""
        measured = [Candidate(keep=self._space.base, ranges=ranges) for ranges in self._space.other_ranges]
        parts = [self._with(name) for name in (*self._space.branches, *self._space.groups)]
        if self._space.less is not None:
            parts.append(Candidate(keep=self._space.less, ranges=self._space.ranges))
        for pair in zip_longest(measured, parts):
            for candidate in filter(None, pair):
                if self._promising(candidate):
                    yield from self._try(candidate)
        for label in self._ranking()[: self._singles()]:
            yield from self._single(label)
        best = self._best_ranges()
        for candidate in self._combined(best):
            yield from self._try(candidate)
        while self._left > 0:
            further = next(self._further(), None)
            if further is None:
                return
            yield from self._try(further)

    def result(self) -> Explored:
        """Return what was found."""
        points = self._points()
        judged = [point for point in points if point.candidate != FLOAT]
        return Explored(
            points=tuple(points),
            front=tuple(_front(judged)),
            default=next((point for point in judged if point.candidate == self._default), None),
            reference=self._scores.get(FLOAT),
            choice=self._choice(points),
            noise=dict(self._noise),
            gain=dict(self._gain),
            skipped=tuple((candidate, why) for candidate, why in self._skipped.items()),
            spent=self._limits.budget - self._left,
        )

    def _try(self, candidate: Candidate) -> Generator[Probe, float | None, None]:
        """Measure a candidate, its speed first: one that is too slow need not be scored."""
        if candidate in self._scores or candidate in self._skipped or self._left <= 0:
            return
        if candidate.keep not in self._ratios:
            self._ratios[candidate.keep] = yield Latency(keep=candidate.keep)
        ratio = self._ratios[candidate.keep]
        if ratio is None:
            self._skipped[candidate] = "its speed could not be measured"
        elif ratio > 1 + self._limits.max_slowdown + HOPELESS:
            self._skipped[candidate] = f"{ratio - 1:.0%} slower than the default"
        else:
            yield from self._score(candidate)

    def _score(self, candidate: Candidate) -> Generator[Probe, float | None, None]:
        self._left -= 1
        self._scores[candidate] = yield Metric(candidate=candidate)
        if self._scores[candidate] is None:
            self._skipped[candidate] = "it could not be built or scored"

    def _promising(self, candidate: Candidate) -> bool:
        """Whether a way to measure ranges is worth all images: it is when a few did no harm."""
        few = [c for c in self._scores if c.keep == candidate.keep and c.ranges.images]
        same = [c for c in few if c.ranges.method == candidate.ranges.method]
        if candidate.ranges.images or candidate.ranges == self._space.ranges or not same:
            return True
        return max(self._scores[c] or 0.0 for c in same) >= (self._scores[self._default] or 0.0)

    def _single(self, label: str) -> Generator[Probe, float | None, None]:
        """Learn what keeping one block float brings; a block that did not move is known already."""
        if label in self._gain:
            return
        candidate = self._with(label)
        yield from self._try(candidate)
        score, before = self._scores.get(candidate), self._scores.get(self._default)
        if score is not None and before is not None:
            self._gain[label] = score - before

    def _with(self, *names: str) -> Candidate:
        keep = (*self._space.base, *(name for name in names if name not in self._space.base))
        return Candidate(keep=keep, ranges=self._space.ranges)

    def _singles(self) -> int:
        return max(1, self._limits.budget // SINGLES)

    def _ranking(self) -> list[str]:
        """Return the body's blocks, the most sensitive first; branches of the head are tried as such."""
        body = [block for block in self._space.blocks if block.label not in self._space.branches]
        return [b.label for b in sorted(body, key=lambda b: (-self._noise.get(b.label, 0.0), b.label))]

    def _worth(self) -> list[str]:
        """Return the body's blocks, most noise per multiplication first."""
        share = {block.label: block.share for block in self._space.blocks}
        order = self._ranking()
        return sorted(order, key=lambda label: -self._noise.get(label, 0.0) / (share[label] + 0.01))

    def _best_ranges(self) -> Sequence[Ranges]:
        """Return ways to measure ranges, the best first, judged on the default's nodes."""
        scored = [c for c, v in self._scores.items() if v is not None and c != FLOAT]
        if not self._space.previous:  # a new search tries them all there; another one knows the winners only
            scored = [candidate for candidate in scored if candidate.keep == self._space.base]
        order = sorted(scored, key=lambda c: -(self._scores[c] or 0.0))
        return [candidate.ranges for candidate in order] or [self._space.ranges]

    def _sums(self, best: Sequence[Ranges]) -> Iterator[Candidate]:
        ranges = best[0]
        for count in SUMS:
            for order in (self._worth(), self._ranking()):
                keep = (*self._space.base, *sorted(order[:count]))
                yield Candidate(keep=keep, ranges=ranges)

    def _combined(self, best: Sequence[Ranges]) -> Iterator[Candidate]:
        """Yield the front's nodes with the best ranges, in turn with sums of sensitive blocks."""
        sums = self._sums(best)
        for point in _front([p for p in self._points() if p.candidate.keep != FLOAT.keep]):
            yield Candidate(keep=point.candidate.keep, ranges=best[0])
            yield from [one for one in [next(sums, None)] if one]
        yield from sums

    def _further(self) -> Iterator[Candidate]:
        """Yield neighbours of the front that are not measured yet: one block more, or one less."""
        labels = {block.label for block in self._space.blocks}
        worth = self._worth()
        for point in sorted(_front(self._judged()), key=lambda p: -p.metric):
            keep, ranges = point.candidate.keep, point.candidate.ranges
            more = [(*keep, name) for name in worth if name not in keep]
            less = [tuple(n for n in keep if n != name) for name in keep if name in labels]
            for option in (*more[:3], *less[:3]):
                added = option[len(self._space.base) :]
                candidate = Candidate(keep=(*self._space.base, *sorted(added)), ranges=ranges)
                if option[: len(self._space.base)] == self._space.base and not self._known(candidate):
                    yield candidate

    def _known(self, candidate: Candidate) -> bool:
        return candidate in self._scores or candidate in self._skipped

    def _judged(self) -> list[Point]:
        return [point for point in self._points() if point.candidate != FLOAT]

    def _points(self) -> list[Point]:
        reference = self._scores.get(FLOAT)
        return [
            Point(
                candidate=candidate,
                metric=score,
                ratio=ratio,
                drop=reference - score if reference is not None else 0.0,
            )
            for candidate, score in self._scores.items()
            if score is not None and (ratio := self._ratios.get(candidate.keep)) is not None
        ]

    def _choice(self, points: Sequence[Point]) -> Point | None:
        """Return the least slowdown that keeps the limits; of those as fast, the most accurate."""
        if self._scores.get(FLOAT) is None:
            return None
        allowed = [p for p in points if p.candidate != FLOAT and keeps(p, self._limits)]
        if not allowed:
            return None
        fastest = min(point.ratio for point in allowed)
        alike = [point for point in allowed if point.ratio <= fastest + SAME_SPEED]
        return max(alike, key=lambda p: (p.metric, -p.ratio, -len(p.candidate.keep)))


def keeps(point: Point, limits: Limits) -> bool:
    """Say whether a point keeps both limits."""
    return point.drop <= limits.max_drop + 1e-9 and point.ratio <= 1 + limits.max_slowdown + 1e-9


def beats(one: Point, other: Point) -> bool:
    """Say whether a point is at least as good on both axes and better on one."""
    better = one.metric > other.metric or one.ratio < other.ratio
    return one.metric >= other.metric and one.ratio <= other.ratio and better


def _front(points: Sequence[Point]) -> list[Point]:
    """Return the points that none beats, the fastest first."""
    front = [point for point in points if not any(beats(other, point) for other in points)]
    return sorted(front, key=lambda point: (point.ratio, -point.metric))
