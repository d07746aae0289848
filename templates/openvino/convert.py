"""Convert an ONNX model to OpenVINO IR, and quantize it with NNCF where calibration data are given.

Runs in this toolchain's own Python environment. Prints one line for each fact that somebody should see; the
findings of ``toolchain.yaml`` read them.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

# Both packages send statistics when this module can be imported.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

MODEL = "model.xml"
SETTINGS = "settings.json"
INTEGERS = frozenset({"i8", "u8", "i4", "u4"})
SCALING = frozenset({"Convert", "Multiply", "Subtract", "Reshape", "Transpose", "FakeQuantize"})
"""What stands between a layer and the constant of its weights."""

LAYERS = frozenset({"Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"})


def main() -> None:
    """Read the arguments, convert, quantize, and write the folder."""
    options = _parse()
    import openvino as ov

    print(f"OpenVINO {ov.__version__}")
    model = ov.convert_model(options.model)
    print(f"converted: {len(model.get_ordered_ops())} operations")
    if options.calibration:
        model = quantize(model, options)
    options.output.mkdir(parents=True, exist_ok=True)
    _number_anew(model)
    ov.save_model(model, options.output / MODEL, compress_to_fp16=options.compress)
    _remove_paths(options.output / MODEL)
    settings = {"device": options.device, "properties": _properties(options)}
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (options.output / SETTINGS).write_text(text, encoding="utf-8")
    print(f"written: {MODEL}")


def quantize(model: Any, options: argparse.Namespace) -> Any:
    """Return the model in INT8, but for the nodes that stay float."""
    import nncf
    import numpy as np

    logging.getLogger("nncf").setLevel(logging.WARNING)  # its INFO lines name thousands of nodes
    print(f"NNCF {nncf.__version__}")
    files = sorted(options.calibration.glob("*.npz"))
    wanted = json.loads(options.scope.read_text(encoding="utf-8"))
    parts = _parts(model, wanted["nodes"])
    for name in wanted["layers"]:
        if name not in parts:
            print(f"not in the converted model: {name}")
    print(f"to keep in float: {len(wanted['nodes'])} nodes, {len(parts)} of them in the converted model")

    def load(path: Path) -> Any:
        with np.load(path) as arrays:
            return arrays["images"]

    quantized = nncf.quantize(
        model,
        nncf.Dataset(files, load),
        preset=nncf.QuantizationPreset(options.preset),
        target_device=nncf.TargetDevice(options.device),
        subset_size=len(files),
        fast_bias_correction=options.bias_correction == "fast",
        # All of them are in the model, but NNCF's own graph leaves out what it has no use for.
        ignored_scope=nncf.IgnoredScope(names=sorted(set().union(*parts.values())), validate=False),
    )
    _report(quantized, {part for name in wanted["layers"] for part in parts.get(name, ())})
    return quantized


def _parts(model: Any, names: list[str]) -> dict[str, set[str]]:
    """Return for nodes of the ONNX the operations of the converted model that they became.

    One node can become several operations. The last of them has the node's name, the others add to it: a
    convolution with a bias is ``NAME/WithoutBiases``, and ``NAME`` is what adds the bias.
    """
    wanted = set(names)
    found: dict[str, set[str]] = {}
    for operation in model.get_ops():
        name = operation.get_friendly_name()
        for node in {name, name.rpartition("/")[0]} & wanted:
            found.setdefault(node, set()).add(name)
    return found


def _report(model: Any, float_layers: set[str]) -> None:
    """Print how many layers compute in INT8, and which do although they should not."""
    layers = [operation for operation in model.get_ops() if operation.get_type_name() in LAYERS]
    types = {layer.get_friendly_name(): _weights_type(layer) for layer in layers}
    with_weights = {name: kind for name, kind in types.items() if kind}
    done = [name for name, kind in with_weights.items() if kind in INTEGERS]
    print(f"quantized: {len(done)} of {len(with_weights)} layers")
    for name in sorted(set(done) & float_layers):
        print(f"quantized although it should stay float: {name}")


def _weights_type(layer: Any) -> str:
    """Return the element type that a layer's weights are stored in; empty when it multiplies no weights."""
    source = layer.input_value(1).get_node()
    while source.get_type_name() in SCALING:
        source = source.input_value(0).get_node()
    return str(source.get_element_type().get_type_name()) if source.get_type_name() == "Constant" else ""


def _properties(options: argparse.Namespace) -> dict[str, str]:
    found = {"PERFORMANCE_HINT": options.performance_hint}
    if options.inference_precision:
        found["INFERENCE_PRECISION_HINT"] = options.inference_precision
    return found


def _number_anew(model: Any) -> None:
    """Give operations that have only a running number one that is the same each time, whatever ran before."""
    operations = model.get_ordered_ops()
    taken = {operation.get_friendly_name() for operation in operations}
    for index, operation in enumerate(operations):
        kind = operation.get_type_name()
        name = f"{kind}_n{index}"
        if re.fullmatch(rf"{kind}_\d+", operation.get_friendly_name()) and name not in taken:
            operation.set_friendly_name(name)


def _remove_paths(file: Path) -> None:
    """Remove from the description where the model lay when it was converted, which is no part of it."""
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'(<input_model value=")[^"]*"', r'\1model.onnx"', text), encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the ONNX file")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--device", choices=("CPU", "GPU", "NPU"), required=True)
    parser.add_argument("--performance-hint", choices=("LATENCY", "THROUGHPUT"), required=True)
    parser.add_argument("--inference-precision", choices=("f32", "bf16", "f16"))
    parser.add_argument("--compress", action="store_true", help="write float weights as FP16")
    parser.add_argument(
        "--calibration", type=Path, help="folder of npz files; without it nothing is quantized"
    )
    parser.add_argument("--scope", type=Path, help="JSON: `nodes` and `layers` that stay float")
    parser.add_argument("--preset", choices=("performance", "mixed"), default="performance")
    parser.add_argument("--bias-correction", choices=("fast", "accurate"), default="fast")
    return parser.parse_args()


if __name__ == "__main__":
    main()
