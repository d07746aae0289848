"""Named groups of nodes that matter for quantization, found from the structure of the graph.

Node names differ between model versions and exporters, so nothing here looks at them. A node is *weighted*
when it multiplies by stored weights (Conv, ConvTranspose, Gemm, MatMul with a constant). Walking from the
outputs towards the inputs:

- ``decode``: what is met before a weighted node: softmax and expectation of the box distribution, distances
  to boxes, strides, keypoints, angles, concatenation, sigmoid, and selection of the best in an end-to-end
  head. The convolution of the box distribution counts here: its weights are the constants 0, 1, 2, ...
- ``last``: the weighted nodes where that walk ends: the last box and class convolutions of a detector, those
  of mask coefficients and mask prototypes, keypoints or angles, the matrix product of a classifier.
- ``head``: both, and every node that leads to one of several last nodes only: the branches of the head
  behind the shared feature maps.
- ``attention``: products of two computed matrices, what lies between them, and the reordering before them.
- ``first``: the first weighted nodes behind the input.

A graph of another origin may hide some of this; :func:`find_gaps` says what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator sets of ONNX and of ONNX Runtime."""

NAMES = ("decode", "last", "head", "attention", "first")
"""The named groups."""

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_SHAPE_ONLY = frozenset({"Shape", "Size"})
"""Their result depends on the shape of the input alone, so no walk continues through them."""
_ATTENTION = frozenset({"Attention", "GroupQueryAttention", "MultiHeadAttention", "QAttention"})
"""Attention as one operator, of ONNX 23 or of ONNX Runtime."""

PROBABILITY = frozenset({"HardSigmoid", "Sigmoid", "Softmax"})
"""Operators whose result lies between 0 and 1."""

LAYOUT = frozenset({"Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
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
        fixed: Those, and the names of all that is computed from them alone, such as transposed weights.
        producer: Node that computes a tensor, by the tensor's name.
        consumers: Nodes that read a tensor, by the tensor's name.
    """

    nodes: tuple[Any, ...]
    inputs: frozenset[str]
    outputs: tuple[str, ...]
    constants: dict[str, Any] = field(repr=False)
    fixed: frozenset[str] = field(repr=False)
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
    fixed = set(constants)
    for _, node in computed:  # in the order of the graph, in which a node comes after its inputs
        if node.input and all(name in fixed or not name for name in node.input):
            fixed.update(node.output)
    return Graph(
        nodes=nodes,
        inputs=frozenset(value.name for value in model.graph.input) - constants.keys(),
        outputs=tuple(value.name for value in model.graph.output),
        constants=constants,
        fixed=frozenset(fixed),
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
    weighted = {index for index in range(len(graph.nodes)) if is_weighted(graph, index)}
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


def find_gaps(model: Any, groups: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Say what could not be found out about a graph, one sentence each; nothing for a YOLO as exported.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.
        groups: Its groups, as :func:`find_groups` gives them.
    """
    graph = read_graph(model)
    if not groups["last"]:
        return ("no node that multiplies by stored weights was found: nothing of it can be quantized",)
    gaps = []
    types = {graph.nodes[index].op_type for index in _named(graph, groups["decode"])}
    if not types & PROBABILITY:
        # Scores that are not yet probabilities, or a sigmoid in other words: nobody can tell from here.
        gaps.append("no sigmoid or softmax lies between the last weighted nodes and the outputs: an output "
                    "that joins coordinates and scores would not be recognised")  # fmt: skip
    if _reads_input(graph, groups["decode"]):
        gaps.append("an output is computed from the input without a weighted node between them: decode may "
                    "hold more than the decoding")  # fmt: skip
    if not groups["first"]:
        gaps.append("no weighted node follows the input: the group first is empty")
    inner = sorted(
        {node.op_type for node in graph.nodes if any(part.HasField("g") for part in node.attribute)}
    )
    if inner:
        gaps.append(f"what is inside {' and '.join(inner)} is not looked into: it stays float")
    foreign = sorted({node.domain for node in graph.nodes} - _DOMAINS)
    if foreign:
        gaps.append(f"operators of {', '.join(foreign)} are not known: they stay float")
    return tuple(gaps)


def is_weighted(graph: Graph, index: int) -> bool:
    """Say whether a node multiplies by stored weights that mean something."""
    node = graph.nodes[index]
    if node.op_type not in _WEIGHTED:
        return False
    return any(name in graph.fixed for name in node.input[:2]) and not _is_expectation(graph, node)


def _named(graph: Graph, names: Iterable[str]) -> list[int]:
    wanted = frozenset(names)
    return [index for index, node in enumerate(graph.nodes) if node.name in wanted]


def _reads_input(graph: Graph, names: Iterable[str]) -> bool:
    """Say whether one of the nodes reads the values of the input, not just its shape."""
    nodes = [graph.nodes[index] for index in _named(graph, names)]
    return any(set(node.input) & graph.inputs for node in nodes if node.op_type not in _SHAPE_ONLY)


def _is_expectation(graph: Graph, node: Any) -> bool:
    """Say whether a node weighs its input by 0, 1, 2, ...: the expectation of a distribution."""
    from onnx import numpy_helper

    if len(node.input) > 2 and node.input[2]:
        return False
    tensor = graph.constants.get(node.input[1])
    # One row of weights in a convolution, one column in a matrix product.
    if tensor is None or 1 not in {*tensor.dims[:1], *(tensor.dims[-1:] if node.op_type != "Conv" else ())}:
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
        if (node.op_type == "MatMul" and index not in weighted and index not in decode)
        or node.op_type in _ATTENTION
    }
    behind = graph.walk(products, graph.after, stop=weighted)
    before = graph.walk(products, graph.before, stop=weighted)
    reordering = {index for index in before if graph.nodes[index].op_type in LAYOUT | {"Split"}}
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
