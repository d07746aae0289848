"""Accuracy per class, float beside every target, as bars in SVG and as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgebuild.amounts import counted
from edgebuild.report.markup import Markup, el, fixed
from edgebuild.report.plots import COLOURS, colour
from edgebuild.report.words import delta, float_of, metric_title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.gates import Metric
    from edgebuild.results import RunResult

METRIC = "map50_95"

MAX_CLASSES = 24
"""Classes drawn; with more, those that lost most are. All are in the table."""

MAX_SERIES = 6
"""Targets drawn beside float; all are in the table."""

WIDTH = 1130.0
LEFT, RIGHT = 150.0, 1070.0
BAR, GAP, APART = 9.0, 2.0, 12.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """The accuracy per class of one or more targets that have exactly the same.

    Attributes:
        names: Names of the targets.
        values: By class name.
        colour: Class of the style sheet.
        baseline: The float model's values, by class name; empty for that model itself.
    """

    names: tuple[str, ...]
    values: Mapping[str, float]
    colour: str
    baseline: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The targets' names in one line."""
        return ", ".join(self.names)


def per_class(run: RunResult) -> Markup | None:
    """Return bars and a table, or None when nothing was measured per class."""
    baseline = _values(run.baseline)
    series = _series(run)
    classes = list(dict.fromkeys([*baseline, *(name for one in series for name in one.values)]))
    if not classes:
        return None
    first = ([Series(names=("float",), values=baseline, colour="float")] if baseline else []) + series
    drawn = _worst(classes, baseline, series) if len(classes) > MAX_CLASSES else classes
    return el(
        "figure",
        _legend(first[: MAX_SERIES + 1]),
        el("div", _bars(drawn, first[: MAX_SERIES + 1]), class_="scroll"),
        el("figcaption", _caption(len(drawn), len(classes), len(first))),
        el("details", el("summary", "All values"), _table(classes, first)),
        class_="classes",
    )


def _values(metrics: Sequence[Metric]) -> dict[str, float]:
    prefix = f"{METRIC}/"
    return {m.name.removeprefix(prefix): m.value for m in metrics if m.name.startswith(prefix)}


def _series(run: RunResult) -> list[Series]:
    """Return one series per distinct set of values: targets that share an artifact share a bar."""
    same: dict[tuple[Any, ...], list[int]] = {}
    for index, target in enumerate(run.targets):
        if values := _values(target.metrics):
            same.setdefault((target.baseline, *sorted(values.items())), []).append(index)
    found = []
    for number, indexes in enumerate(same.values()):
        targets = [run.targets[index] for index in indexes]
        shade = colour(run, targets[0]) if len(run.targets) <= COLOURS else f"c{number % COLOURS}"
        values = _values(targets[0].metrics)
        names = tuple(target.name for target in targets)
        base = _values(float_of(run, targets[0]))
        found.append(Series(names=names, values=values, colour=shade, baseline=base))
    return found


def _worst(classes: Sequence[str], baseline: Mapping[str, float], series: Sequence[Series]) -> list[str]:
    def lost(name: str) -> float:
        values = [one.values[name] for one in series if name in one.values] or [0.0]
        return baseline.get(name, 1.0) - min(values)

    return sorted(classes, key=lost, reverse=True)[:MAX_CLASSES]


def _legend(series: Sequence[Series]) -> Markup:
    entries = [
        el("li", el("span", class_=f"swatch {one.colour}"), _shortened(one), title=one.title)
        for one in series
    ]
    return el("ul", entries, class_="legend")


def _shortened(one: Series) -> str:
    if len(one.names) <= 3:
        return one.title
    return f"{', '.join(one.names[:2])} and {len(one.names) - 2} more"


def _bars(classes: Sequence[str], series: Sequence[Series]) -> Markup:
    group = len(series) * (BAR + GAP) + APART
    height = len(classes) * group + 34
    return el(
        "svg",
        el("title", f"{metric_title(METRIC)} per class, float and quantized"),
        _grid(height),
        [_group(name, series, index * group + 10) for index, name in enumerate(classes)],
        viewBox=f"0 0 {fixed(WIDTH)} {fixed(height)}",
        class_="chart",
        role="img",
    )


def _grid(height: float) -> Iterator[Markup]:
    for step in range(5):
        x = LEFT + (RIGHT - LEFT) * step / 4
        yield el("line", x1=x, x2=x, y1=2, y2=height - 24, class_="grid")
        yield el("text", f"{step / 4:g}", x=x, y=height - 8, class_="tick middle")


def _group(name: str, series: Sequence[Series], top: float) -> Iterator[Markup]:
    middle = top + len(series) * (BAR + GAP) / 2 + 3
    label = name if len(name) <= 20 else name[:19] + "…"
    yield el("text", el("title", name), label, x=LEFT - 10, y=middle, class_="label end")
    for index, one in enumerate(series):
        value = one.values.get(name)
        y = top + index * (BAR + GAP)
        if value is None:
            yield el("text", "not measured", x=LEFT + 4, y=y + BAR - 1, class_="value")
            continue
        width = max((RIGHT - LEFT) * min(max(value, 0.0), 1.0), 1.0)
        tip = el("title", f"{name}, {one.title}: {value:.4f}")
        yield el("rect", tip, x=LEFT, y=y, width=width, height=BAR, rx=1.5, class_=f"bar {one.colour}")
        yield el("text", f"{value:.3f}", x=LEFT + width + 5, y=y + BAR - 1, class_="value")


def _caption(drawn: int, classes: int, series: int) -> str:
    said = [f"{metric_title(METRIC)} per class"]
    if drawn < classes:
        said.append(f"the {drawn} of {classes} classes that lost most; the table has all")
    if series > MAX_SERIES + 1:
        said.append(f"{counted(series - MAX_SERIES - 1, 'more distinct result')} in the table")
    return "; ".join(said) + "."


def _table(classes: Sequence[str], series: Sequence[Series]) -> Markup:
    head = el("tr", el("th", "class", scope="col"),
              [el("th", _shortened(one), scope="col", class_="num") for one in series])  # fmt: skip
    rows = [el("tr", el("th", name, scope="row"), [_cell(one, name) for one in series]) for name in classes]
    return el("div", el("table", el("thead", head), el("tbody", rows)), class_="scroll")


def _cell(one: Series, name: str) -> Markup:
    value = one.values.get(name)
    if value is None:
        return el("td", "n/a", class_="num muted")
    text, verdict = delta(METRIC, value, one.baseline.get(name))
    return el(
        "td", f"{value:.4f}", el("small", text, class_=f"delta {verdict}") if text else None, class_="num"
    )
