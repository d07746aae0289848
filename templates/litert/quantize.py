"""Quantize a float LiteRT model with ai-edge-quantizer.

Runs in this toolchain's own Python environment. Prints one line for each fact that somebody should see; the
findings of ``toolchain.yaml`` read them.
"""

from __future__ import annotations

import argparse
import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import Interpreted, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INPUT = "args_0"
SIGNATURE = "serving_default"
LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
INTEGERS = frozenset({"int8", "int4", "uint8"})
PRECISIONS = ("fp16", "dynamic", "int8")


def main() -> None:
    """Read the arguments, quantize, and write the model."""
    options = _parse()
    warnings.filterwarnings("ignore")
    quiet()
    keep = weights_of(options) if options.float else {}
    options.output.write_bytes(quantize(options.model, keep, options))
    report(options.output, keep, whole=options.precision != "fp16")
    print(f"written: {options.output.name}, {options.output.stat().st_size} bytes")


def quiet() -> None:
    """Draw no progress bars: a log would keep each of their states."""
    from tqdm.std import tqdm

    drawn = tqdm.__init__

    def never(self: Any, *values: Any, **named: Any) -> None:
        drawn(self, *values, **(named | {"disable": True}))

    tqdm.__init__ = never  # type: ignore[method-assign]


def weights_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return name -> weights of layers that stay float, to find them by: LiteRT has other names."""
    wanted: Iterable[str] = json.loads(options.float.read_text(encoding="utf-8"))["modules"]
    if not wanted:
        return {}
    model = load(options.weights, json.loads(options.info.read_text(encoding="utf-8")))
    found = {}
    for name in wanted:
        try:
            module = model.get_submodule(name)
        except AttributeError:
            print(f"not in the PyTorch model: {name}")
            continue
        layer = getattr(module, "conv", module)
        if hasattr(layer, "weight"):
            found[name] = layer.weight.detach().numpy()
    return found


def quantize(model: Path, keep: dict[str, Any], options: argparse.Namespace) -> bytes:
    """Return the model with the weights and activations that the recipe asks for."""
    from ai_edge_quantizer import qtyping, quantizer, recipe

    tool = quantizer.Quantizer(str(model))
    none = recipe.AlgorithmName.NO_QUANTIZE
    operations = qtyping.TFLOperationName
    if options.precision == "fp16":
        weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=weights,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        casting = recipe.AlgorithmName.FLOAT_CASTING
        for kind in (operations.CONV_2D, operations.DEPTHWISE_CONV_2D, operations.FULLY_CONNECTED):
            tool.update_quantization_recipe(
                regex=".*", operation_name=kind, op_config=config, algorithm_key=casting
            )
        return bytes(tool.quantize().quantized_model)
    static = options.precision == "int8"
    tool.load_quantization_recipe(recipe.static_wi8_ai8() if static else recipe.dynamic_wi8_afp32())
    if static and options.io == "float32":
        for kind in (operations.INPUT, operations.OUTPUT):
            tool.update_quantization_recipe(regex=".*", operation_name=kind, algorithm_key=none)
    for name, kind, output in layers_of(model, keep):
        print(f"to keep in float: {name}")
        tool.update_quantization_recipe(
            regex=re.escape(output), operation_name=operations(kind), algorithm_key=none
        )
    ranges = (
        tool.calibrate({SIGNATURE: list(samples(options.calibration, options.images))}) if static else None
    )
    return bytes(tool.quantize(calibration_result=ranges).quantized_model)


def samples(folder: Path, most: int | None) -> Iterator[dict[str, Any]]:
    """Yield the calibration set as the model's input, (1, height, width, 3) each."""
    import numpy as np

    for image in np.load(folder / "calibration.npy", mmap_mode="r")[:most]:
        yield {INPUT: np.array(image[None])}


def layers_of(model: Path, weights: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield name, operation and output tensor of the layers with some weights."""
    import numpy as np

    run = Interpreted(model)
    left = dict(weights)
    for operation in run.operations:
        if operation["op_name"] not in LAYERS:
            continue
        theirs = run.tensor(operation["inputs"][1])
        for name, ours in list(left.items()):
            if _same(np, theirs, ours):
                del left[name]
                yield name, operation["op_name"], run.names[operation["outputs"][0]]
                break
    for name in left:
        print(f"not in the converted model: {name}")


def _same(np: Any, theirs: Any, ours: Any) -> bool:
    """Whether weights of a converted layer are those of a PyTorch layer, in another order of axes."""
    for axes in ((0, 2, 3, 1), (1, 2, 3, 0)) if ours.ndim == 4 else ((0, 1),):
        turned = ours.transpose(axes)
        if turned.shape == theirs.shape and np.array_equal(turned, theirs):
            return True
    return False


def report(model: Path, keep: dict[str, Any], *, whole: bool) -> None:
    """Print what the model computes with, and how many of its layers have integer weights."""
    run = Interpreted(model)
    kinds: dict[str, int] = {}
    types = []
    for operation in run.operations:
        kinds[operation["op_name"]] = kinds.get(operation["op_name"], 0) + 1
        if operation["op_name"] in LAYERS:
            types.append(run.types[operation["inputs"][1]])
    print(f"operators: {json.dumps(dict(sorted(kinds.items())))}")
    if whole:
        integers = sum(kind in INTEGERS for kind in types)
        print(f"quantized: {integers} of {len(types)} layers")
        if len(types) - integers < len(keep):
            print("quantized although it should stay float: see the layers above")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="the float .tflite file")
    parser.add_argument("--output", type=Path, required=True, help="the .tflite file to write")
    parser.add_argument("--precision", choices=PRECISIONS, required=True)
    parser.add_argument(
        "--io", choices=("float32", "int8"), default="float32", help="type of inputs and outputs"
    )
    parser.add_argument("--calibration", type=Path, help="folder with calibration.npy, channels last")
    parser.add_argument("--images", type=int, help="use so many of the calibration images")
    parser.add_argument("--float", type=Path, help="JSON: PyTorch `modules` that stay float")
    parser.add_argument("--weights", type=Path, help="the .pt file that they are found in")
    parser.add_argument("--info", type=Path, help="model.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
