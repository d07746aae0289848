"""Axes, scales and labels of the report's charts: arithmetic only, no markup."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CHARACTER = 7.4
"""Width of a 12 px character of the report's font in pixels, rather too wide than too narrow."""

LINE = 14.0
"""Height of a line of 12 px text in pixels."""

LOGARITHMIC_FROM = 12.0
"""From this ratio of largest to smallest value on, an axis is logarithmic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Values to pixels.

    Attributes:
        low: Value at ``start``.
        high: Value at ``end``.
        ticks: Round values in between.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rect:
    """A rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Rect) -> bool:
        """Say whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Rect) -> bool:
        """Say whether the other lies within this one."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Where a label went: its box, and whether it is far enough away to need a line to its point."""

    box: Rect
    led: bool


def linear(
    values: Sequence[float], start: float, end: float, *, bounds: tuple[float, float], least: float
) -> Scale:
    """Return a linear scale with some air around the values.

    Args:
        values: What must fit; may be empty.
        start: Pixel of the low end.
        end: Pixel of the high end.
        bounds: Values that the scale never goes beyond.
        least: Smallest span, so that noise is not blown up.
    """
    low, high = (min(values), max(values)) if values else bounds
    air = max((high - low) * 0.12, (least - (high - low)) / 2)
    low, high = max(low - air, bounds[0]), min(high + air, bounds[1])
    if high - low < least:
        low, high = max(high - least, bounds[0]), min(low + least, bounds[1])
    return Scale(low=low, high=high, start=start, end=end, ticks=tuple(round_values(low, high)))


def positive(values: Sequence[float], start: float, end: float) -> Scale:
    """Return a scale for values above zero: from zero, or logarithmic when they differ by much."""
    known = [value for value in values if value > 0] or [1.0]
    low, high = min(known), max(known)
    if high / low >= LOGARITHMIC_FROM:
        low, high = low / 1.4, high * 1.4
        ticks = tuple(round_powers(low, high))
        return Scale(low=low, high=high, start=start, end=end, ticks=ticks, logarithmic=True)
    high *= 1.12
    return Scale(low=0.0, high=high, start=start, end=end, ticks=tuple(round_values(0.0, high)))


def round_values(low: float, high: float, count: int = 6) -> Iterator[float]:
    """Yield about ``count`` round values from low to high."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    index = math.ceil(low / step - 1e-9)
    while index * step <= high * (1 + 1e-12):
        yield round(index * step, 10)
        index += 1


def round_powers(low: float, high: float) -> Iterator[float]:
    """Yield 1, 2 and 5 times every power of ten from low to high."""
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for factor in (1, 2, 5):
            value = factor * 10.0**exponent
            if low <= value <= high:
                yield value


def place_labels(
    points: Sequence[tuple[float, float, float, str]], area: Rect, taken: Iterable[Rect]
) -> list[Label | None]:
    """Find a free place for the label of each point, near it, or None where there is none.

    Args:
        points: x, y, radius and text.
        area: Where labels may be.
        taken: What they must not cover, the points among it.
    """
    obstacles = list(taken)
    placed: list[Label | None] = []
    for x, y, radius, text in points:
        label = next((one for one in _places(x, y, radius, text) if _free(one.box, area, obstacles)), None)
        placed.append(label)
        if label:
            obstacles.append(label.box)
    return placed


def _free(box: Rect, area: Rect, obstacles: Sequence[Rect]) -> bool:
    return area.holds(box) and not any(box.overlaps(other) for other in obstacles)


def _places(x: float, y: float, radius: float, text: str) -> Iterator[Label]:
    """Yield places for a label: right, left, above, below and between, then the same further out."""
    width = len(text) * CHARACTER
    for distance in (4.0, 18.0, 34.0, 54.0, 78.0):
        reach = radius + distance
        for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
            left = x + dx * reach - (width if dx < 0 else 0 if dx else width / 2)
            middle = y + dy * (reach + (LINE / 2 if not dx else 0))
            box = Rect(left=left, top=middle - LINE / 2, right=left + width, bottom=middle + LINE / 2)
            yield Label(box=box, led=distance > 4)
