"""Boxes for pictures, with NumPy alone: output tensor to boxes, label file to boxes.

Only ``detections`` uses this, where importing torch would cost more than everything else. Metrics never come
from here: they are Ultralytics' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class Boxes:
    """Boxes of one image.

    Attributes:
        corners: (count, 4) x1, y1, x2, y2 in pixels.
        scores: (count,) 0 to 1, descending.
        classes: (count,) class ids.
    """

    corners: npt.NDArray[Any]
    scores: npt.NDArray[Any]
    classes: npt.NDArray[Any]


def decode(
    output: npt.NDArray[Any], *, classes: int, end2end: bool, confidence: float, iou: float, limit: int = 300
) -> Boxes:
    """Turn one image's raw output into boxes in input pixels.

    Args:
        output: (4 + classes + extra, anchors) with centre, size and scores; or, when final,
            (count, 6 + extra) with corners, score and class.
        classes: How many classes there are.
        end2end: The output is final.
        confidence: Scores up to this are dropped.
        iou: Overlap above which NMS drops the weaker box of the same class.
        limit: Boxes kept.
    """
    import numpy as np

    if end2end or output.shape[-1] == 6:
        rows = output[output[:, 4] > confidence]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")][:limit]
        return Boxes(corners=rows[:, :4], scores=rows[:, 4], classes=rows[:, 5].astype(int))
    scores = output[4 : 4 + classes]
    best, ids = scores.max(0), scores.argmax(0)
    order = np.argsort(-best, kind="stable")
    order = order[best[order] > confidence]
    centre, size = output[:2, order].T, output[2:4, order].T
    corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    kept = _suppress(corners, ids[order], iou)[:limit]
    return Boxes(corners=corners[kept], scores=best[order][kept], classes=ids[order][kept])


def _suppress(corners: npt.NDArray[Any], ids: npt.NDArray[Any], iou: float) -> list[int]:
    """Return the indices that survive greedy NMS within each class; the best box comes first."""
    import numpy as np

    kept: list[int] = []
    alive = np.ones(len(corners), dtype=bool)
    for index in range(len(corners)):
        if alive[index]:
            kept.append(index)
            overlapping = overlap(corners[index], corners) > iou
            alive &= ~(overlapping & (ids == ids[index]))
    return kept


def overlap(box: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the intersection over union of one box, (4,), with others, (count, 4)."""
    import numpy as np

    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return shared / np.maximum(union, 1e-9)


def to_image(
    corners: npt.NDArray[Any], *, imgsz: tuple[int, int], height: int, width: int
) -> npt.NDArray[np.float64]:
    """Map boxes from the letterboxed input back to the image, and clip them to it.

    Args:
        corners: (count, 4) in input pixels.
        imgsz: Height and width of the input.
        height: Height of the image.
        width: Width of the image.
    """
    import numpy as np

    ratio = min(imgsz[0] / height, imgsz[1] / width)
    left = round((imgsz[1] - round(width * ratio)) / 2 - 0.1)
    top = round((imgsz[0] - round(height * ratio)) / 2 - 0.1)
    moved = (np.asarray(corners, dtype=np.float64) - np.array([left, top, left, top])) / ratio
    return np.clip(moved, 0, np.array([width, height, width, height]))


def label_boxes(
    text: str, *, task: str, classes: int, height: int, width: int
) -> list[tuple[int, list[float]]]:
    """Read a label file's boxes.

    Args:
        text: Rows of ``class x y width height ...``, or ``class x1 y1 x2 y2 x3 y3 ...`` for outlines; all as
            fractions of the image's size.
        task: Only pose labels have long rows that are no outlines.
        classes: How many classes there are.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Class id and corners in pixels of each object; rows that are none are left out.
    """
    boxes = []
    for line in text.splitlines():
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            continue
        if len(row) >= 5 and row[0] in range(classes):
            outline = task != "pose" and len(row) > 6
            left, top, right, bottom = _outline_corners(row[1:]) if outline else _box_corners(row[1:5])
            boxes.append((int(row[0]), [left * width, top * height, right * width, bottom * height]))
    return boxes


def _box_corners(values: list[float]) -> tuple[float, float, float, float]:
    x, y, across, down = values
    return x - across / 2, y - down / 2, x + across / 2, y + down / 2


def _outline_corners(values: list[float]) -> tuple[float, float, float, float]:
    xs, ys = values[0::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)
