"""Convert PyTorch weights to a float LiteRT model with litert-torch.

Runs in this toolchain's own Python environment. The input is (1, height, width, 3), and feature maps are
channels last: what the interpreter is quickest with, and what microcontrollers take.
"""

from __future__ import annotations

import os

os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "CUDA_VISIBLE_DEVICES": ""}

import argparse
import json
import logging
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOLERANCE = 1e-3
"""Greatest difference from PyTorch, relative to the greatest value of an output."""


def main() -> None:
    """Read the arguments, convert, and write the model."""
    options = _parse()
    warnings.filterwarnings("ignore")
    info = json.loads(options.info.read_text(encoding="utf-8"))
    convert(load(options.weights, info), info, options.output, options.tolerance)
    print(f"written: {options.output.name}, {options.output.stat().st_size} bytes")


def load(weights: Path, info: dict[str, Any]) -> Any:
    """Return the model as it was exported to ONNX: in float32, fused, with the same head."""
    from ultralytics import YOLO
    from ultralytics.nn.modules import Classify, Detect

    model = YOLO(str(weights), task=info["task"]).model.eval().float()
    end2end = bool(info.get("head", {}).get("end2end", info.get("end2end", False)))
    if end2end and info.get("head", {}).get("kind", "full") == "full":
        fail("an end-to-end head does not become LiteRT here; use `head: cut`")
    if hasattr(model, "end2end"):
        model.end2end = end2end
    for parameter in model.parameters():
        parameter.requires_grad = False
    model = model.fuse(verbose=False)
    for module in model.modules():
        if isinstance(module, Detect | Classify):
            module.export, module.format, module.dynamic = True, "litert", False
    return model


def convert(model: Any, info: dict[str, Any], output: Path, tolerance: float) -> None:
    """Write the float model, and compare it with the PyTorch model on one random image."""
    import litert_torch
    import numpy as np
    import torch

    logging.getLogger().setLevel(logging.WARNING)
    image = torch.rand(info["batch"], 3, *info["imgsz"], generator=torch.Generator().manual_seed(0))
    wrapped = wrap(model, info.get("head", {"kind": "full"}))
    wanted = [tensor.detach().numpy() for tensor in wrapped(image)]
    shapes = [list(tensor.shape) for tensor in wanted]
    if shapes != [output["shape"] for output in info["outputs"]]:
        fail(f"the outputs have the shapes {shapes}, those of the ONNX are {info['outputs']}")
    maps = [index for index, shape in enumerate(shapes) if len(shape) == 4]
    last = litert_torch.to_channel_last_io(wrapped, args=[0], outputs=maps)
    edge = litert_torch.convert(last, (image.permute(0, 2, 3, 1).contiguous(),))
    edge.export(str(output))
    run = Interpreted(output)
    found = run(image.permute(0, 2, 3, 1).numpy())
    turned = [array.transpose(0, 3, 1, 2) if array.ndim == 4 else array for array in found]
    error = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(turned, wanted, strict=True))
    print(f"converted: {len(found)} outputs, relative difference from PyTorch {error:.1e}")
    if error > tolerance:
        fail("the converted model computes something else than the PyTorch model")


def wrap(model: Any, head: dict[str, Any]) -> Any:
    """Return the model with the outputs that the ONNX of the same head has, as a tuple."""
    import torch

    class Ending(torch.nn.Module):  # type: ignore[misc]
        """The model, and what is done with its outputs."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.caught: dict[int, Any] = {}
            self.ends = list(last_layers(model)) if head["kind"] == "cut" else []
            for index, layer in enumerate(self.ends):
                layer.register_forward_hook(self._catcher(index))

        def _catcher(self, index: int) -> Any:
            def catch(module: Any, inputs: Any, output: Any) -> None:
                del module, inputs
                self.caught[index] = output

            return catch

        def forward(self, image: Any) -> tuple[Any, ...]:
            self.caught.clear()
            outputs = self.model(image)
            outputs = tuple(outputs) if isinstance(outputs, list | tuple) else (outputs,)
            if self.ends:
                return (*(self.caught[index] for index in range(len(self.ends))), *outputs[1:])
            if head["kind"] == "normalised" and head["task"] != "classify":
                return (_normalised(outputs[0], head), *outputs[1:])
            return outputs

    return Ending().eval()


def last_layers(model: Any) -> Iterator[Any]:
    """Yield the layers that a cut model ends with: per scale boxes, scores, and what else the task has."""
    head = model.model[-1]
    if hasattr(head, "linear"):
        yield head.linear
        return
    parts = list((head.one2one if head.end2end else head.one2many).values())
    for scale in range(head.nl):
        yield from (part[scale] for part in parts)


def _normalised(joined: Any, head: dict[str, Any]) -> Any:
    """Divide boxes and keypoints by the image size; (batch, 4 + classes + extra, anchors)."""
    import torch

    height, width = head["imgsz"]
    factors = torch.ones(joined.shape[1])
    factors[:4] = torch.tensor([1 / width, 1 / height] * 2)
    if head.get("keypoints"):
        count, size = head["keypoints"]["shape"]
        for point in range(count):
            start = 4 + head["classes"] + point * size
            factors[start : start + 2] = torch.tensor([1 / width, 1 / height])
    return joined * factors[None, :, None]


class Interpreted:
    """A model in the interpreter, without its delegates: so that every tensor and operator can be seen."""

    def __init__(self, model: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._run = Interpreter(str(model), experimental_op_resolver_type=plain)
        self._run.allocate_tensors()
        tensors = self._run.get_tensor_details()
        self.names = {tensor["index"]: tensor["name"] for tensor in tensors}
        self.types = {tensor["index"]: tensor["dtype"].__name__ for tensor in tensors}
        self.operations: Sequence[dict[str, Any]] = self._run._get_ops_details()  # noqa: SLF001 - no other way to see operators
        self.tensor = self._run.get_tensor

    def __call__(self, image: Any) -> list[Any]:
        """Run one batch; outputs in the order of the model's own."""
        self._run.set_tensor(self._run.get_input_details()[0]["index"], image)
        self._run.invoke()
        details = sorted(
            self._run.get_output_details(), key=lambda one: int(re.findall(r"\d+", one["name"])[0])
        )
        return [self.tensor(one["index"]) for one in details]


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end."""
    print(f"litert: {message}", flush=True)
    sys.exit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--weights", type=Path, required=True, help="the .pt file")
    parser.add_argument("--info", type=Path, required=True, help="model.json: what its outputs are")
    parser.add_argument("--output", type=Path, required=True, help="the .tflite file")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="greatest difference from PyTorch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
