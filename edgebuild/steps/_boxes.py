"""Boxes for pictures, with NumPy alone: output tensor to boxes, label file to boxes.

Only ``detections`` uses this, where importing torch would cost more than everything else. Metrics never come
from here: they are Ultralytics' own. Overlapping boxes are dropped by the program that packages bring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.steps._on_device_shapes import suppress, suppress_rotated

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
        suppress_rotated(corners, more[:, 0], ids[order], iou)
        if rotated
        else suppress(corners, ids[order], iou)
    )[:limit]
    return Boxes(corners=corners[kept], scores=best[order][kept], classes=ids[order][kept], more=more[kept])


def _corners(boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn centre and size into corners, (count, 4) both."""
    import numpy as np

    centre, size = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


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
