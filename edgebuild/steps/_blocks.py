"""Blocks of a graph: the parts that a search keeps float or quantizes as a whole.

What lies behind the last weighted nodes (``decode``, see ``_groups``) belongs to no block: it always stays
float. The head's branches are found by structure and told apart by what becomes of them: ``box`` ends in
coordinates, ``class`` in a sigmoid. The rest is grouped by the module scopes that exporters leave in node
names (``/model.10/...``), and without them into chains between the places where the graph joins or splits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from edgebuild.steps import _groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgebuild.steps._groups import Graph

MAX_CHAINS = 24
"""Most blocks that a graph without scopes is cut into."""

_SCOPE = re.compile(r"(?:^|/)(model\.\d+)(?=/)")
_SCOPED = 0.9
"""Share of weighted nodes that must have a scope before scopes are believed."""

_CHANNELS = 1
"""The axis of channels in (batch, channels, ...)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Nodes that belong together.

    Attributes:
        label: What it is called; unique in the model.
        kind: ``body``, or for a branch of the head ``box``, ``class`` or ``branch``.
        nodes: Names, in the order of the graph.
    """

    label: str
    kind: str
    nodes: tuple[str, ...]


def find_blocks(model: Any) -> tuple[Block, ...]:
    """Split a model into blocks.

    Args:
        model: A prepared ``onnx.ModelProto`` whose nodes all have names.

    Returns:
        The blocks in the order of the graph; each node outside ``decode`` is in exactly one.
    """
    graph = _groups.read_graph(model)
    place = {node.name: index for index, node in enumerate(graph.nodes)}
    groups = _groups.find_groups(model)
    decode = {place[name] for name in groups["decode"]}
    head = {place[name] for name in groups["head"]} - decode
    last = [place[name] for name in groups["last"]]
    branches = _branches(graph, last, head, decode) if len(last) > 1 else []
    taken = decode | {index for _, _, nodes in branches for index in nodes}
    rest = [index for index in _computed(graph) if index not in taken]
    body = _by_scope(graph, rest) or _by_chain(graph, rest)
    found = [*((label, "body", nodes) for label, nodes in body), *branches]
    found = [row for row in found if any(_groups.is_weighted(graph, index) for index in row[2])]
    found.sort(key=lambda row: min(row[2]))
    return tuple(
        Block(label=label, kind=kind, nodes=tuple(graph.nodes[index].name for index in sorted(nodes)))
        for label, kind, nodes in found
    )


def entry_tensors(model: Any) -> tuple[tuple[str, int], ...]:
    """Return where data enters ``decode``, as (node, index of its input) pairs.

    A quantized model has other tensors there, under the same node's input.
    """
    graph = _groups.read_graph(model)
    decode = set(_groups.find_groups(model)["decode"])
    inside = {index for index, node in enumerate(graph.nodes) if node.name in decode}
    return tuple(
        (graph.nodes[index].name, position)
        for index in sorted(inside)
        for position, name in enumerate(graph.nodes[index].input)
        if name in graph.producer and graph.producer[name] not in inside
        and graph.nodes[index].op_type not in {"Shape", "Size"}
    )  # fmt: skip


def _computed(graph: Graph) -> list[int]:
    """Return the nodes that compute something from the input."""
    return sorted(set(graph.producer.values()))


def _branches(
    graph: Graph, last: Sequence[int], head: set[int], decode: set[int]
) -> list[tuple[str, str, set[int]]]:
    """Group the head's branches: by what becomes of their result, then by its number of channels."""
    kinds: dict[tuple[str, int], set[int]] = {}
    for end in last:
        nodes = graph.walk([end], graph.before) & (head - (set(last) - {end}))
        key = (_fate(graph, end, decode), _out_channels(graph, end))
        kinds.setdefault(key, set()).update(nodes | {end})
    found = []
    for (kind, channels), nodes in kinds.items():
        alone = sum(1 for other, _ in kinds if other == kind) == 1
        name = f"head {kind}" if kind != "branch" else "head branch"
        label = name if alone and kind != "branch" else f"{name} ({channels} channels)"
        found.append((label, kind, nodes))
    return found


def _fate(graph: Graph, end: int, decode: set[int]) -> str:
    """Say what becomes of a last node's result: ``box``, ``class``, or ``branch`` where that is not clear.

    The walk follows layout operations. Where branches are joined along the channels and split again, it
    follows the part that this one became.
    """
    fates: set[str] = set()
    todo: list[tuple[str, int, int]] = [(name, -1, 0) for name in graph.nodes[end].output]
    seen: set[tuple[str, int]] = set()
    while todo:
        name, slot, parts = todo.pop()
        if (name, slot) in seen:
            continue
        seen.add((name, slot))
        for user in graph.consumers.get(name, ()):
            node = graph.nodes[user]
            if user not in decode or node.op_type in {"Shape", "Size"}:
                continue
            if node.op_type == "Concat" and _axis(node) == _CHANNELS:
                position = list(node.input).index(name)
                todo += [(node.output[0], position, len(node.input))]
            elif node.op_type == "Split" and slot >= 0 and len(node.output) == parts:
                todo.append((node.output[slot], -1, 0))
            elif node.op_type in _groups.LAYOUT | {"Concat", "Split"}:
                todo += [(output, slot, parts) for output in node.output]
            else:
                fates.add("class" if node.op_type in {"Sigmoid", "HardSigmoid"} else "box")
    return fates.pop() if len(fates) == 1 else "branch"


def _axis(node: Any) -> int:
    return next((part.i for part in node.attribute if part.name == "axis"), 0)


def _out_channels(graph: Graph, index: int) -> int:
    """Return how many channels a weighted node gives, from its stored weights."""
    node = graph.nodes[index]
    sizes = [list(graph.constants[name].dims) for name in node.input[1:2] if name in graph.constants]
    if not sizes or not sizes[0]:
        return 0
    return int(sizes[0][-1] if node.op_type in {"MatMul", "Gemm"} else sizes[0][0])


def _by_scope(graph: Graph, nodes: Sequence[int]) -> list[tuple[str, set[int]]]:
    """Group nodes by module scope; an empty list when the names do not tell."""
    scopes = {index: match[1] for index in nodes if (match := _SCOPE.search(graph.nodes[index].name))}
    weighted = [index for index in nodes if _groups.is_weighted(graph, index)]
    if not weighted or sum(index in scopes for index in weighted) < _SCOPED * len(weighted):
        return []
    found: dict[str, set[int]] = {}
    label = ""
    for index in nodes:
        # What an optimiser added without a name goes with what comes before it.
        label = scopes.get(index) or label or next(iter(scopes.values()))
        found.setdefault(label, set()).add(index)
    return list(found.items())


def _by_chain(graph: Graph, nodes: Sequence[int]) -> list[tuple[str, set[int]]]:
    """Cut the graph where it joins or splits; an activation written as x * f(x) does not count as either."""
    allowed = set(nodes)
    parent = {index: index for index in nodes}

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for index in nodes:
        before = set(graph.before(index)) & allowed
        gate = _gated(graph, index, before)
        for one in gate or (before if len(before) == 1 else ()):
            if gate or set(graph.after(one)) == {index}:
                parent[root(index)] = root(one)
    chains: dict[int, set[int]] = {}
    for index in nodes:
        chains.setdefault(root(index), set()).add(index)
    merged = _merge(graph, [chains[start] for start in sorted(chains)])
    return [(f"block {number:02}", chain) for number, chain in enumerate(merged)]


def _gated(graph: Graph, index: int, before: set[int]) -> set[int]:
    """Return x and f when a node multiplies x by f(x), else nothing."""
    if graph.nodes[index].op_type != "Mul" or len(before) != 2:
        return set()
    for one in before:
        other = next(iter(before - {one}))
        if set(graph.before(other)) == {one} and set(graph.after(one)) == {other, index}:
            return before
    return set()


def _merge(graph: Graph, chains: Iterable[set[int]]) -> list[set[int]]:
    """Join neighbours until every part has weights and there are not too many parts."""
    whole: list[set[int]] = []
    waiting: set[int] = set()
    for chain in chains:
        if any(_groups.is_weighted(graph, index) for index in chain):
            whole.append(chain | waiting)
            waiting = set()
        else:
            waiting |= chain
    if waiting:
        whole = [*whole[:-1], (whole[-1] if whole else set()) | waiting]
    if len(whole) <= MAX_CHAINS:
        return whole
    bounds = [round(part * len(whole) / MAX_CHAINS) for part in range(MAX_CHAINS + 1)]
    return [set[int]().union(*whole[low:high]) for low, high in pairwise(bounds)]
