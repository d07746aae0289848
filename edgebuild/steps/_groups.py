"""Named groups of nodes that matter for quantization, found from the structure of the graph.

Node names differ between model versions and exporters, so nothing here looks at them. A node is *weighted*
when it multiplies by stored weights (Conv, ConvTranspose, Gemm, MatMul with a constant). Walking from the
outputs towards the inputs:

- ``decode``: what is met before a weighted node: softmax and expectation of the box distribution, distances
  to boxes, strides, concatenation, sigmoid, and selection of the best in an end-to-end head. The convolution
  of the box distribution counts here: its weights are the constants 0, 1, 2, ...
- ``last``: the weighted nodes where that walk ends (3 box and 3 class convolutions of a detector).
- ``head``: both, and every node that leads to one of the last convolutions only: the branches of the head
  behind the shared feature maps.
- ``attention``: products of two computed matrices, what lies between them, and the reordering before them.
- ``first``: the first weighted nodes behind the input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAMES = ("decode", "last", "head", "attention", "first")
"""The named groups."""

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_SHAPE_ONLY = frozenset({"Shape", "Size"})
"""Their result depends on the shape of the input alone, so no walk continues through them."""
_PROBABILITY = frozenset({"Sigmoid", "Softmax", "HardSigmoid"})
_LAYOUT = frozenset(
    {"Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
"""They move values without changing them: the result needs the same scale as the input."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A graph as neighbours; nodes are indices in the order of the file.

    Attributes:
        nodes: The nodes of the file.
        inputs: Names of the graph's inputs, weights excluded.
        outputs: Names of the graph's outputs.
        constants: Names of weights and of the results of Constant nodes, with their tensors (None for a
            Constant that is no tensor).
        producer: Node that computes a tensor, by the tensor's name.
        consumers: Nodes that read a tensor, by the tensor's name.
    """

    nodes: tuple[Any, ...]
    inputs: frozenset[str]
    outputs: tuple[str, ...]
    constants: dict[str, Any] = field(repr=False)
    producer: dict[str, int] = field(repr=False)
    consumers: dict[str, tuple[int, ...]] = field(repr=False)

    def before(self, index: int) -> list[int]:
        """Return the nodes that compute a node's inputs."""
        if self.nodes[index].op_type in _SHAPE_ONLY:
            return []
        return [self.producer[name] for name in self.nodes[index].input if name in self.producer]

    def after(self, index: int) -> list[int]:
        """Return the nodes that read a node's outputs."""
        found = [user for name in self.nodes[index].output for user in self.consumers.get(name, ())]
        return [user for user in found if self.nodes[user].op_type not in _SHAPE_ONLY]

    def walk(
        self, start: Iterable[int], step: Callable[[int], list[int]], stop: Iterable[int] = ()
    ) -> set[int]:
        """Return everything reachable from ``start``, itself included; what is in ``stop`` is not entered."""
        blocked, seen, todo = set(stop), set(), list(start)
        while todo:
            index = todo.pop()
            if index not in seen and index not in blocked:
                seen.add(index)
                todo += step(index)
        return seen


def read_graph(model: Any) -> Graph:
    """Turn an ``onnx.ModelProto`` into neighbours."""
    nodes = tuple(model.graph.node)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    computed = []
    for index, node in enumerate(nodes):
        if node.op_type == "Constant":
            constants[node.output[0]] = next(
                (part.t for part in node.attribute if part.name == "value"), None
            )
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
        else:
            computed.append((index, node))
    consumers: dict[str, list[int]] = {}
    for index, node in computed:
        for name in node.input:
            consumers.setdefault(name, []).append(index)
    return Graph(
        nodes=nodes,
        inputs=frozenset(value.name for value in model.graph.input) - constants.keys(),
        outputs=tuple(value.name for value in model.graph.output),
        constants=constants,
        producer={name: index for index, node in computed for name in node.output if name},
        consumers={name: tuple(users) for name, users in consumers.items()},
    )


def find_groups(model: Any) -> dict[str, tuple[str, ...]]:
    """Find the named groups of a model.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.

    Returns:
        Node names by group, in the order of the graph; a group may be empty.
    """
    graph = read_graph(model)
    weighted = {index for index in range(len(graph.nodes)) if _is_weighted(graph, index)}
    ends = [graph.producer[name] for name in graph.outputs if name in graph.producer]
    decode = graph.walk(ends, graph.before, stop=weighted)
    last = {index for node in decode for index in graph.before(node)} & weighted | (set(ends) & weighted)
    found = {
        "decode": decode,
        "last": last,
        "head": decode | last | _branches(graph, last, decode),
        "attention": _attention(graph, weighted, decode),
        "first": _first(graph, weighted),
    }
    return {name: tuple(graph.nodes[index].name for index in sorted(found[name])) for name in NAMES}


def mixing_nodes(model: Any) -> tuple[str, ...]:
    """Find the nodes whose result holds both coordinates and probabilities.

    One scale for a tensor of pixels (hundreds) and scores (0 to 1) leaves the scores a handful of levels, so
    no such tensor can be quantized. Found are concatenations along the channels of a tensor that comes from a
    sigmoid or softmax with one that does not, and what selects from their result.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.
    """
    graph = read_graph(model)
    start = [index for index in range(len(graph.nodes)) if _mixes(graph, index)]
    return tuple(graph.nodes[index].name for index in sorted(graph.walk(start, graph.after)))


def _mixes(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    if node.op_type != "Concat":
        return False
    kinds = {_is_probability(graph, name) for name in node.input}
    decoding = not any(_is_feature_map(graph, name) for name in node.input)
    return decoding and kinds == {True, False}


def _is_probability(graph: Graph, name: str) -> bool:
    """Say whether a tensor comes out of a sigmoid or softmax, reordered or not."""
    while name in graph.producer:
        node = graph.nodes[graph.producer[name]]
        if node.op_type in _PROBABILITY:
            return True
        if node.op_type not in _LAYOUT:
            return False
        name = node.input[0]
    return False


def _is_feature_map(graph: Graph, name: str) -> bool:
    """Say whether a tensor is read by a weighted node: it is on the way, not at the end."""
    return name not in graph.producer or any(
        _is_weighted(graph, user) for user in graph.consumers.get(name, ())
    )


def _is_weighted(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    if node.op_type not in _WEIGHTED:
        return False
    has_constant = any(name in graph.constants for name in node.input[:2])
    return has_constant and not _is_expectation(graph, node)


def _is_expectation(graph: Graph, node: Any) -> bool:
    """Say whether a convolution weighs its input by 0, 1, 2, ...: the expectation of a distribution."""
    from onnx import numpy_helper

    if node.op_type != "Conv" or (len(node.input) > 2 and node.input[2]):
        return False
    tensor = graph.constants.get(node.input[1])
    if tensor is None or list(tensor.dims[:1]) != [1]:
        return False
    values = numpy_helper.to_array(tensor).ravel()
    return values.size > 1 and all(value == place for place, value in enumerate(values.tolist()))


def _branches(graph: Graph, last: set[int], decode: set[int]) -> set[int]:
    """Find the nodes that lead to exactly one of several last nodes."""
    if len(last) < 2:
        return set()
    leads_to: dict[int, int] = {}
    for end in last:
        for index in graph.walk([end], graph.before):
            leads_to[index] = leads_to.get(index, 0) + 1
    return {index for index, count in leads_to.items() if count == 1} - decode


def _attention(graph: Graph, weighted: set[int], decode: set[int]) -> set[int]:
    products = {
        index
        for index, node in enumerate(graph.nodes)
        if node.op_type == "MatMul" and index not in weighted and index not in decode
    }
    behind = graph.walk(products, graph.after, stop=weighted)
    before = graph.walk(products, graph.before, stop=weighted)
    reordering = {index for index in before if graph.nodes[index].op_type in _LAYOUT | {"Split"}}
    return products | (behind & before) | _touching(graph, products, reordering)


def _touching(graph: Graph, start: set[int], allowed: set[int]) -> set[int]:
    """Return the allowed nodes from which ``start`` is reached through allowed nodes alone."""
    found, todo = set(), list(start)
    while todo:
        for index in graph.before(todo.pop()):
            if index in allowed and index not in found:
                found.add(index)
                todo.append(index)
    return found


def _first(graph: Graph, weighted: set[int]) -> set[int]:
    users = [user for name in graph.inputs for user in graph.consumers.get(name, ())]
    reached = graph.walk(users, graph.after, stop=weighted)
    behind = {user for index in reached for user in graph.after(index)} | set(users)
    return behind & weighted
