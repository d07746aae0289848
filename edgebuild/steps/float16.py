"""Convert a float ONNX model to half precision: ``python -m edgebuild.steps.float16``.

ONNX Runtime's own converter does the work. Inputs and outputs stay float32, so nothing around the model
changes. What ``keep_float`` names stays float32 as well: half precision resolves a coordinate of 600 pixels
to half a pixel, so the arithmetic of boxes must not be in it.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._groups import find_groups
from edgebuild.steps._onnx_file import load_onnx, name_nodes, read_metadata, save_onnx, write_metadata
from edgebuild.steps._ort import disable_telemetry, first_line
from edgebuild.steps._selection import select_nodes
from edgebuild.steps._step import fail, run_step, write_json
from edgebuild.steps.quantize import try_to_load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCHEMA = 1


def main(argv: Sequence[str]) -> None:
    """Read the arguments, convert, and write the model and the report."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.float16", description=__doc__)
    parser.add_argument("--model", required=True, help="float ONNX model")
    parser.add_argument("--keep-float", nargs="*", default=[], metavar="GROUP|GLOB|op:TYPE")
    parser.add_argument("--output", required=True, help="where to write the converted model")
    parser.add_argument("--report", required=True, help="where to write what was done")
    arguments = parser.parse_args(argv)
    model = load_onnx(arguments.model)
    name_nodes(model)
    keep = tuple(arguments.keep_float)
    kept = select_nodes(model, find_groups(model), keep)
    converted = convert(model, kept)
    save_onnx(converted, arguments.output)
    try_to_load(arguments.output)
    sizes = {"before": Path(arguments.model).stat().st_size, "after": Path(arguments.output).stat().st_size}
    types = Counter(node.op_type for node in converted.graph.node)
    report = {"schema": SCHEMA, "settings": {"type": "float16"}, "keep_float": list(keep), "bytes": sizes}
    write_json(arguments.report, report | {"kept_float": sorted(kept), "nodes": dict(types)})


def convert(model: Any, kept: Iterable[str]) -> Any:
    """Return the model in half precision, with float32 inputs and outputs.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.
        kept: Names of the nodes that stay float32.

    Raises:
        StepFailure: It holds half precision already, or the converter does not take it.
    """
    disable_telemetry()
    import onnx
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    if any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer):
        fail("the model holds float16 weights already", hint="use `recipe: fp32`, which ships it as it is")
    source = onnx.ModelProto()
    source.CopyFrom(model)
    try:
        with warnings.catch_warnings():
            # Weights beyond float16's range are cut to it; the converter says so for each of them.
            warnings.filterwarnings("ignore", message="the float32 number .* will be truncated")
            converted = convert_float_to_float16(source, keep_io_types=True, node_block_list=sorted(kept))
    except Exception as error:  # noqa: BLE001 - the converter raises what the graph brings it to
        fail(f"the model cannot be converted to half precision: {first_line(error)}",
             hint="keep more of it float")  # fmt: skip
    _remove_repeated_casts(converted)
    ordered = ONNXModel(converted)
    ordered.topological_sort()  # its casts are appended at the end
    converted = ordered.model
    name_nodes(converted)
    write_metadata(converted, read_metadata(model))
    return converted


def _remove_repeated_casts(model: Any) -> None:
    """Keep one of equal casts: the converter adds one for each float32 node that reads a tensor."""
    seen: set[str] = set()
    for node in list(model.graph.node):
        if node.op_type == "Cast" and node.output[0] in seen:
            model.graph.node.remove(node)
        seen.update(node.output)


if __name__ == "__main__":
    run_step(main)
