"""What one has to know to run a YOLO model in ONNX, as a document: ``model.json``."""

from __future__ import annotations

import ast
from typing import Any

from edgebuild.steps._letterbox import PAD_VALUE
from edgebuild.steps._onnx_file import dtype_of, input_of, opset_of, read_metadata, shape_of

SCHEMA = 1

DEFAULT_STRIDE = 32
"""Largest stride of the YOLO models, where a file does not say."""

_BOXES = {
    "detect": "",
    "segment": ", then mask coefficients",
    "pose": ", then keypoints (x and y in pixels, visibility where the dataset has it)",
    "obb": ", then the angle in radians",
}
_EXTRA = {"detect": "", "segment": "+masks", "pose": "+keypoints", "obb": "+1"}


def describe_model(model: Any, *, task: str, name: str, imgsz: tuple[int, int], batch: int) -> dict[str, Any]:
    """Describe a model's input, outputs and classes.

    Args:
        model: An ``onnx.ModelProto``, as Ultralytics exports it or alike.
        task: What it is for.
        name: What to call the file in errors.
        imgsz: Height and width to use it with, which a dynamic model does not fix.
        batch: Images per inference to use it with, likewise.

    Returns:
        The document; its keys are the contract of ``model.json``.

    Raises:
        StepFailure: The model has not exactly one input.
    """
    metadata = read_metadata(model)
    image = input_of(model, name=name)
    shape = shape_of(image)
    end2end = is_end2end(model, task=task)
    outputs = [
        {
            "name": value.name,
            "shape": shape_of(value),
            "dtype": dtype_of(value),
            "layout": describe_output(index, task=task, end2end=end2end),
        }
        for index, value in enumerate(model.graph.output)
    ]
    # How an image becomes the input: a classifier sees the middle of it, others all of it.
    whole = {"letterbox": {"long_side": max(imgsz), "pad": PAD_VALUE, "center": True}}
    fitting = {"crop": {"short_side": True, "center": True}} if task == "classify" else whole
    shape_of_one = _literal(metadata.get("kpt_shape", ""))
    more: dict[str, Any] = {"kpt_shape": list(shape_of_one)} if task == "pose" and shape_of_one else {}
    more |= {"license": metadata["license"]} if metadata.get("license") else {}
    return {
        "schema": SCHEMA,
        "task": task,
        "names": class_names(metadata),
        "imgsz": list(imgsz),
        "stride": int(metadata.get("stride", DEFAULT_STRIDE)),
        "batch": batch,
        "dynamic": not all(isinstance(size, int) for size in shape),
        "opset": opset_of(model),
        "end2end": end2end,
        "head": {"kind": "full"},
        "input": {
            "name": image.name,
            "shape": shape,
            "dtype": dtype_of(image),
            "layout": "NCHW",
            "channels": "RGB",
            "scale": 1 / 255,
        }
        | fitting,
        "outputs": outputs,
    } | more


def class_names(metadata: dict[str, str]) -> list[str]:
    """Read the class names that Ultralytics leaves in a model; empty where there are none."""
    names = _literal(metadata.get("names", ""))
    if isinstance(names, dict):
        return [str(names[key]) for key in sorted(names)]
    return [str(name) for name in names] if isinstance(names, (list, tuple)) else []


def is_end2end(model: Any, *, task: str) -> bool:
    """Say whether the model returns final detections and needs no suppression of overlapping boxes."""
    said = _literal(read_metadata(model).get("end2end", ""))
    if isinstance(said, bool):
        return said
    # Other exporters do not say. Detections come as rows of at least six numbers, candidates as columns.
    shape = shape_of(model.graph.output[0])
    rows, width = shape[1:] if len(shape) == 3 else (0, 0)
    if task == "classify" or not (isinstance(rows, int) and isinstance(width, int)):
        return False
    return task == "detect" and width == 6 and rows >= width


def describe_output(index: int, *, task: str, end2end: bool) -> str:
    """Say in words how an output is laid out.

    Args:
        index: Which output, from 0.
        task: What the model is for.
        end2end: Whether the head returns final detections.
    """
    if task == "classify" and index == 0:
        return "[batch, classes]: probabilities"
    if task == "segment" and index == 1:
        return "[batch, masks, height/4, width/4]: mask prototypes"
    if index > 0 or task not in _BOXES:
        return "unknown"
    if end2end:
        return f"[batch, detections, 6{_EXTRA[task]}]: {_corners(task)} in pixels, score, class{_BOXES[task]}"
    return f"[batch, 4+classes{_EXTRA[task]}, anchors]: xywh in pixels, then class scores{_BOXES[task]}"


def _corners(task: str) -> str:
    return "xywh" if task == "obb" else "xyxy"


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return None
