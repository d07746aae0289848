"""What objects are besides their boxes, for pictures: outlines of masks, rotated boxes, keypoints, labels.

With NumPy and OpenCV alone, like ``_boxes``. All points are (x, y) in pixels of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from edgebuild.steps._boxes import Boxes

Point = tuple[float, float]

_COARSE = 0.01
"""How far an outline may be from its mask, as a share of the longer side of its box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """An object that a label file names.

    Attributes:
        class_id: Its class.
        box: Upright box, x1, y1, x2, y2.
        outline: Corners of a polygon or rotated box, or nothing.
        points: Keypoints, those that are not labelled left out.
    """

    class_id: int
    box: tuple[float, float, float, float]
    outline: tuple[Point, ...] = ()
    points: tuple[Point, ...] = ()


def read_labels(
    text: str, *, task: str, classes: int, size: tuple[int, int], dimensions: int = 3
) -> list[Labelled]:
    """Read a label file; rows that are no objects are left out.

    Args:
        text: Rows of ``class x y width height ...``, or ``class x1 y1 x2 y2 x3 y3 ...`` for outlines; all as
            fractions of the image's size.
        task: Only pose labels have long rows that are no outlines.
        classes: How many classes there are.
        size: Height and width of the image in pixels.
        dimensions: Values of a keypoint: 2, or 3 with its visibility.
    """
    found = []
    for line in text.splitlines():
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            continue
        if len(row) < 5 or row[0] not in range(classes):
            continue
        if task != "pose" and len(row) > 6:
            outline = tuple(_scaled(row[1:], 2, size))
            xs, ys = zip(*outline, strict=True)
            box = (min(xs), min(ys), max(xs), max(ys))
            shown = outline if task in {"segment", "obb"} else ()
            found.append(Labelled(class_id=int(row[0]), box=box, outline=shown))
        else:
            x, y, across, down = row[1:5]
            corners = [x - across / 2, y - down / 2, x + across / 2, y + down / 2]
            (left, top), (right, bottom) = _scaled(corners, 2, size)
            points = tuple(_scaled(row[5:], dimensions, size)) if task == "pose" else ()
            found.append(Labelled(class_id=int(row[0]), box=(left, top, right, bottom), points=points))
    return found


def _scaled(values: Sequence[float], dimensions: int, size: tuple[int, int]) -> list[Point]:
    """Return points in pixels from fractions; those that are said not to be visible are left out."""
    height, width = size
    points = []
    for start in range(0, len(values) - dimensions + 1, dimensions):
        x, y, *visible = values[start : start + dimensions]
        if not visible or visible[0]:
            points.append((x * width, y * height))
    return points


def rotated_corners(boxes: Boxes) -> npt.NDArray[np.float64]:
    """Return the corners of rotated boxes, (count, 4, 2), in input pixels; ``more`` begins with the angle."""
    import numpy as np

    centre = (boxes.corners[:, :2] + boxes.corners[:, 2:]) / 2
    half = (boxes.corners[:, 2:] - boxes.corners[:, :2]) / 2
    cos, sin = np.cos(boxes.more[:, 0]), np.sin(boxes.more[:, 0])
    along = np.stack([cos, sin], axis=1) * half[:, :1]
    across = np.stack([-sin, cos], axis=1) * half[:, 1:]
    corners = [
        centre + along + across,
        centre + along - across,
        centre - along - across,
        centre - along + across,
    ]
    return np.stack(corners, axis=1).astype(np.float64)


def keypoints(boxes: Boxes, dimensions: int, confidence: float = 0.5) -> list[npt.NDArray[Any]]:
    """Return the keypoints of each object, (points, 2), in input pixels; hardly visible ones are left out."""
    import numpy as np

    found = []
    for row in boxes.more:
        points = row[: len(row) // dimensions * dimensions].reshape(-1, dimensions)
        visible = points[:, 2] > confidence if dimensions == 3 else np.ones(len(points), dtype=bool)
        found.append(points[visible, :2])
    return found


def keypoint_dimensions(info: Mapping[str, Any], extra: int) -> int:
    """Return how many values a keypoint has, from the model's description or else from their number."""
    shape = info.get("kpt_shape")
    return int(shape[1]) if shape else 3 if extra % 3 == 0 else 2


def mask_outlines(
    boxes: Boxes, prototypes: npt.NDArray[Any], imgsz: tuple[int, int]
) -> list[npt.NDArray[Any]]:
    """Return the outline of the largest part of each mask, (points, 2), in input pixels; maybe of no point.

    Args:
        boxes: Whose ``more`` are mask coefficients.
        prototypes: (masks, height, width), a part of the input's resolution.
        imgsz: Height and width of the input.
    """
    import cv2
    import numpy as np

    height, width = imgsz
    outlines = []
    for corners, weights in zip(boxes.corners, boxes.more, strict=True):
        sums = np.tensordot(weights.astype(np.float32), prototypes.astype(np.float32), axes=1)
        mask = (cv2.resize(sums, (width, height), interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8)
        left, top = (max(math.floor(value), 0) for value in corners[:2])
        right, bottom = math.ceil(corners[2]), math.ceil(corners[3])
        inside = np.zeros_like(mask)
        inside[top:bottom, left:right] = mask[top:bottom, left:right]
        parts = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
        if not parts:
            outlines.append(np.zeros((0, 2)))
            continue
        largest = max(parts, key=cv2.contourArea)
        coarse = _COARSE * max(right - left, bottom - top)
        outlines.append(cv2.approxPolyDP(largest, coarse, closed=True)[:, 0].astype(np.float64))
    return outlines
