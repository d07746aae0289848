"""What is found in a few validation images, for the pictures: ``python -m edgebuild.steps.detections``.

An object has a box, and besides what its task gives it: the ``outline`` of its mask or rotated box, or
keypoints (``points``). An image that is classified has its most likely classes instead.
"""

from __future__ import annotations

import argparse
import base64
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgebuild.steps._boxes import Boxes, decode, to_image
from edgebuild.steps._dataset import Image, list_images
from edgebuild.steps._letterbox import load_crop, load_tensor, read_image
from edgebuild.steps._protocol import model_names
from edgebuild.steps._runtime import Artifact, open_artifact
from edgebuild.steps._shapes import (
    Labelled,
    keypoint_dimensions,
    keypoints,
    mask_outlines,
    read_labels,
    rotated_corners,
)
from edgebuild.steps._step import read_json, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

MOST_LIKELY = 3
"""Classes that are kept of an image which is classified."""

PICTURE_SIDE = 480
"""Longest side of a picture in pixels."""

JPEG_QUALITY = 80
"""Small, and good enough to look at."""


def main(argv: Sequence[str]) -> None:
    """Choose the images, run them and write boxes and pictures."""
    options = _parse(argv)
    info = read_json(options.info)
    images = {image.file: image for image in list_images(options.validation)}
    objects = {file: _count(image, info) for file, image in images.items()}
    artifact = open_artifact(options.artifact, info, threads=options.threads, runtime=options.runtime)
    found = [
        _describe(images[file], artifact, info, confidence=options.confidence, iou=options.iou)
        for file in choose(objects, count=options.images)
    ]
    document = {"schema": 1, "confidence": options.confidence, "task": info["task"], "images": found}
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
    """Count the objects of each class that an image is labelled with."""
    if info["task"] == "classify":
        names = model_names(info)
        folder = image.path.parent.name
        return Counter([names.index(folder)] if folder in names else [])
    return Counter(one.class_id for one in _truth(image, info, height=1, width=1))


def _truth(image: Image, info: Mapping[str, Any], *, height: int, width: int) -> list[Labelled]:
    """Return the labelled objects of an image; a damaged label file has none, as in Ultralytics."""
    try:
        text = image.label.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return []
    dimensions = int((info.get("kpt_shape") or (0, 3))[1])
    return read_labels(
        text, task=info["task"], classes=len(model_names(info)), size=(height, width), dimensions=dimensions
    )


def _describe(
    image: Image, artifact: Artifact, info: Mapping[str, Any], *, confidence: float, iou: float
) -> dict[str, Any]:
    """Return one image's picture, labels and detections."""
    names = model_names(info)
    imgsz = (int(info["imgsz"][0]), int(info["imgsz"][1]))
    pixels = read_image(image.path)
    height, width = pixels.shape[:2]
    document = {"file": image.file, "width": width, "height": height, "jpeg_base64": small_jpeg(pixels)}
    if info["task"] == "classify":
        scores = artifact(load_crop(image.path, imgsz)[None])[0][0]
        return document | {
            "truth": [{"class": names[index]} for index in _count(image, info)],
            "detections": _most_likely(scores, names),
        }
    outputs = [output[0] for output in artifact(load_tensor(image.path, imgsz)[None])]
    found = decode(
        outputs[0], classes=len(names), end2end=bool(info.get("end2end", False)), confidence=confidence,
        iou=iou, rotated=info["task"] == "obb",
    )  # fmt: skip
    truth = _truth(image, info, height=height, width=width)
    objects = [
        {"class": names[int(index)], "score": round(float(score), 4)}
        for index, score in zip(found.classes, found.scores, strict=True)
    ]
    shapes = _shapes(found, outputs, info, imgsz=imgsz, size=(height, width))
    return document | {
        "truth": [_labelled(one, names) for one in truth],
        "detections": [one | shape for one, shape in zip(objects, shapes, strict=True)],
    }


def _most_likely(scores: npt.NDArray[Any], names: Sequence[str]) -> list[dict[str, Any]]:
    best = (-scores.ravel()).argsort(kind="stable")[:MOST_LIKELY]
    return [{"class": names[int(index)], "score": round(float(scores.ravel()[index]), 4)} for index in best]


def _shapes(
    found: Boxes,
    outputs: Sequence[npt.NDArray[Any]],
    info: Mapping[str, Any],
    *,
    imgsz: tuple[int, int],
    size: tuple[int, int],
) -> list[dict[str, Any]]:
    """Return box, outline and keypoints of each object in pixels of the image."""
    height, width = size

    def placed(points: npt.NDArray[Any]) -> Any:
        return to_image(points, imgsz=imgsz, height=height, width=width)

    if info["task"] == "obb":
        outlines = [placed(corners) for corners in rotated_corners(found)]
        return [{"box": _around(outline), "outline": _points(outline)} for outline in outlines]
    shapes: list[dict[str, Any]] = [{"box": _rounded(box)} for box in placed(found.corners)]
    if info["task"] == "segment" and len(outputs) > 1:
        for shape, outline in zip(shapes, mask_outlines(found, outputs[1], imgsz), strict=True):
            shape["outline"] = _points(placed(outline))
    elif info["task"] == "pose":
        dimensions = keypoint_dimensions(info, found.more.shape[1])
        for shape, points in zip(shapes, keypoints(found, dimensions), strict=True):
            shape["points"] = _points(placed(points))
    return shapes


def _labelled(one: Labelled, names: Sequence[str]) -> dict[str, Any]:
    shape: dict[str, Any] = {"class": names[one.class_id], "box": _rounded(one.box)}
    shape |= {"outline": _points(one.outline)} if one.outline else {}
    return shape | ({"points": _points(one.points)} if one.points else {})


def _around(outline: npt.NDArray[Any]) -> list[float]:
    return _rounded([*outline.min(axis=0), *outline.max(axis=0)])


def _points(points: Iterable[Sequence[float]]) -> list[list[float]]:
    return [_rounded(point) for point in points]


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
