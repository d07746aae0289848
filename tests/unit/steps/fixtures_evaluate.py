"""Tiny ONNX models whose boxes are known, and data to score them on.

The boxes are constants of the graph, their scores follow the image's brightness. Labels lie near the boxes,
not on them, so that every metric falls strictly between 0 and 1 and any difference between two routes shows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

NAMES = ("bolt", "nut", "washer")
GRID = [(x, y) for y in (0.2, 0.5, 0.8) for x in (0.2, 0.5, 0.8)]
KEYPOINTS = 2
MASKS = 4


def write_case(
    root: Path,
    *,
    task: str = "detect",
    imgsz: tuple[int, int] = (64, 64),
    batch: int = 1,
    end2end: bool = False,
) -> dict[str, Any]:
    """Write a model, its description and data below ``root``, laid out as a step finds them."""
    info = write_model(root / "in", task=task, imgsz=imgsz, batch=batch, end2end=end2end)
    extra = {"kpt_shape": [KEYPOINTS, 3]} if task == "pose" else {}
    dataset = {"names": list(NAMES), "nc": len(NAMES), "task": task} | extra
    (root / "in/dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    if task == "classify":
        write_class_folders(root / "in/validation")
    else:
        write_validation(root / "in/validation", task=task)
    return info


def evaluate_arguments(
    info: dict[str, Any], *, metrics: str = "out/metrics.json", golden: str = "out/golden.npz"
) -> list[str]:
    """Return the arguments of ``evaluate`` for what ``write_case`` wrote."""
    named = {
        "artifact": "in/artifact/model.onnx", "info": "in/info/model.json", "dataset": "in/dataset.json",
        "validation": "in/validation", "task": info["task"], "evidence": "host", "threads": "1",
        "metrics": metrics, "golden": golden,
    }  # fmt: skip
    height, width = info["imgsz"]
    return [
        "--imgsz",
        str(height),
        str(width),
        *(word for key, value in named.items() for word in (f"--{key}", value)),
    ]


def write_model(
    folder: Path,
    *,
    task: str = "detect",
    imgsz: tuple[int, int] = (64, 64),
    batch: int = 1,
    end2end: bool = False,
) -> dict[str, Any]:
    """Write ``artifact/model.onnx`` and ``info/model.json``; return the latter."""
    import onnx
    from onnx import TensorProto, helper

    nodes, initializers, shapes = _graph(task, imgsz, batch, end2end=end2end)
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, *imgsz])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    ]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    metadata = {
        "stride": 32, "task": task, "batch": batch, "imgsz": list(imgsz), "names": dict(enumerate(NAMES)),
        "channels": 3, "end2end": end2end, "args": {"batch": batch, "dynamic": False, "nms": False},
    }  # fmt: skip
    if task == "pose":
        metadata["kpt_shape"] = [KEYPOINTS, 3]
    helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(model)
    (folder / "artifact").mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "artifact/model.onnx")
    info = {
        "schema": 1, "task": task, "names": list(NAMES), "imgsz": list(imgsz), "stride": 32, "batch": batch,
        "dynamic": False, "opset": 17, "end2end": end2end,
        "input": {"name": "images", "shape": [batch, 3, *imgsz], "dtype": "float32", "channels": "RGB"},
        "outputs": [{"name": name, "shape": shape} for name, shape in shapes.items()],
    }  # fmt: skip
    (folder / "info").mkdir(parents=True, exist_ok=True)
    (folder / "info/model.json").write_text(json.dumps(info), encoding="utf-8")
    return info


def _graph(
    task: str, imgsz: tuple[int, int], batch: int, *, end2end: bool
) -> tuple[list[Any], list[Any], dict[str, list[int]]]:
    """Return nodes, initializers and output shapes: ``output0 = boxes + brightness * slope``."""
    import numpy as np
    from onnx import helper, numpy_helper

    if task == "classify":
        nodes = [helper.make_node("ReduceMean", ["images"], ["output0"], axes=[2, 3], keepdims=0)]
        return nodes, [], {"output0": [batch, 3]}
    boxes, slope = _boxes(task, imgsz, end2end=end2end)
    initializers = [
        numpy_helper.from_array(boxes[None], "boxes"),
        numpy_helper.from_array(slope[None], "slope"),
        numpy_helper.from_array(np.array([batch, 1, 1]), "flat"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "flat"], ["brightness"]),
        helper.make_node("Mul", ["brightness", "slope"], ["change"]),
        helper.make_node("Add", ["boxes", "change"], ["output0"]),
    ]
    shapes = {"output0": [batch, *boxes.shape]}
    if task == "segment":
        proto = np.zeros((batch, MASKS, imgsz[0] // 4, imgsz[1] // 4), np.float32)
        proto[:, 0] = 1  # the first coefficient decides whether a mask fills its box
        initializers.append(numpy_helper.from_array(proto, "proto"))
        nodes.append(helper.make_node("Identity", ["proto"], ["output1"]))
        shapes["output1"] = list(proto.shape)
    return nodes, initializers, shapes


def _boxes(
    task: str, imgsz: tuple[int, int], *, end2end: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the boxes of the raw or the final output, and how their scores follow the brightness."""
    import numpy as np

    rng = np.random.default_rng(3)
    height, width = imgsz
    rows, slopes = [], []
    # A letterboxed 4:3 image lies in the middle of the input.
    across = min(width, height * 4 / 3)
    down = across * 3 / 4
    for x, y in GRID:
        centre = [width / 2 + (x - 0.5) * across, height / 2 + (y - 0.5) * down]
        size = [0.22 * across, 0.22 * down]
        scores = rng.uniform(0.05, 0.6, len(NAMES))
        extra = _extra(task, centre, size, rng)
        if end2end:
            best = int(scores.argmax())
            low, high = (
                [c - s / 2 for c, s in zip(centre, size, strict=True)],
                [c + s / 2 for c, s in zip(centre, size, strict=True)],
            )
            rows.append([*low, *high, float(scores[best]), best, *extra])
            slopes.append([0, 0, 0, 0, float(rng.uniform(-0.3, 0.3)), 0, *(0 for _ in extra)])
        else:
            rows.append([*centre, *size, *scores, *extra])
            slopes.append([0, 0, 0, 0, *rng.uniform(-0.3, 0.3, len(NAMES)), *(0 for _ in extra)])
    boxes, slope = np.array(rows, np.float32), np.array(slopes, np.float32)
    return (boxes, slope) if end2end else (np.ascontiguousarray(boxes.T), np.ascontiguousarray(slope.T))


def _extra(task: str, centre: list[float], size: list[float], rng: Any) -> list[float]:
    if task == "segment":
        return [float(rng.choice([5.0, -5.0])), 0.0, 0.0, 0.0]
    if task == "pose":
        points = [(centre[0] - size[0] / 4, centre[1]), (centre[0] + size[0] / 4, centre[1])]
        return [value for x, y in points for value in (x, y, 0.9)]
    return [0.2] if task == "obb" else []


def write_validation(root: Path, *, task: str = "detect", images: int = 10) -> None:
    """Write 4:3 images of different brightness, with labels near the model's boxes."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(7)
    for folder in ("images/val", "labels/val"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(images):
        level = 255 * index // images
        picture = rng.integers(max(level - 20, 0), level + 1, (120, 160, 3), dtype=np.uint8)
        assert cv2.imwrite(str(root / f"images/val/{index:02}.png"), picture)
        chosen = [GRID[place] for place in rng.permutation(len(GRID))[: 3 + index % 4]]
        rows = [_label(task, x, y, rng) for x, y in chosen]
        (root / f"labels/val/{index:02}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _label(task: str, x: float, y: float, rng: Any) -> str:
    x, y = x + rng.uniform(-0.03, 0.03), y + rng.uniform(-0.03, 0.03)
    across, down = 0.22, 0.22
    values: list[float] = [x, y, across, down]
    if task in {"segment", "obb"}:
        left, right, top, bottom = x - across / 2, x + across / 2, y - down / 2, y + down / 2
        values = [left, top, right, top, right, bottom, left, bottom]
    elif task == "pose":
        values += [value for step in (-0.25, 0.25) for value in (x + across * step, y, 2)]
    return " ".join([str(rng.integers(len(NAMES))), *(f"{value:.5f}" for value in values)])


def write_class_folders(root: Path, *, images: int = 12) -> None:
    """Write reddish, greenish and bluish images, some of them in the wrong folder."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(5)
    for index in range(images):
        shade = rng.integers(0, 120, (80, 80, 3), dtype=np.uint8)
        shade[..., 2 - (index + index // 5) % 3] += 100
        folder = root / NAMES[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / f"{index:02}.png"), shade)
