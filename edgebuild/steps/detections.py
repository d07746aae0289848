"""Boxes on a few validation images, for the report's pictures: ``python -m edgebuild.steps.detections``."""

from __future__ import annotations

import argparse
import base64
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgebuild.steps._boxes import decode, label_boxes, to_image
from edgebuild.steps._dataset import Image, list_images
from edgebuild.steps._letterbox import load_tensor, read_image
from edgebuild.steps._protocol import model_names
from edgebuild.steps._runtime import Artifact, open_artifact
from edgebuild.steps._step import read_json, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

BOX_TASKS = frozenset({"detect", "segment", "pose"})
"""Tasks whose outputs begin with upright boxes."""

PICTURE_SIDE = 480
"""Longest side of a picture in pixels."""

JPEG_QUALITY = 80
"""Small, and good enough to look at."""


def main(argv: Sequence[str]) -> None:
    """Choose the images, run them and write boxes and pictures."""
    options = _parse(argv)
    info = read_json(options.info)
    document: dict[str, Any] = {"schema": 1, "confidence": options.confidence, "images": []}
    if info["task"] not in BOX_TASKS:
        document["note"] = f"no pictures for task {info['task']}: its outputs are not upright boxes"
    else:
        images = list_images(options.validation)
        objects = {image.file: _count(image, info) for image in images}
        artifact = open_artifact(options.artifact, info, threads=options.threads, runtime=options.runtime)
        by_file = {image.file: image for image in images}
        for file in choose(objects, count=options.images):
            document["images"].append(
                _describe(by_file[file], artifact, info, confidence=options.confidence, iou=options.iou)
            )
    write_json(options.output, document)


def choose(objects: Mapping[str, Mapping[int, int]], *, count: int) -> list[str]:
    """Choose the images that show most.

    The next image is the one with most classes not shown yet, then with most objects, then the first by name;
    when every class has been shown the round begins again.

    Args:
        objects: Objects per class id, by image.
        count: How many to choose.
    """
    left = dict(objects)
    every = {index for found in objects.values() for index in found}
    missing = set(every)
    chosen: list[str] = []
    while left and len(chosen) < count:
        best = min(left, key=lambda file: (-len(missing & set(left[file])), -sum(left[file].values()), file))
        missing -= set(left.pop(best))
        missing = missing or set(every)
        chosen.append(best)
    return chosen


def _count(image: Image, info: Mapping[str, Any]) -> Counter[int]:
    """Count the objects of each class that an image's label file names."""
    return Counter(index for index, _ in _truth(image, info, height=1, width=1))


def _truth(
    image: Image, info: Mapping[str, Any], *, height: int, width: int
) -> list[tuple[int, list[float]]]:
    """Return the labelled boxes of an image; a damaged label file has none, as in Ultralytics."""
    try:
        text = image.label.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return []
    classes = len(model_names(info))
    return label_boxes(text, task=info["task"], classes=classes, height=height, width=width)


def _describe(
    image: Image, artifact: Artifact, info: Mapping[str, Any], *, confidence: float, iou: float
) -> dict[str, Any]:
    """Return one image's picture, labels and detections."""
    names = model_names(info)
    imgsz = (int(info["imgsz"][0]), int(info["imgsz"][1]))
    pixels = read_image(image.path)
    height, width = pixels.shape[:2]
    output = artifact(load_tensor(image.path, imgsz)[None])[0][0]
    end2end = bool(info.get("end2end", False))
    found = decode(output, classes=len(names), end2end=end2end, confidence=confidence, iou=iou)
    corners = to_image(found.corners, imgsz=imgsz, height=height, width=width)
    return {
        "file": image.file,
        "width": width,
        "height": height,
        "jpeg_base64": small_jpeg(pixels),
        "truth": [
            {"class": names[index], "box": _rounded(box)}
            for index, box in _truth(image, info, height=height, width=width)
        ],
        "detections": [
            {"class": names[int(index)], "score": round(float(score), 4), "box": _rounded(box)}
            for index, score, box in zip(found.classes, found.scores, corners, strict=True)
        ],
    }


def small_jpeg(pixels: npt.NDArray[np.uint8], side: int = PICTURE_SIDE) -> str:
    """Return an image, shrunk to at most ``side`` pixels, as a JPEG file in base64.

    Args:
        pixels: (height, width, 3) BGR.
        side: Longest side allowed.
    """
    import cv2

    height, width = pixels.shape[:2]
    ratio = min(side / max(height, width), 1.0)
    if ratio < 1:
        size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return base64.b64encode(encoded.tobytes()).decode("ascii")


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(float(value), 1) for value in box]


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.detections", description=__doc__)
    parser.add_argument("--artifact", required=True, help="what to run: a file or a folder")
    parser.add_argument("--info", required=True, help="the model's description (model.json)")
    parser.add_argument("--validation", required=True, help="tree with the validation split's files")
    parser.add_argument("--runtime", help="runtime.py of a toolchain; ONNX Runtime otherwise")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--confidence", type=float, default=0.25)
    parser.add_argument("--iou", type=float, default=0.7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_step(main)
