"""Quantize weights to INT8, and activations as the model runs: ``python -m edgebuild.steps.dynamic``.

It needs no calibration and pays for that at every run: each activation of each image has its range measured.
"""

from __future__ import annotations

import argparse
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

QUANTIZED = frozenset({"ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul"})
"""Operators that a dynamically quantized model has in place of the float ones."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments, quantize, and write the model and the report."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.dynamic", description=__doc__)
    parser.add_argument("--model", required=True, help="prepared ONNX model")
    parser.add_argument("--per-channel", action="store_true", help="one scale per output channel")
    parser.add_argument("--reduce-range", action="store_true", help="7-bit weights, for x86 without VNNI")
    parser.add_argument("--keep-float", nargs="*", default=[], metavar="GROUP|GLOB|op:TYPE")
    parser.add_argument("--output", required=True, help="where to write the quantized model")
    parser.add_argument("--report", required=True, help="where to write what was done")
    arguments = parser.parse_args(argv)
    model = load_onnx(arguments.model)
    name_nodes(model)
    keep = tuple(arguments.keep_float)
    kept = select_nodes(model, find_groups(model), keep)
    settings = {"per_channel": arguments.per_channel, "reduce_range": arguments.reduce_range}
    quantized = quantize(model, kept, **settings)
    save_onnx(quantized, arguments.output)
    try_to_load(arguments.output)
    sizes = {"before": Path(arguments.model).stat().st_size, "after": Path(arguments.output).stat().st_size}
    count = sum(node.op_type in QUANTIZED for node in quantized.graph.node)
    settings_said = {"type": "dynamic", "weight": "u8", **settings}
    report = {"schema": SCHEMA, "settings": settings_said, "keep_float": list(keep), "bytes": sizes}
    write_json(arguments.report, report | {"kept_float": sorted(kept), "nodes": {"quantized": count}})


def quantize(model: Any, kept: Iterable[str], *, per_channel: bool, reduce_range: bool) -> Any:
    """Return the model with INT8 weights.

    Args:
        model: A prepared ``onnx.ModelProto`` whose nodes all have names.
        kept: Names of the nodes that stay float.
        per_channel: One scale per output channel of a weight.
        reduce_range: Use 7 of 8 bits of the weights.

    Raises:
        StepFailure: It cannot be quantized, or nothing of it was.
    """
    disable_telemetry()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    result = Path("dynamic.onnx")
    try:
        quantize_dynamic(
            model, str(result), per_channel=per_channel, reduce_range=reduce_range,
            # ONNX Runtime has integer convolutions for unsigned weights only.
            weight_type=QuantType.QUInt8, nodes_to_exclude=sorted(kept),
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - the quantizer raises what the graph brings it to
        fail(f"the model cannot be quantized: {first_line(error)}", hint="keep more of it float")
    quantized = load_onnx(result)
    result.unlink()
    if not any(node.op_type in QUANTIZED for node in quantized.graph.node):
        fail("nothing of the model was quantized", hint="keep less of it float")
    name_nodes(quantized)
    write_metadata(quantized, read_metadata(model))
    return quantized


if __name__ == "__main__":
    run_step(main)
