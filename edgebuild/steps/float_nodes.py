"""Say which nodes of a model ``keep_float`` means: ``python -m edgebuild.steps.float_nodes``.

The result, ``float_nodes.json``, lists every node with its name, type, tensors and PyTorch module, and says
whether it stays float; the named groups; and the model's inputs and outputs. Whoever configures a vendor's
quantizer finds there whatever its form wants: layer names, tensor names, types or modules.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from edgebuild.steps._groups import find_groups
from edgebuild.steps._onnx_file import dtype_of, load_onnx, name_nodes, shape_of
from edgebuild.steps._selection import select_nodes
from edgebuild.steps._step import StepFailure, fail, read_json, report_finding, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = 1

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Types that multiply by weights when one of their inputs is stored."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments and the model, and write the document."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.float_nodes", description=__doc__)
    parser.add_argument("--model", required=True, help="float ONNX model")
    parser.add_argument("--keep-float", nargs="*", default=[], metavar="GROUP|GLOB|op:TYPE")
    parser.add_argument("--choice", help="what a search chose to keep float, in place of --keep-float")
    parser.add_argument("--output", required=True, help="where to write float_nodes.json")
    arguments = parser.parse_args(argv)
    model = load_onnx(arguments.model)
    name_nodes(model)
    keep = tuple(arguments.keep_float)
    if arguments.choice:
        keep = known_entries(model, read_choice(arguments.choice))
    write_json(arguments.output, describe_nodes(model, keep))


def read_choice(path: str) -> tuple[str, ...]:
    """Return what a search found to keep float.

    Raises:
        StepFailure: The file is not a search's choice.
    """
    try:
        return tuple(str(entry) for entry in read_json(path)["keep_float"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{path}: not a search's choice ({error!r})", hint="run the search step again")


def known_entries(model: Any, entries: Sequence[str]) -> tuple[str, ...]:
    """Return the entries that mean a node of this model; the search looked at a prepared form of it.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.
        entries: Entries of ``keep_float``.
    """
    groups = find_groups(model)
    known = []
    for entry in entries:
        try:
            select_nodes(model, groups, [entry])
        except StepFailure:
            hint = "the vendor's quantizer decides on it"
            report_finding("choice-without-node", f"{entry} is not in this graph", hint=hint, level="note")
        else:
            known.append(entry)
    return tuple(known)


def describe_nodes(model: Any, keep: Sequence[str]) -> dict[str, Any]:
    """Return the document.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.
        keep: Entries of ``keep_float``.

    Raises:
        StepFailure: An entry means no node at all.
    """
    groups = find_groups(model)
    kept = select_nodes(model, groups, keep)
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    nodes = []
    for node in model.graph.node:
        stored = [name for name in node.input if name in weights]
        layer = node.op_type in LAYERS and bool(stored)
        row = {
            "name": node.name,
            "type": node.op_type,
            "inputs": [name for name in node.input if name and name not in weights],
            "outputs": [name for name in node.output if name],
            "float": node.name in kept,
            "layer": layer,
            "module": stored[0].rpartition(".weight")[0] if layer else "",
        }
        if node.op_type != "Constant":
            nodes.append(row)
    return {
        "schema": SCHEMA,
        "keep_float": list(keep),
        "inputs": [_tensor(value) for value in model.graph.input if value.name not in weights],
        "outputs": [_tensor(value) for value in model.graph.output],
        "groups": {name: list(found) for name, found in groups.items()},
        "nodes": nodes,
    }


def _tensor(value: Any) -> dict[str, Any]:
    return {"name": value.name, "shape": shape_of(value), "dtype": dtype_of(value)}


if __name__ == "__main__":
    run_step(main)
