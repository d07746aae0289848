"""Quantize a float ONNX as Qualcomm's HTP wants it, with ONNX Runtime's own configuration for it.

Runs in this toolchain's own Python environment. Prints one line for each fact that somebody should see; the
findings of ``toolchain.yaml`` read them.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ODD = 4
"""Height and width that the HTP's products of 16-bit maps need a multiple of; see README.md."""

LAYERS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})


def main() -> None:
    """Read the arguments, quantize, and write the model."""
    options = _parse()
    logging.getLogger().setLevel(logging.ERROR)  # it recommends preparations that edgebuild has made
    import onnx

    model = onnx.load(options.model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    names = {node.name for node in model.graph.node}
    kept = set(json.loads(options.scope.read_text(encoding="utf-8"))["nodes"])
    for name in sorted(kept - names):
        print(f"not in the model: {name}")
    odd = odd_products(model) if options.activation == "u16" else []
    if odd:
        print(f"in floating point for their size: {len(odd)} nodes, the first is {odd[0]}")
    quantized = quantize(model, options, sorted(kept & names | set(odd)))
    onnx.helper.set_model_props(quantized, metadata)
    onnx.save(quantized, options.output)
    print(f"written: {options.output.name}")


def odd_products(model: Any) -> list[str]:
    """Return the nodes of activations and products whose maps have a size that 16 bits go wrong with."""
    import onnx

    shaped = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*shaped.value_info, *shaped.output)
    }
    return [
        node.name
        for node in model.graph.node
        if node.op_type in {"Sigmoid", "Mul"}
        # A map: batch, channels, height, width.
        and len(shapes.get(node.output[0], ())) == 4
        and any(size % ODD for size in shapes[node.output[0]][2:])
    ]


def quantize(model: Any, options: argparse.Namespace, kept: list[str]) -> Any:
    """Return the model in QDQ format, but for the nodes that stay float."""
    from onnxruntime import quantization
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

    types = quantization.QuantType
    files = sorted(options.calibration.glob("*.npz"))
    settings = get_qnn_qdq_config(
        model,
        _reader(quantization.CalibrationDataReader, model.graph.input[0].name, files),
        activation_type=types.QUInt16 if options.activation == "u16" else types.QUInt8,
        weight_type=types.QInt8 if options.per_channel else types.QUInt8,
        per_channel=options.per_channel,
        nodes_to_exclude=kept,
    )
    quantization.quantize(model, options.output, settings)
    import onnx

    quantized = onnx.load(options.output)
    scales = {
        name for node in quantized.graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    layers = [node for node in quantized.graph.node if node.op_type in LAYERS]
    done = sum(all(name in scales for name in node.input[:2]) for node in layers)
    print(f"quantized: {done} of {len(layers)} layers, with {len(files)} images")
    return quantized


def _reader(base: type, name: str, files: Iterable[Path]) -> Any:
    import numpy as np

    class Reader(base):  # type: ignore[misc]
        """Hands over one array after the other."""

        def __init__(self) -> None:
            self._left = iter(files)

        def get_next(self) -> dict[str, Any] | None:
            """Return the next input, or None."""
            file = next(self._left, None)
            if file is None:
                return None
            with np.load(file) as arrays:
                return {name: arrays["images"]}

    return Reader()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the float ONNX file")
    parser.add_argument("--calibration", type=Path, required=True, help="folder of npz files")
    parser.add_argument("--scope", type=Path, required=True, help="JSON: `nodes` that stay float")
    parser.add_argument("--activation", choices=("u8", "u16"), required=True)
    parser.add_argument("--per-channel", action="store_true", help="one scale per output channel of weights")
    parser.add_argument("--output", type=Path, required=True, help="where to write the QDQ ONNX")
    return parser.parse_args()


if __name__ == "__main__":
    main()
