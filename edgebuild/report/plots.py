"""The report's chart of accuracy against latency, as SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebuild.amounts import counted
from edgebuild.report.axis import LINE, Rect, linear, place_labels, positive
from edgebuild.report.markup import Markup, el, fixed
from edgebuild.report.words import SYMBOLS, accuracy_name, metric_title, named, with_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgebuild.gates import Metric
    from edgebuild.report.axis import Label, Scale
    from edgebuild.results import RunResult, TargetResult

WIDTH, HEIGHT = 1130.0, 430.0
LEFT, TOP, BOTTOM = 64.0, 18.0, 372.0
SIDE = 190.0
"""Width of the column for targets without a latency."""

COLOURS = 8
"""How many colours the style sheet has for targets; with more targets, all share one."""

LATENCY = "latency_ms_p50"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is drawn: a target, or the float model."""

    name: str
    status: str
    metrics: Sequence[Metric]
    colour: str

    def value(self, name: str) -> float:
        """Return a metric's value; NaN when it was not measured."""
        metric = named(self.metrics, name)
        return metric.value if metric else math.nan

    @property
    def timed(self) -> bool:
        """Whether there is a latency."""
        return self.value(LATENCY) > 0

    @property
    def label(self) -> str:
        """The name, marked when it is not passed, and with how many images a call has where not one."""
        mark = "" if self.status in {"passed", "float"} else f"{SYMBOLS[self.status]} "
        latency = named(self.metrics, LATENCY)
        batch = f" ({latency.batch_text})" if latency and latency.batch_text else ""
        return mark + (self.name if len(self.name) <= 24 else self.name[:23] + "…") + batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """An entry and its place, in pixels."""

    entry: Entry
    x: float
    y: float
    radius: float


def colour(run: RunResult, target: TargetResult) -> str:
    """Return the style sheet's class for a target's colour."""
    if len(run.targets) > COLOURS:
        return "c0"
    return f"c{run.targets.index(target)}"


def tradeoff(run: RunResult) -> Markup | None:
    """Return the chart of accuracy against latency, or None when nothing has an accuracy."""
    accuracy = accuracy_name(run)
    entries = _entries(run, accuracy)
    if not entries:
        return None
    baseline = named(run.baseline, accuracy)
    aside = any(not entry.timed for entry in entries)
    right = WIDTH - 16 - (SIDE if aside else 0)
    drawn = [*entries, *_float_entry(run)]
    heights = [entry.value(accuracy) for entry in entries] + ([baseline.value] if baseline else [])
    y = linear(heights, BOTTOM, TOP + 12, bounds=(0.0, 1.0), least=0.04)
    x = positive([entry.value(LATENCY) for entry in drawn if entry.timed], LEFT, right)
    points = [_point(entry, accuracy, x, y, right) for entry in drawn]
    line = y(baseline.value) if baseline else None
    labels = _labels(points, right, line)
    pairs = [(point, label) for point, label in zip(points, labels, strict=True) if label]
    svg = el(
        "svg",
        el("title", f"{metric_title(accuracy)} against median latency per target"),
        _grid(x, y, right, accuracy, timed=any(entry.timed for entry in drawn)),
        _baseline(baseline, line, right, accuracy),
        _side(right) if aside else None,
        [_leader(point, label) for point, label in pairs],
        [_mark(point, accuracy) for point in points],
        [_text(point, label) for point, label in pairs],
        viewBox=f"0 0 {fixed(WIDTH)} {fixed(HEIGHT)}",
        class_="chart",
        role="img",
    )
    caption = el("figcaption", _legend(drawn, len(entries) - len(pairs)))
    return el("figure", el("div", svg, class_="scroll"), caption, class_="tradeoff")


def _entries(run: RunResult, accuracy: str) -> list[Entry]:
    return [
        Entry(name=target.name, status=target.status, metrics=target.metrics, colour=colour(run, target))
        for target in run.targets
        if named(target.metrics, accuracy)
    ]


def _float_entry(run: RunResult) -> list[Entry]:
    """Return the float model as an entry when its latency is known; otherwise it is only a line."""
    entry = Entry(name="float", status="float", metrics=run.baseline, colour="float")
    return [entry] if entry.timed and named(run.baseline, accuracy_name(run)) else []


def _point(entry: Entry, accuracy: str, x: Scale, y: Scale, right: float) -> Point:
    size = named(entry.metrics, "size_mb")
    return Point(
        entry=entry,
        x=x(entry.value(LATENCY)) if entry.timed else right + 26,
        y=y(entry.value(accuracy)),
        radius=min(max(3.5 + 1.6 * math.sqrt(size.value), 4.0), 16.0) if size else 5.0,
    )


def _labels(points: Sequence[Point], right: float, line: float | None) -> list[Label | None]:
    """Find places for the names; those at the side are kept to the side."""
    taken = [_around(point) for point in points]
    if line is not None:
        # The line itself, and its name at its right end.
        taken.append(Rect(left=LEFT, top=line - 1, right=right, bottom=line + 1))
        taken.append(Rect(left=right - 110, top=line - LINE - 2, right=right, bottom=line))
    inside = Rect(left=LEFT + 2, top=TOP, right=right, bottom=BOTTOM - 2)
    beside = Rect(left=right + 10, top=TOP + 20, right=WIDTH, bottom=BOTTOM)
    placed: dict[int, Label | None] = {}
    for area, timed in ((inside, True), (beside, False)):
        chosen = [i for i, p in enumerate(points) if p.entry.timed is timed and p.entry.status != "float"]
        spots = [(points[i].x, points[i].y, points[i].radius, points[i].entry.label) for i in chosen]
        placed |= dict(zip(chosen, place_labels(spots, area, taken), strict=True))
    return [placed.get(index) for index in range(len(points))]


def _around(point: Point) -> Rect:
    x, y, r = point.x, point.y, point.radius
    return Rect(left=x - r, top=y - r, right=x + r, bottom=y + r)


def _grid(x: Scale, y: Scale, right: float, accuracy: str, *, timed: bool) -> Iterator[Markup]:
    for value in y.ticks:
        at = y(value)
        yield el("line", x1=LEFT, x2=right, y1=at, y2=at, class_="grid")
        yield el("text", f"{value:g}", x=LEFT - 8, y=at + 4, class_="tick end")
    for value in x.ticks if timed else ():
        at = x(value)
        yield el("line", x1=at, x2=at, y1=TOP, y2=BOTTOM, class_="grid")
        yield el("text", f"{value:g}", x=at, y=BOTTOM + 18, class_="tick middle")
    yield el("line", x1=LEFT, x2=right, y1=BOTTOM, y2=BOTTOM, class_="axis")
    scale = ", logarithmic" if x.logarithmic else ""
    name = f"median latency (ms per call{scale})" if timed else "no target has a latency"
    yield el("text", name, x=(LEFT + right) / 2, y=BOTTOM + 42, class_="axis-title middle")
    middle = (TOP + BOTTOM) / 2
    yield el(
        "text",
        metric_title(accuracy),
        x=16,
        y=middle,
        class_="axis-title middle",
        transform=f"rotate(-90 16 {fixed(middle)})",
    )


def _baseline(baseline: Metric | None, line: float | None, right: float, accuracy: str) -> Iterator[Markup]:
    if baseline is not None and line is not None:
        yield el("line", x1=LEFT, x2=right, y1=line, y2=line, class_="baseline")
        text = f"float {with_unit(accuracy, baseline.value)}"
        yield el("text", text, x=right - 4, y=line - 5, class_="tick end")


def _side(right: float) -> Iterator[Markup]:
    yield el("rect", x=right + 10, y=TOP, width=WIDTH - right - 12, height=BOTTOM - TOP, rx=4, class_="side")
    yield el("text", "no latency measured", x=right + 18, y=TOP + 16, class_="tick")


def _mark(point: Point, accuracy: str) -> Markup:
    entry = point.entry
    facts = [f"{entry.name}: {entry.status}"]
    facts += [
        f"{metric_title(name)} {with_unit(name, metric.value)} ({metric.circumstances})"
        for name in (accuracy, LATENCY, "size_mb")
        if (metric := named(entry.metrics, name))
    ]
    hollow = "" if entry.status in {"passed", "float"} else " hollow"
    return el("g", el("title", "\n".join(facts)), _shape(point), class_=f"point {entry.colour}{hollow}")


def _shape(point: Point) -> Markup:
    """Return a circle for the device's own figures, other shapes where something else was measured."""
    x, y, r = point.x, point.y, point.radius
    latency = named(point.entry.metrics, LATENCY)
    evidence = latency.evidence if latency else ""
    if evidence == "host":
        return el("rect", x=x - r * 0.9, y=y - r * 0.9, width=r * 1.8, height=r * 1.8, rx=2)
    corners = {
        "emulator": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
        "proxy": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    }.get(evidence)
    if corners is None:
        return el("circle", cx=x, cy=y, r=r)
    path = " ".join(f"{fixed(x + dx * r)},{fixed(y + dy * r)}" for dx, dy in corners)
    return el("polygon", points=path)


def _leader(point: Point, label: Label) -> Markup | None:
    if not label.led:
        return None
    box = label.box
    x = min(max(point.x, box.left), box.right)
    y = min(max(point.y, box.top), box.bottom)
    return el("line", x1=point.x, y1=point.y, x2=x, y2=y, class_="leader")


def _text(point: Point, label: Label) -> Markup:
    return el("text", point.entry.label, x=label.box.left, y=label.box.bottom - 3, class_="label")


def _legend(entries: Sequence[Entry], hidden: int) -> str:
    kinds = {metric.evidence for entry in entries if (metric := named(entry.metrics, LATENCY))}
    shapes = {"device": "circle", "host": "square", "emulator": "triangle", "proxy": "diamond"}
    parts = ["Up and to the left is better; a larger mark is a larger artifact"]
    if kinds:
        said = ", ".join(f"{shape}: {kind}" for kind, shape in shapes.items() if kind in kinds)
        parts.append(f"where the latency was measured: {said}")
    if any(metric.batch_text for entry in entries if (metric := named(entry.metrics, LATENCY))):
        parts.append("batch: images per call where it is not one")
    if any(entry.status not in {"passed", "float"} for entry in entries):
        parts.append("hollow: not passed")
    if hidden:
        parts.append(f"{counted(hidden, 'name')} found no room: point at the marks to read them")
    return "; ".join(parts) + "."
