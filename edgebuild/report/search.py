"""The search for mixed precision in the report: what was measured, and what was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.amounts import counted
from edgebuild.report.axis import LINE, Rect, linear, place_labels
from edgebuild.report.markup import Markup, el, fixed, join
from edgebuild.report.stored import read_document
from edgebuild.report.words import metric_title, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.report.axis import Label, Scale
    from edgebuild.results import RunResult

WIDTH, HEIGHT = 1130.0, 430.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 1114.0, 18.0, 372.0

MOST_BLOCKS = 12
"""Blocks in the table: the most sensitive."""

_LEFT_OUT = ("sketch", "weights", "shape")
"""What a search keeps for the next one; nobody reads it."""


def searches(run: RunResult) -> dict[str, dict[str, Any]]:
    """Return the search of every target that has one, by target, without what only a machine reads."""
    found = {target.name: read_document(target.search, rows="points") for target in run.targets}
    return {name: _readable(document) for name, document in found.items() if document}


def front(run: RunResult) -> Markup | None:
    """Return the section's content, one part per search; None when there was none."""
    shown: list[tuple[list[str], dict[str, Any]]] = []
    for name, document in searches(run).items():
        known = next((names for names, other in shown if other == document), None)
        if known:
            known.append(name)
        else:
            shown.append(([name], document))
    return join([_one(names, document) for names, document in shown]) if shown else None


def front_lines(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the points as texts: name, metric, difference from float, speed against the default, marks."""
    for point in _ordered(document):
        speed = "" if point["name"] == "float" else f"{100 * (point['ratio'] - 1):+.1f} %"
        drop = "" if point["name"] == "float" else f"{-point['drop']:+.4f}"
        said = [word for word in ("chosen", "front", "default") if point[word] and word != point["name"]]
        yield point["name"], f"{point['metric']:.4f}", drop, speed, ", ".join(said)


def probes_line(document: Mapping[str, Any]) -> str:
    """Return in words what the search cost."""
    probes = document["probes"]
    said = f"{counted(probes['scored'], 'variant')} scored in {seconds(probes['seconds'])}; "
    said += f"{probes['run']} actions ran, {probes['found']} were found"
    if probes["warm"]:
        said += (
            f"; started from the last search: {counted(len(probes['carried']), 'block')} had not moved, "
            f"{probes['saved']} questions were saved"
        )
    return said


def _readable(document: Mapping[str, Any]) -> dict[str, Any]:
    blocks = [{k: v for k, v in row.items() if k not in _LEFT_OUT} for row in document["blocks"]]
    return {**document, "blocks": blocks}


def _one(names: Sequence[str], document: Mapping[str, Any]) -> Markup:
    metric = metric_title(document["settings"]["metric"])
    heads = ("variant", metric, "against float", "latency against the default", "")
    rows = [
        el("tr", el("th", el("b", name) if "chosen" in marks else name, scope="row"),
           el("td", value, class_="num"), el("td", drop, class_="num"), el("td", speed, class_="num"),
           el("td", marks))
        for name, value, drop, speed, marks in front_lines(document)
    ]  # fmt: skip
    skipped = document["skipped"]
    return join([
        el("h3", ", ".join(names)),
        [el("p", sentence) for sentence in document["said"]],
        _chart(document),
        _table(heads, rows, numeric=(1, 2, 3)),
        el("details", el("summary", f"{counted(len(skipped), 'variant')} not scored"),
           el("ul", [el("li", f"{row['name']}: {row['why']}") for row in skipped])) if skipped else None,
        _blocks(document),
        el("p", probes_line(document), ".", class_="muted"),
    ])  # fmt: skip


def _blocks(document: Mapping[str, Any]) -> Markup | None:
    rows = sorted(document["blocks"], key=lambda row: -(row["noise"] or 0.0))[:MOST_BLOCKS]
    if not rows:
        return None
    heads = ("block", "quantized alone", "of all multiplications", "in float, on top of the default", "")
    cells = [
        el("tr", el("th", row["label"], scope="row"),
           el("td", "" if row["sqnr_db"] is None else f"{row['sqnr_db']:.1f} dB", class_="num"),
           el("td", f"{100 * row['share']:.1f} %", class_="num"),
           el("td", "" if row["gain"] is None else f"{row['gain']:+.4f}", class_="num"),
           el("td", "known from the last search" if row["carried"] else ""))
        for row in rows
    ]  # fmt: skip
    return join([el("h4", "The most sensitive blocks"), _table(heads, cells, numeric=(1, 2, 3))])


def _table(heads: Sequence[str], rows: Sequence[Markup], *, numeric: Sequence[int]) -> Markup:
    cells = [
        el("th", head, scope="col", class_="num" if index in numeric else None)
        for index, head in enumerate(heads)
    ]
    return el("div", el("table", el("thead", el("tr", cells)), el("tbody", rows)), class_="scroll")


def _ordered(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the points: float, the front from fast to slow, then the rest by accuracy."""
    points = document["points"]
    return sorted(points, key=lambda p: (p["name"] != "float", not p["front"], p["ratio"], -p["metric"]))


def _chart(document: Mapping[str, Any]) -> Markup:
    points = [point for point in document["points"] if point["name"] != "float"]
    limits, reference = document["settings"]["limits"], document["float"]
    floor, ceiling = reference - limits["max_drop"], 100 * limits["max_slowdown"]
    slow = [100 * (point["ratio"] - 1) for point in points]
    x = linear([*slow, ceiling], LEFT, RIGHT, bounds=(-100.0, 1000.0), least=4.0)
    y = linear(
        [*(p["metric"] for p in points), reference, floor], BOTTOM, TOP + 12, bounds=(0.0, 1.0), least=0.01
    )
    places = [(x(s), y(p["metric"])) for s, p in zip(slow, points, strict=True)]
    named = [index for index, p in enumerate(points) if p["front"] or p["default"] or p["chosen"]]
    labels = _labels(places, [(index, _short(points[index]["name"])) for index in named], y(reference))
    svg = el(
        "svg",
        el("title", "Accuracy against latency of every variant that was measured"),
        _grid(x, y, metric_title(document["settings"]["metric"])),
        _limits(x(ceiling), y(floor), y(reference)),
        _line([places[i] for i, p in enumerate(points) if p["front"]]),
        [_mark(place, point) for place, point in zip(places, points, strict=True)],
        [_label(places[index], label, points[index]["name"]) for index, label in labels.items() if label],
        viewBox=f"0 0 {fixed(WIDTH)} {fixed(HEIGHT)}",
        class_="chart",
        role="img",
    )
    said = (
        "Up and to the left is better. The line joins the front: what nothing measured beats on both axes. "
        "The dashed lines are float and the limits; the filled circle is the choice, the square the default."
    )
    return el("figure", el("div", svg, class_="scroll"), el("figcaption", said))


def _labels(
    places: Sequence[tuple[float, float]], named: Sequence[tuple[int, str]], line: float
) -> dict[int, Label | None]:
    taken = [Rect(left=x - 6, top=y - 6, right=x + 6, bottom=y + 6) for x, y in places]
    taken.append(Rect(left=LEFT, top=line - 1, right=RIGHT, bottom=line + 1))
    taken.append(Rect(left=LEFT, top=line - LINE - 2, right=LEFT + 60, bottom=line))
    area = Rect(left=LEFT + 2, top=TOP, right=RIGHT, bottom=BOTTOM - 2)
    spots = [(*places[index], 6.0, text) for index, text in named]
    found = place_labels(spots, area, taken)
    return {index: label for (index, _), label in zip(named, found, strict=True)}


def _grid(x: Scale, y: Scale, title: str) -> Iterator[Markup]:
    for value in y.ticks:
        yield el("line", x1=LEFT, x2=RIGHT, y1=y(value), y2=y(value), class_="grid")
        yield el("text", f"{value:g}", x=LEFT - 8, y=y(value) + 4, class_="tick end")
    for value in x.ticks:
        yield el("line", x1=x(value), x2=x(value), y1=TOP, y2=BOTTOM, class_="grid")
        yield el("text", f"{value:+g} %" if value else "0", x=x(value), y=BOTTOM + 18, class_="tick middle")
    yield el("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis")
    name = "latency against the default recipe"
    yield el("text", name, x=(LEFT + RIGHT) / 2, y=BOTTOM + 42, class_="axis-title middle")
    middle = (TOP + BOTTOM) / 2
    turn = f"rotate(-90 16 {fixed(middle)})"
    yield el("text", title, x=16, y=middle, class_="axis-title middle", transform=turn)


def _limits(slowest: float, floor: float, reference: float) -> Iterator[Markup]:
    yield el("line", x1=LEFT, x2=RIGHT, y1=reference, y2=reference, class_="baseline")
    yield el("text", "float", x=LEFT + 4, y=reference - 5, class_="tick")
    yield el("line", x1=LEFT, x2=slowest, y1=floor, y2=floor, class_="leader", stroke_dasharray="4 4")
    yield el("line", x1=slowest, x2=slowest, y1=TOP, y2=floor, class_="leader", stroke_dasharray="4 4")


def _line(places: Sequence[tuple[float, float]]) -> Markup | None:
    if len(places) < 2:
        return None
    path = " ".join(f"{fixed(x)},{fixed(y)}" for x, y in sorted(places))
    return el("polyline", points=path, fill="none", class_="leader")


def _mark(place: tuple[float, float], point: Mapping[str, Any]) -> Markup:
    x, y = place
    text = f"{point['name']}: {point['metric']:.4f}, {100 * (point['ratio'] - 1):+.1f} % latency"
    if point["default"]:
        shape = el("rect", x=x - 5, y=y - 5, width=10.0, height=10.0, rx=2)
    else:
        shape = el("circle", cx=x, cy=y, r=6.5 if point["chosen"] else 4.5)
    look = "c0" if point["chosen"] or point["front"] else "float"
    hollow = "" if point["chosen"] or point["default"] else " hollow"
    return el("g", el("title", text), shape, class_=f"point {look}{hollow}")


def _label(place: tuple[float, float], label: Label, name: str) -> list[Markup]:
    box = label.box
    near = (min(max(place[0], box.left), box.right), min(max(place[1], box.top), box.bottom))
    line = (
        el("line", x1=place[0], y1=place[1], x2=near[0], y2=near[1], class_="leader") if label.led else None
    )
    text = el("text", _short(name), x=box.left, y=box.bottom - 3, class_="label")
    return [text] if line is None else [line, text]


def _short(name: str) -> str:
    return name if len(name) <= 44 else name[:43] + "…"
