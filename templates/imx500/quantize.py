"""Quantize a YOLO checkpoint with Sony's Model Compression Toolkit; write the ONNX that imxconv takes.

Runs in this toolchain's own Python environment. Prints one line for each fact that somebody should see; the
findings of ``toolchain.yaml`` read them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

# Ultralytics installs packages and asks servers unless it is told not to.
os.environ.update({"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"})

PLATFORM = "4.0"
"""The version of the chip's capabilities that knows 16-bit activations."""

WIDE = 16

LAYERS = ("Conv2d", "ConvTranspose2d", "Linear")
"""Modules whose outputs are counted, and which weights are quantized of."""


def main() -> None:
    """Read the arguments, quantize, and write the model."""
    options = _parse()
    import torch
    from runtime import provide_nms  # lies beside this file

    provide_nms()
    torch.manual_seed(0)
    network, task = load(options.weights, (options.imgsz[0], options.imgsz[1]))
    wanted = json.loads(options.scope.read_text(encoding="utf-8"))
    quantized, calibrate = quantize(network, options, wide_names(network, wanted))
    export(with_selection(quantized, task, options), options.output, calibrate)
    print(f"written: {options.output.name}")


def load(weights: Path, imgsz: tuple[int, int]) -> tuple[Any, str]:
    """Return the network as torch.fx can trace it, with boxes as corners in pixels, and its task."""
    from ultralytics import YOLO
    from ultralytics.nn.modules import Classify, Detect
    from ultralytics.utils.export.imx import FXModel

    if weights.suffix != ".pt":
        stop(f"not a PyTorch checkpoint: {weights.name}")
    model = YOLO(weights).model.float().eval()
    task = str(model.task)
    head = model.model[-1]
    if getattr(head, "end2end", False):
        head.end2end = False  # the other head, where the weights have it
    if getattr(head, "end2end", False):
        stop("an end-to-end head, which the chip cannot compute")
    for parameter in model.parameters():
        parameter.requires_grad = False
    network = FXModel(model.fuse(), imgsz)
    for module in network.modules():
        if isinstance(module, Classify):
            module.export, module.format = True, "imx"
        if isinstance(module, Detect):
            module.export, module.format, module.dynamic = True, "imx", False
            module.xyxy, module.shape = True, None
        if hasattr(module, "forward_split"):
            module.forward = module.forward_split  # a split is a plainer graph than a chunk
    return network, task


def wide_names(network: Any, wanted: dict[str, Any]) -> list[str]:
    """Return the names, in the traced network, of the operations whose outputs get 16 bits.

    Args:
        network: The network.
        wanted: What was to stay in float: ``modules``, its layers, and ``nodes``, all of it by its names in
            the float ONNX; ``decode``: what comes after the last layers there.
    """
    import torch

    nodes = list(torch.fx.symbolic_trace(network).graph.nodes)
    kinds = {name: type(module).__name__ for name, module in network.named_modules()}
    layers = {node.name for node in nodes if node.op == "call_module" and kinds[node.target] in LAYERS}
    names = [node.name for node in nodes if node.op == "call_module" and node.target in wanted["modules"]]
    if keeps_decode(wanted):
        names += [node.name for node in nodes if node.name in behind(nodes, layers) and computes(node)]
    return names


def keeps_decode(wanted: dict[str, Any]) -> bool:
    """Say whether the decoding, or some of it, was to stay in float."""
    return not set(wanted["decode"]).isdisjoint(wanted["nodes"])


def behind(nodes: list[Any], layers: set[str]) -> set[str]:
    """Return the nodes after which no layer comes any more: the decoding."""
    leads = set(layers)
    for node in reversed(nodes):
        if any(user.name in leads for user in node.users):
            leads.add(node.name)
    return {node.name for node in nodes} - leads


def computes(node: Any) -> bool:
    """Say whether a node computes new numbers; the others, and probabilities, keep what they get."""
    name = str(getattr(node.target, "__name__", node.target))
    return name.strip("_") in {"add", "sub", "mul", "cat"}


def quantize(network: Any, options: argparse.Namespace, wide: list[str]) -> tuple[Any, Any]:
    """Return the quantized network, and what yields the calibration images."""
    import model_compression_toolkit as mct

    print(f"model-compression-toolkit {mct.__version__}", flush=True)
    files = sorted(options.calibration.glob("*.npz"))
    print(f"calibration: {len(files)} images", flush=True)

    def calibrate() -> Any:
        import numpy as np

        for file in files:
            with np.load(file) as arrays:
                yield [arrays["images"]]

    names = list(wide)
    while True:
        try:
            quantized = attempt(network, calibrate, options, names)
        except Exception as error:
            # The toolkit raises bare exceptions, and this one before it looks at any image.
            refused = refused_name(str(error))
            if refused not in names:
                raise
            names.remove(refused)
            print(f"8 bits: {refused}, for what reads it takes no more", flush=True)
        else:
            print(f"16 bits: {', '.join(names) or 'nothing'}", flush=True)
            return quantized, calibrate


def refused_name(message: str) -> str:
    """Return the operation that the toolkit's error says cannot have 16 bits; empty: another error."""
    found = re.search(r"activation bit-width \d+ is invalid for node (?:\w+:)?(\w+)", message)
    return found[1] if found else ""


def attempt(network: Any, calibrate: Any, options: argparse.Namespace, wide: list[str]) -> Any:
    """Return the quantized network, with 16-bit outputs of some operations."""
    import model_compression_toolkit as mct
    from edgemdt_tpc import get_target_platform_capabilities
    from model_compression_toolkit.core.common.network_editors import NodeNameFilter

    widths = mct.core.BitWidthConfig()
    for name in wide:
        widths.set_manual_activation_bit_width([NodeNameFilter(name)], WIDE)
    limit = None
    if options.mixed_precision == "auto":
        limit = mct.core.ResourceUtilization(weights_memory=options.weights_memory)
    config = mct.core.CoreConfig(
        quantization_config=mct.core.QuantizationConfig(concat_threshold_update=True),
        mixed_precision_config=mct.core.MixedPrecisionQuantizationConfig(num_of_images=10),
        bit_width_config=widths,
    )
    platform = get_target_platform_capabilities(tpc_version=PLATFORM, device_type="imx500")
    return mct.ptq.pytorch_post_training_quantization(
        in_module=network,
        representative_data_gen=calibrate,
        target_resource_utilization=limit,
        core_config=config,
        target_platform_capabilities=platform,
    )[0]


def with_selection(quantized: Any, task: str, options: argparse.Namespace) -> Any:
    """Return the network with the selection of the best boxes at its end, as the chip computes it."""
    if task == "classify":
        return quantized
    from ultralytics.utils.export.imx import NMSWrapper

    return NMSWrapper(
        model=quantized,
        score_threshold=options.score_threshold,
        iou_threshold=options.iou_threshold,
        max_detections=options.max_detections,
        task=task,
    )


def export(model: Any, file: Path, calibrate: Any) -> None:
    """Write the ONNX with the toolkit's own quantizer nodes."""
    import model_compression_toolkit as mct
    from ultralytics.utils.patches import onnx_export_patch

    file.parent.mkdir(parents=True, exist_ok=True)
    with onnx_export_patch():
        mct.exporter.pytorch_export_model(model=model, save_model_path=str(file), repr_dataset=calibrate)


def stop(message: str) -> NoReturn:
    """Say what the toolchain cannot do, and end."""
    print(f"not supported: {message}", flush=True)
    sys.exit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="the PyTorch checkpoint")
    parser.add_argument("--imgsz", type=int, nargs=2, required=True, help="height and width")
    parser.add_argument("--calibration", type=Path, required=True, help="folder of npz files")
    parser.add_argument("--scope", type=Path, required=True, help="JSON: what gets 16-bit activations")
    parser.add_argument("--mixed-precision", choices=("auto", "off"), required=True)
    parser.add_argument("--weights-memory", type=float, help="bytes that all weights may take")
    parser.add_argument("--score-threshold", type=float, required=True)
    parser.add_argument("--iou-threshold", type=float, required=True)
    parser.add_argument("--max-detections", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="ONNX file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
