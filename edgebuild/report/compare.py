"""Where a quantized model departs from the float one: the comparison per block, as a chart and a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgebuild.report.markup import Markup, el, fixed, join
from edgebuild.report.stored import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.results import RunResult

WIDTH, ROW, NAME = 760.0, 17.0, 170.0
MOST_DB = 40.0
"""Where the bars end: beyond it nobody sees a difference."""


def comparisons(run: RunResult) -> dict[str, dict[str, Any]]:
    """Return the comparison of every target that has one, by target."""
    found = {target.name: read_document(target.comparison, rows="blocks") for target in run.targets}
    return {name: document for name, document in found.items() if document}


def verdict_line(document: Mapping[str, Any]) -> str:
    """Return in words where the models part."""
    limit = f"{document['diverged_db']:g} dB"
    if document["first"]:
        return f"the first block below {limit} is {document['first']}"
    worst = min(document["blocks"], key=lambda row: row["sqnr_db"], default=None)
    said = f"; the lowest is {worst['label']} with {worst['sqnr_db']:.1f} dB" if worst else ""
    return f"no block is below {limit}{said}"


def compared(run: RunResult) -> Markup | None:
    """Return the section's content: a chart and a table per comparison; None when there is none."""
    shown = _distinct(comparisons(run))
    if not shown:
        return None
    text = (
        "Signal to quantization noise of what leaves each block, float against quantized, on a few "
        "calibration images, in the order of the model. Noise adds up on the way: look at the first block "
        "that falls off."
    )
    parts = [_one(names, document) for names, document in shown]
    return join([el("p", text, class_="muted"), *parts])


def _distinct(found: Mapping[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return each comparison with the names of all targets that have it."""
    grouped: dict[str, list[str]] = {}
    for name, document in found.items():
        grouped.setdefault(json.dumps(document, sort_keys=True), []).append(name)
    return [(", ".join(names), json.loads(text)) for text, names in grouped.items()]


def _one(names: str, document: Mapping[str, Any]) -> Markup:
    said = f"{verdict_line(document)}; {document['images']} images"
    title = el("h3", names, el("small", f" {said}"))
    return el("div", title, _chart(document), _details(document["blocks"]), class_="compared")


def _chart(document: Mapping[str, Any]) -> Markup:
    rows, limit = document["blocks"], document["diverged_db"]
    height = ROW * len(rows) + 22
    line = NAME + _length(limit)
    svg = el(
        "svg",
        el("title", "signal to quantization noise per block"),
        [_bar(index, row, limit) for index, row in enumerate(rows)],
        el("line", x1=fixed(line), x2=fixed(line), y1="0", y2=fixed(height - 18), class_="limit"),
        el("text", f"{limit:g} dB", x=fixed(line), y=fixed(height - 4), class_="tick", text_anchor="middle"),
        viewBox=f"0 0 {fixed(WIDTH)} {fixed(height)}",
        class_="chart",
        role="img",
    )
    return el("div", svg, class_="scroll")


def _bar(index: int, row: Mapping[str, Any], limit: float) -> Markup:
    y = ROW * index
    low = row["sqnr_db"] < limit
    bar = el(
        "rect",
        x=fixed(NAME),
        y=fixed(y + 3),
        width=fixed(max(1.0, _length(row["sqnr_db"]))),
        height=fixed(ROW - 6),
        class_="bar low" if low else "bar",
    )
    name = el("text", row["label"], x=fixed(NAME - 8), y=fixed(y + 13), class_="tick", text_anchor="end")
    value = f"{row['sqnr_db']:.1f}"
    at = NAME + max(1.0, _length(row["sqnr_db"])) + 6
    said = el("text", value, x=fixed(at), y=fixed(y + 13), class_="tick")
    return el("g", el("title", f"{row['label']}: {value} dB, cosine {row['cosine']:.4f}"), name, bar, said)


def _length(decibel: float) -> float:
    return max(0.0, min(decibel, MOST_DB)) / MOST_DB * (WIDTH - NAME - 60)


def _details(rows: Sequence[Mapping[str, Any]]) -> Markup:
    heads = ("block", "SQNR (dB)", "cosine", "greatest error", "greatest value", "tensor")
    head = el("thead", el("tr", [el("th", text, scope="col") for text in heads]))
    body = el("tbody", [el("tr", list(_cells(row))) for row in rows])
    table = el("div", el("table", head, body), class_="scroll")
    return el("details", el("summary", "the figures"), table)


def _cells(row: Mapping[str, Any]) -> Iterator[Markup]:
    yield el("th", row["label"], scope="row")
    for key, form in (("sqnr_db", ".1f"), ("cosine", ".4f"), ("max_error", "g"), ("max_value", "g")):
        yield el("td", format(row[key], form), class_="num")
    yield el("td", el("code", row["tensor"]))
