"""The DAG of a run as SVG, or as a table when it is too large to read as a drawing."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from edgebuild.report.graph import lay_out
from edgebuild.report.markup import Markup, el, fixed
from edgebuild.report.words import OUTCOMES, SYMBOLS, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgebuild.report.graph import Layout
    from edgebuild.results import ActionView, RunResult

MAX_NODES = 150
"""With more actions than this the drawing gives way to a table."""

NODE_WIDTH, NODE_HEIGHT = 136.0, 36.0
ACROSS, DOWN = 164.0, 46.0
MARGIN = 10.0
LANE_NAME = 16.0


def dag(run: RunResult) -> Markup | None:
    """Return the drawing or the table, or None when there are no actions."""
    if not run.actions:
        return None
    if len(run.actions) > MAX_NODES:
        return _table(run)
    layout = lay_out(run)
    width = layout.columns * ACROSS - (ACROSS - NODE_WIDTH) + 2 * MARGIN + 6
    height = layout.rows * DOWN + len(layout.lanes) * LANE_NAME + 2 * MARGIN
    numbers = {view.id: index for index, view in enumerate(run.actions)}
    return el(
        "figure",
        el(
            "div",
            el(
                "svg",
                el("title", "Actions from left to right; a line leads from an action to one that reads it"),
                _lanes(run, layout, width),
                [_edge(layout, one, other, numbers) for one, other in layout.edges],
                [_node(layout, view, numbers[view.id]) for view in run.actions],
                viewBox=f"0 0 {fixed(width)} {fixed(height)}",
                class_="dag",
                role="img",
                width=width,
            ),
            class_="scroll",
        ),
        el("figcaption", _legend(run), " Lines that others imply are left out."),
    )


def outcome(view: ActionView) -> str:
    """Return what happened to an action, or ``not selected``."""
    return str(view.result.outcome) if view.result else "not selected"


def why(view: ActionView) -> list[str]:
    """Return the reasons for an action's outcome, each in one line."""
    if view.result is None:
        return []
    lines = [view.result.message] if view.result.message else []
    for reason in view.result.why:
        change = f"{reason.old} → {reason.new}" if reason.old and reason.new else reason.new or reason.old
        where = f" ({reason.where})" if reason.where else ""
        lines.append(f"{reason.kind}: {reason.what}" + (f": {change}" if change else "") + where)
    return lines


def _tops(layout: Layout) -> list[float]:
    """Return the top of every whole row in pixels; each lane begins with room for its name."""
    tops, top, row = [], MARGIN, 0
    for _, _, count in layout.lanes:
        top += LANE_NAME
        for _ in range(count):
            tops.append(top)
            top += DOWN
            row += 1
    return tops + [top + DOWN * index for index in range(layout.rows - row + 1)]


def _corner(layout: Layout, action: str) -> tuple[float, float]:
    """Return the upper left corner of an action's node; a row between two lies between their tops."""
    column, row = layout.places[action]
    tops, below = _tops(layout), int(row)
    top = tops[below] + (tops[below + 1] - tops[below]) * (row - below) if row > below else tops[below]
    return MARGIN + column * ACROSS, top


def _lanes(run: RunResult, layout: Layout, width: float) -> Iterator[Markup]:
    """Draw a band per target, with its name and what it came to."""
    left = MARGIN + layout.shared * ACROSS - (ACROSS - NODE_WIDTH) / 2
    tops = _tops(layout)
    for target, (_, first, count) in zip(run.targets, layout.lanes, strict=True):
        top = tops[first] - LANE_NAME - 2
        height = count * DOWN + LANE_NAME - 4
        yield el("rect", x=left, y=top, width=width - left - 2, height=height, rx=6, class_="lane")
        text = f"{SYMBOLS[target.status]} {target.name}: {target.status}"
        yield el("text", text, x=left + 16, y=top + 13, class_=f"lane-name {target.status}")


def _edge(layout: Layout, one: str, other: str, numbers: Mapping[str, int]) -> Markup:
    x1, y1 = _corner(layout, one)
    x2, y2 = _corner(layout, other)
    x1, y1, y2 = x1 + NODE_WIDTH, y1 + NODE_HEIGHT / 2, y2 + NODE_HEIGHT / 2
    bend = max((x2 - x1) * 0.5, 14.0)
    # The last stretch is straight, so that lines over several columns arrive in order.
    points = [(x1, y1), (x2 - bend, y1), (x2 - bend, y2), (x2, y2)]
    (ax, ay), *rest = [(fixed(x), fixed(y)) for x, y in points]
    curve = f"M{ax} {ay} C" + " ".join(f"{x} {y}" for x, y in rest)
    far = layout.places[other][0] - layout.places[one][0] > 1
    return el(
        "path", d=curve, class_="edge far" if far else "edge", data_from=numbers[one], data_to=numbers[other]
    )


def _node(layout: Layout, view: ActionView, number: int) -> Markup:
    x, y = _corner(layout, view.id)
    state = outcome(view)
    spent = view.result.seconds if view.result else 0.0
    below = f"{state} · {seconds(spent)}" if spent else state
    box = el("rect", width=NODE_WIDTH, height=NODE_HEIGHT, rx=5)
    name = el("text", f"{SYMBOLS[state]} {_cut(view.title)}", x=8, y=15, class_="node-title")
    return el(
        "a",
        el(
            "g",
            el("title", _tip(view)),
            box,
            name,
            el("text", below, x=8, y=29, class_="node-state"),
            transform=f"translate({fixed(x)} {fixed(y)})",
            class_=f"node {state.replace(' ', '-')}",
            data_node=number,
        ),
        href=f"#action-{number}",
        aria_label=f"{view.id}: {below}",
    )


def _cut(text: str, most: int = 17) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _tip(view: ActionView) -> str:
    lines = [f"{view.id}: {view.title}", outcome(view)]
    if view.result and view.result.seconds:
        lines[1] += f", {seconds(view.result.seconds)}"
    return "\n".join([*lines, *why(view), shlex.join(view.command)])


def _legend(run: RunResult) -> list[Markup]:
    present = {outcome(view) for view in run.actions}
    return [
        el("span", el("span", SYMBOLS[state], class_=f"state {state}"), f" {state}: {text}. ")
        for state, text in OUTCOMES.items()
        if state in present
    ]


def _table(run: RunResult) -> Markup:
    """Return one row per target and one column per kind of action; shared actions above."""
    shared = [view for view in run.actions if len(view.targets) != 1]
    own = [view for view in run.actions if len(view.targets) == 1]
    titles = list(dict.fromkeys(view.title for view in own))
    cells: dict[tuple[str, str], list[ActionView]] = {}
    for view in own:
        cells.setdefault((view.targets[0], view.title), []).append(view)
    head = el("tr", el("th", "target", scope="col"), [el("th", title, scope="col") for title in titles])
    rows = [
        el(
            "tr",
            el("th", target.name, scope="row"),
            [el("td", [_state(view) for view in cells.get((target.name, title), ())]) for title in titles],
        )
        for target in run.targets
    ]
    return el(
        "figure",
        el("p", "Shared: ", [[_state(view), f" {view.title}   "] for view in shared], class_="shared"),
        el("div", el("table", el("thead", head), el("tbody", rows), class_="matrix"), class_="scroll"),
        el("figcaption", f"{len(run.actions)} actions are too many for a drawing. ", _legend(run)),
    )


def _state(view: ActionView) -> Markup:
    state = outcome(view)
    return el("span", SYMBOLS[state], title=_tip(view), class_=f"state {state}")
