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
        corners: (count, 4) x1, y1, x2, y2 in pixels; of rotated boxes, as if they were not turned.
        scores: (count,) 0 to 1, descending.
        classes: (count,) class ids.
        more: (count, extra) what follows: mask coefficients, keypoints, or an angle in radians.
    """

    corners: npt.NDArray[Any]
    scores: npt.NDArray[Any]
    classes: npt.NDArray[Any]
    more: npt.NDArray[Any]


def decode(  # noqa: PLR0913 - as many as the protocol has
    output: npt.NDArray[Any],
    *,
    classes: int,
    end2end: bool,
    confidence: float,
    iou: float,
    limit: int = 300,
    rotated: bool = False,
) -> Boxes:
    """Turn one image's raw output into boxes in input pixels.

    Args:
        output: (4 + classes + extra, anchors) with centre, size and scores; or, when final,
            (count, 6 + extra) with corners (of rotated boxes: centre and size), score and class.
        classes: How many classes there are.
        end2end: The output is final.
        confidence: Scores up to this are dropped.
        iou: Overlap above which NMS drops the weaker box of the same class.
        limit: Boxes kept.
        rotated: The first extra value is an angle.
    """
    import numpy as np

    if end2end or output.shape[-1] == 6:
        rows = output[output[:, 4] > confidence]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")][:limit]
        corners = _corners(rows[:, :4]) if rotated else rows[:, :4]
        ids = rows[:, 5].astype(int)
        return Boxes(corners=corners, scores=rows[:, 4], classes=ids, more=rows[:, 6:])
    scores = output[4 : 4 + classes]
    best, ids = scores.max(0), scores.argmax(0)
    order = np.argsort(-best, kind="stable")
    order = order[best[order] > confidence]
    corners, more = _corners(output[:4, order].T), output[4 + classes :, order].T
    kept = (
        _suppress_rotated(corners, more[:, 0], ids[order], iou)
        if rotated
        else _suppress(corners, ids[order], iou)
    )[:limit]
    return Boxes(corners=corners[kept], scores=best[order][kept], classes=ids[order][kept], more=more[kept])


def _corners(boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn centre and size into corners, (count, 4) both."""
    import numpy as np

    centre, size = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


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


def _suppress_rotated(
    corners: npt.NDArray[Any], angles: npt.NDArray[Any], ids: npt.NDArray[Any], iou: float
) -> list[int]:
    """Return the indices that no better box of their class overlaps, one that is dropped itself included.

    So does Ultralytics with rotated boxes (``ultralytics/utils/nms.py: TorchNMS.fast_nms``).
    """
    shapes = covariances(corners, angles)
    return [
        index
        for index in range(len(corners))
        if not ((likeness(shapes[index], shapes[:index]) >= iou) & (ids[:index] == ids[index])).any()
    ]


def covariances(corners: npt.NDArray[Any], angles: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return rotated boxes as normal distributions: (count, 5) means of x and y, variances, covariance.

    Args:
        corners: (count, 4) of the boxes before they are turned about their centres.
        angles: (count,) in radians.
    """
    import numpy as np

    centre, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    a, b = (size**2 / 12).T
    cos, sin = np.cos(angles), np.sin(angles)
    spread = [a * cos**2 + b * sin**2, a * sin**2 + b * cos**2, (a - b) * cos * sin]
    return np.concatenate([centre, np.stack(spread, axis=1)], axis=1)


def likeness(one: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the overlap of a rotated box, (5,), with others, (count, 5), as Ultralytics' NMS has it.

    It is 1 minus the Hellinger distance of their distributions (https://arxiv.org/abs/2106.06072;
    ``ultralytics/utils/metrics.py: batch_probiou``).
    """
    import numpy as np

    eps = 1e-7
    dx, dy = one[0] - others[:, 0], one[1] - others[:, 1]
    a, b, c = (one[place] + others[:, place] for place in (2, 3, 4))
    both = a * b - c**2
    far = (a * dy**2 + b * dx**2) / (both + eps) * 0.25 - c * dx * dy / (both + eps) * 0.5
    own = [np.clip(box[..., 2] * box[..., 3] - box[..., 4] ** 2, 0, None) for box in (one, others)]
    size = 0.5 * np.log(both / (4 * np.sqrt(own[0] * own[1]) + eps) + eps)
    return 1 - np.sqrt(1 - np.exp(-np.clip(far + size, eps, 100)) + eps)


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
        corners: (count, 4) in input pixels; or any number of points, (..., 2).
        imgsz: Height and width of the input.
        height: Height of the image.
        width: Width of the image.
    """
    import numpy as np

    ratio = min(imgsz[0] / height, imgsz[1] / width)
    left = round((imgsz[1] - round(width * ratio)) / 2 - 0.1)
    top = round((imgsz[0] - round(height * ratio)) / 2 - 0.1)
    values = np.asarray(corners, dtype=np.float64)
    points = values.reshape(-1, 2)
    return np.clip((points - [left, top]) / ratio, 0, [width, height]).reshape(values.shape)
