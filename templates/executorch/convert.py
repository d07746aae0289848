"""Lower PyTorch weights to an ExecuTorch program for XNNPACK.

Runs in this toolchain's own Python environment. The program is compared with the PyTorch model it comes from.
"""

from __future__ import annotations

import os

os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "CUDA_VISIBLE_DEVICES": ""}

import argparse
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

TOLERANCE = 1e-3
"""Greatest difference from PyTorch, relative to the greatest value of an output."""


def main() -> None:
    """Read the arguments, convert, and write the program."""
    options = _parse()
    warnings.filterwarnings("ignore")
    info = json.loads(options.info.read_text(encoding="utf-8"))
    convert(load(options.weights, info), info, options.output)
    print(f"written: {options.output.name}, {options.output.stat().st_size} bytes")


def load(weights: Path, info: dict[str, Any]) -> Any:
    """Return the model as it was exported to ONNX: in float32, fused, with the same head."""
    from ultralytics import YOLO
    from ultralytics.nn.modules import Classify, Detect
    from ultralytics.utils.export.executorch import executorch_wrapper

    model = YOLO(str(weights), task=info["task"]).model.eval().float()
    if hasattr(model, "end2end"):
        model.end2end = bool(info.get("head", {}).get("end2end", info.get("end2end", False)))
    for parameter in model.parameters():
        parameter.requires_grad = False
    model = model.fuse(verbose=False)
    for module in model.modules():
        if isinstance(module, Detect | Classify):
            module.export, module.format, module.dynamic = True, "executorch", False
    return executorch_wrapper(model)


def convert(model: Any, info: dict[str, Any], output: Path) -> None:
    """Write the program, and compare it with the PyTorch model on one random image."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.devtools.backend_debug import get_delegation_info
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    logging.getLogger().setLevel(logging.ERROR)
    image = torch.rand(info["batch"], 3, *info["imgsz"], generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # the first call makes the anchors, which the export then finds made
        wanted = tensors(model(image))
    shapes = [list(tensor.shape) for tensor in wanted]
    if shapes != [entry["shape"] for entry in info["outputs"]]:
        fail(f"the outputs have the shapes {shapes}, those of the ONNX are {info['outputs']}")
    edge = to_edge_transform_and_lower(
        torch.export.export(model, (image,)), partitioner=[XnnpackPartitioner()]
    )
    report = get_delegation_info(edge.exported_program().graph_module)
    taken, left = report.num_delegated_nodes, report.num_non_delegated_nodes
    print(f"delegated: {taken} of {taken + left} nodes, in {report.num_delegated_subgraphs} parts")
    output.write_bytes(edge.to_executorch().buffer)
    program = Runtime.get().load_program(str(output))
    found = program.load_method("forward").execute([image])
    error = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, wanted, strict=False))
    print(f"converted: {len(found)} outputs, relative difference from PyTorch {error:.1e}")
    if error > TOLERANCE:
        fail("the converted model computes something else than the PyTorch model")


def tensors(outputs: Any) -> list[Any]:
    """Return outputs, one or several, as a list."""
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end."""
    print(f"executorch: {message}", flush=True)
    sys.exit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--weights", type=Path, required=True, help="the .pt file")
    parser.add_argument("--info", type=Path, required=True, help="model.json: what its outputs are")
    parser.add_argument("--output", type=Path, required=True, help="the .pte file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
