"""Split a prepared model into blocks and describe them: ``python -m edgebuild.steps.blocks``.

A block's sketch tells how far its weights have moved between two models without keeping either: every weight
gets a seeded random sign and one of ``BUCKETS`` places, and the sums per place are kept. The squared distance
of two sketches is, on average, the squared distance of the weights (a count sketch).
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from edgebuild.digest import digest_bytes, digest_document
from edgebuild.steps import _groups
from edgebuild.steps._blocks import find_blocks
from edgebuild.steps._onnx_file import load_onnx, name_nodes, shape_of
from edgebuild.steps._step import fail, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA = 1

BUCKETS = 256
"""Places of a sketch: a distance is right to about 9 %."""

_DIGITS = 7
"""Significant digits of a sketch's numbers."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments, find the blocks and write them."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.blocks", description=__doc__)
    parser.add_argument("--model", required=True, help="prepared ONNX model")
    parser.add_argument("--output", required=True, help="where to write the blocks")
    arguments = parser.parse_args(argv)
    model = load_onnx(arguments.model)
    name_nodes(model)
    write_json(arguments.output, describe(model))


def describe(model: Any) -> dict[str, Any]:
    """Return the blocks of a model, its groups and the names of all its nodes, as a document.

    Raises:
        StepFailure: The model has no block.
    """
    blocks = find_blocks(model)
    if not blocks:
        fail("the model has no weighted node: there is nothing to search",
             hint="remove mixed_precision, or use another recipe")  # fmt: skip
    by_name = {node.name: node for node in model.graph.node}
    tensors = _weights(model)
    macs = {node.name: count for node, count in _operations(model)}
    total = sum(macs.values()) or 1
    rows = []
    for block in blocks:
        nodes = [by_name[name] for name in block.nodes]
        own = [tensors[name] for node in nodes for name in node.input if name in tensors]
        rows.append({
            "label": block.label,
            "kind": block.kind,
            "nodes": list(block.nodes),
            "share": round(sum(macs.get(name, 0) for name in block.nodes) / total, 6),
            "shape": digest_document([[node.op_type, *_dimensions(node, tensors)] for node in nodes]),
            "weights": digest_document([digest_bytes(array.tobytes()) for array in own]),
            "sketch": sketch(own),
        })  # fmt: skip
    groups = {name: list(nodes) for name, nodes in _groups.find_groups(model).items()}
    return {"schema": SCHEMA, "blocks": rows, "groups": groups, "nodes": list(by_name)}


def sketch(arrays: Sequence[Any]) -> dict[str, Any]:
    """Return the norm of some arrays and what their distance to others can be estimated from."""
    import numpy as np

    sums = np.zeros(BUCKETS)
    squares = 0.0
    for position, array in enumerate(arrays):
        values = np.asarray(array, dtype=np.float64).ravel()
        draw = np.random.default_rng([position, values.size])
        signs = draw.integers(0, 2, values.size) * 2 - 1
        places = draw.integers(0, BUCKETS, values.size)
        sums += np.bincount(places, weights=values * signs, minlength=BUCKETS)
        squares += float(values @ values)
    return {"norm": _short(math.sqrt(squares)), "sums": [_short(value) for value in sums.tolist()]}


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _weights(model: Any) -> dict[str, Any]:
    """Return the stored floating-point tensors by name."""
    from onnx import numpy_helper

    stored = [(tensor.name, tensor) for tensor in model.graph.initializer]
    for node in model.graph.node:
        if node.op_type == "Constant":
            stored += [(node.output[0], part.t) for part in node.attribute if part.name == "value"]
    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in stored}
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}


def _dimensions(node: Any, tensors: dict[str, Any]) -> list[list[int]]:
    return [list(tensors[name].shape) for name in node.input if name in tensors]


def _operations(model: Any) -> Iterator[tuple[Any, int]]:
    """Yield every convolution and matrix product with its multiplications, where the shapes are known."""
    shapes = {
        value.name: [size for size in shape_of(value) if isinstance(size, int)]
        for value in (*model.graph.value_info, *model.graph.output, *model.graph.input)
    }
    sizes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer} | shapes
    for node in model.graph.node:
        out = math.prod(shapes.get(node.output[0], [0]) or [0])
        if node.op_type == "Conv" and len(sizes.get(node.input[1], [])) > 1:
            yield node, out * math.prod(sizes[node.input[1]][1:])
        elif node.op_type == "ConvTranspose" and len(sizes.get(node.input[1], [])) > 1:
            yield node, math.prod(shapes.get(node.input[0], [0])) * math.prod(sizes[node.input[1]][1:])
        elif node.op_type in {"MatMul", "Gemm"} and sizes.get(node.input[0]):
            yield node, out * sizes[node.input[0]][-1]


if __name__ == "__main__":
    run_step(main)
