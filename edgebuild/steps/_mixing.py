"""Which tensors hold values of different kinds, and so cannot share one scale.

One scale for pixels (hundreds) and scores (0 to 1) leaves the scores a handful of levels; with class numbers,
angles or the visibility of keypoints it is the same. What a tensor holds follows from what computes it, node
by node from the inputs to the outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.steps._groups import LAYOUT, PROBABILITY, Graph, is_weighted, read_graph

if TYPE_CHECKING:
    from collections.abc import Mapping

Kinds = frozenset[str]
"""What a tensor holds: some of ``value``, ``probability``, ``angle``, ``number`` (of a class or place)."""

_VALUE: Kinds = frozenset({"value"})
_SCORE: Kinds = frozenset({"probability"})
_ANGLE: Kinds = frozenset({"angle"})
_NUMBER: Kinds = frozenset({"number"})
_NOTHING: Kinds = frozenset()

_SELECTING = LAYOUT | {
    "Cast", "Clip", "Compress", "DequantizeLinear", "Dropout", "Expand", "GatherElements", "GatherND", "Pad",
    "QuantizeLinear", "ReduceMax", "ReduceMin", "Split", "Tile", "TopK",
}  # fmt: skip
"""Their result holds what their first input holds."""

_WHOLE = LAYOUT - {"Gather", "Slice"} | {"Cast"}
"""Their result holds all of their input."""

_JOINING = {
    "Concat": None,
    "Max": None,
    "Min": None,
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
    "Where": (1, 2),
}
"""Their result holds what any of these inputs holds."""

_ALWAYS = dict.fromkeys(PROBABILITY, _SCORE) | dict.fromkeys(
    ("ArgMax", "ArgMin", "NonMaxSuppression", "NonZero"), _NUMBER
)
"""Operators whose result is of one kind, whatever they read."""

_ARITHMETIC = frozenset({"Add", "Div", "Floor", "Mod", "Mul", "Sub"})
_TURNING = frozenset({"Cos", "Sin"})


def mixing_nodes(model: Any) -> tuple[str, ...]:
    """Find the nodes whose result holds values of different kinds, in the order of the graph.

    Only nodes from which no weighted node can be reached count: before one, a tensor is a feature map,
    whatever its parts come from.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.
    """
    graph = read_graph(model)
    weighted = [index for index in range(len(graph.nodes)) if is_weighted(graph, index)]
    before = graph.walk(weighted, graph.before)
    kinds: dict[str, Kinds] = dict.fromkeys(graph.inputs, _VALUE)
    angles = _angles(graph)
    found = []
    for index, node in enumerate(graph.nodes):
        kept = _NOTHING if graph.fixed.issuperset(node.output) else _kinds(graph, index, kinds)
        for place, name in enumerate(node.output):
            numbers = node.op_type == "TopK" and place == 1
            kinds[name] = _NUMBER if numbers else _ANGLE if name in angles else kept
        if index not in before and any(len(kinds[name]) > 1 for name in node.output):
            found.append(node.name)
    return tuple(found)


def _kinds(graph: Graph, index: int, kinds: Mapping[str, Kinds]) -> Kinds:
    """Return what a node's result holds."""
    node = graph.nodes[index]
    if is_weighted(graph, index):
        return _VALUE
    if node.op_type in _ALWAYS:
        return _ALWAYS[node.op_type]
    sources = [kinds.get(name, _NOTHING) for name in node.input]
    if node.op_type in _SELECTING:
        return sources[0]
    if node.op_type in _JOINING:
        places = _JOINING[node.op_type] or range(len(sources))
        return _NOTHING.union(*(sources[place] for place in places))
    return _computed(node.op_type, sources)


def _computed(kind: str, sources: list[Kinds]) -> Kinds:
    """Return what arithmetic makes of values: values, but for a few cases."""
    together = _NOTHING.union(*sources)
    if any(len(source) > 1 for source in sources):
        return together  # what is mixed stays so
    if kind in _ARITHMETIC and together == _NUMBER:
        return _NUMBER
    # An object's probability times that of its class is one, too.
    return _SCORE if kind == "Mul" and sources == [_SCORE, _SCORE] else _VALUE


def _angles(graph: Graph) -> frozenset[str]:
    """Find the tensors of which a sine or cosine is taken, also before they were reordered."""
    found: set[str] = set()
    for node in graph.nodes:
        name = node.input[0] if node.op_type in _TURNING else ""
        while name and name not in graph.fixed:
            found.add(name)
            source = graph.nodes[graph.producer[name]] if name in graph.producer else None
            name = source.input[0] if source is not None and source.op_type in _WHOLE else ""
    return frozenset(found)
