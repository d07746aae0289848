"""Where each action goes in the drawing of the DAG: shared actions left, one lane per target on the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgebuild.results import ActionView, RunResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Places in units of one cell.

    Attributes:
        places: Action id -> (column, row); rows are whole numbers for lanes and may be halves for the rest.
        lanes: (target name, first row, number of rows), top to bottom.
        shared: How many columns the shared actions take.
        columns: How many columns there are.
        rows: How many rows there are.
        edges: (from, to) pairs that are drawn: those that no longer path implies.
    """

    places: Mapping[str, tuple[int, float]]
    lanes: tuple[tuple[str, int, int], ...]
    shared: int
    columns: int
    rows: int
    edges: tuple[tuple[str, str], ...]


def lay_out(run: RunResult) -> Layout:
    """Lay out the actions of a run.

    A shared action's column is its depth among the shared ones; a target's own actions follow in the target's
    lane, by their depth among themselves. Shared ones are then spread over the height, near what they feed.
    """
    views = {view.id: view for view in run.actions}
    order = _topological(views)
    lanes_of = {(target.name,) for target in run.targets}
    own = [i for i in order if views[i].targets in lanes_of]
    shared = [i for i in order if views[i].targets not in lanes_of]
    left = _depths(shared, views)
    width = max(left.values(), default=-1) + 1
    right = {i: width + depth for i, depth in _depths(own, views).items()}
    places, lanes = _lanes(run, views, own, right)
    rows = max(sum(count for _, _, count in lanes), _tallest(left), 1)
    edges = _reduce(order, views)
    centres = _centres(shared, views, places, rows)
    places |= _spread(left, centres, rows)
    columns = max([*left.values(), *right.values()], default=-1) + 1
    return Layout(
        places=places, lanes=tuple(lanes), shared=width, columns=columns, rows=rows, edges=tuple(edges)
    )


def _topological(views: Mapping[str, ActionView]) -> list[str]:
    """Return the ids, every action after those it needs, otherwise in the given order."""
    order: dict[str, None] = {}
    for start in views:
        stack = [start]
        while stack:
            needs = [i for i in views[stack[-1]].needs if i in views and i not in order and i not in stack]
            if needs:
                stack.append(needs[0])
            else:
                order[stack.pop()] = None
    return list(order)


def _depths(ids: Sequence[str], views: Mapping[str, ActionView]) -> dict[str, int]:
    """Return the longest path to each action within ``ids``, which is in topological order."""
    depths: dict[str, int] = {}
    for one in ids:
        depths[one] = max((depths[i] + 1 for i in views[one].needs if i in depths), default=0)
    return depths


def _lanes(
    run: RunResult, views: Mapping[str, ActionView], own: Sequence[str], columns: Mapping[str, int]
) -> tuple[dict[str, tuple[int, float]], list[tuple[str, int, int]]]:
    """Put each target's own actions into its lane, which is as many rows high as it needs."""
    places: dict[str, tuple[int, float]] = {}
    lanes = []
    first = 0
    for target in run.targets:
        used: dict[int, int] = {}
        for one in (i for i in own if views[i].targets == (target.name,)):
            row = used.get(columns[one], 0)
            used[columns[one]] = row + 1
            places[one] = (columns[one], float(first + row))
        count = max(used.values(), default=1)
        lanes.append((target.name, first, count))
        first += count
    return places, lanes


def _tallest(columns: Mapping[str, int]) -> int:
    counts: dict[int, int] = {}
    for column in columns.values():
        counts[column] = counts.get(column, 0) + 1
    return max(counts.values(), default=0)


def _centres(
    shared: Sequence[str],
    views: Mapping[str, ActionView],
    places: Mapping[str, tuple[int, float]],
    rows: int,
) -> dict[str, float]:
    """Return the row each shared action would like: the middle of what reads it."""
    users: dict[str, list[str]] = {}
    for view in views.values():
        for need in view.needs:
            users.setdefault(need, []).append(view.id)
    centres: dict[str, float] = {}
    for one in reversed(shared):
        wanted = [
            centres[u] if u in centres else places[u][1]
            for u in users.get(one, ())
            if u in centres or u in places
        ]
        centres[one] = sum(wanted) / len(wanted) if wanted else (rows - 1) / 2
    return centres


def _spread(
    columns: Mapping[str, int], centres: Mapping[str, float], rows: int
) -> dict[str, tuple[int, float]]:
    """Give every shared action a row near the one it would like, a whole row apart from its neighbours."""
    places = {}
    for column in sorted(set(columns.values())):
        ids = sorted((i for i in columns if columns[i] == column), key=lambda i: centres[i])
        row = -1.0
        for index, one in enumerate(ids):
            left_over = len(ids) - 1 - index
            row = max(row + 1, min(centres[one], rows - 1 - left_over))
            places[one] = (column, row)
    return places


def _reduce(order: Sequence[str], views: Mapping[str, ActionView]) -> list[tuple[str, str]]:
    """Return the edges without those that a longer path implies."""
    before: dict[str, set[str]] = {}
    edges = []
    for one in order:
        needs = [i for i in views[one].needs if i in before]
        implied = _union(before[i] for i in needs)
        edges += [(need, one) for need in needs if need not in implied]
        before[one] = implied | set(needs)
    return edges


def _union(sets: Iterable[set[str]]) -> set[str]:
    return {item for one in sets for item in one}
