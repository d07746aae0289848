"""Which objects stay, and where they are: rotated boxes, masks. NumPy alone. Shipped as ``shapes.py``.

Part of the program for the device (:mod:`edgebuild.steps._on_device`); what the report's pictures show is
suppressed with it too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def turned(box: Any, angle: float) -> dict[str, Any]:
    """Return a box that is turned about its centre by an angle: as such, and its four corners."""
    import numpy as np

    (x, y), (across, down) = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    along = np.array([math.cos(angle), math.sin(angle)]) * across / 2
    beside = np.array([-math.sin(angle), math.cos(angle)]) * down / 2
    corners = [along + beside, along - beside, -along - beside, beside - along]
    return {
        "xywhr": [*(round(float(value), 1) for value in (x, y, across, down)), round(angle, 4)],
        "corners": [[round(float(x + dx), 1), round(float(y + dy), 1)] for dx, dy in corners],
    }


def mask(
    sums: Any, box: Sequence[float], place: tuple[float, int, int, int, int], imgsz: tuple[int, int]
) -> dict[str, Any]:
    """Return the pixels of the image where a mask is positive inside its box, and how many they are.

    ``counts`` are COCO's plain run lengths: down the columns, how many pixels are outside, inside, outside...
    """
    import numpy as np

    ratio, left, top, columns, rows = place
    whole = np.zeros((columns, rows), dtype=bool)
    xs, ys = (np.arange(math.ceil(box[axis]), math.ceil(box[axis + 2])) for axis in (0, 1))
    if xs.size and ys.size:
        down = _between(ys, (ratio, top, rows), sums.shape[0] / imgsz[0], sums.shape[0])
        across = _between(xs, (ratio, left, columns), sums.shape[1] / imgsz[1], sums.shape[1])
        whole[xs[0] : xs[-1] + 1, ys[0] : ys[-1] + 1] = (down @ sums @ across.T > 0).T
    flat = whole.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts = [0, *([0] if flat[0] else []), *edges.tolist()]
    counts = np.diff([*starts, flat.size]).tolist()
    return {"area": int(flat.sum()), "mask": {"size": [rows, columns], "counts": counts}}


def _between(pixels: Any, axis: tuple[float, int, int], scale: float, cells: int) -> Any:
    """Return the weights, (pixels, cells), that read a coarse map between its cells; no cell is padding.

    Args:
        pixels: Places in the image along an axis.
        axis: How much smaller the input is, where the image begins in it, and the image's size.
        scale: Cells per pixel of the input.
        cells: Size of the map.
    """
    import numpy as np

    ratio, start, size = axis
    first, last = start * scale, (start + size * ratio) * scale - 1
    places = np.clip(((pixels + 0.5) * ratio + start) * scale - 0.5, first, max(first, last))
    return np.clip(1 - np.abs(places[:, None] - np.arange(cells)), 0, None).astype(np.float32)


def suppress(boxes: Any, ids: Any, iou: float) -> list[int]:
    """Return the indices that are left when a better box of the same class covers no more than ``iou``.

    Args:
        boxes: (count, 4) corners, the best box first.
        ids: (count,) class ids.
        iou: Intersection over union.
    """
    import numpy as np

    kept: list[int] = []
    alive = np.ones(len(boxes), dtype=bool)
    for index in range(len(boxes)):
        if alive[index]:
            kept.append(index)
            low, high = np.maximum(boxes[index, :2], boxes[:, :2]), np.minimum(boxes[index, 2:], boxes[:, 2:])
            shared = np.clip(high - low, 0, None).prod(1)
            area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
            covered = shared / np.maximum(area[index] + area - shared, 1e-9) > iou
            alive &= ~(covered & (ids == ids[index]))
    return kept


def suppress_rotated(boxes: Any, angles: Any, ids: Any, iou: float) -> list[int]:
    """Return the indices that no better box of their class overlaps, one that is dropped itself included.

    So does Ultralytics with rotated boxes (``ultralytics/utils/nms.py: TorchNMS.fast_nms``).

    Args:
        boxes: (count, 4) corners before the boxes are turned about their centres, the best box first.
        angles: (count,) in radians.
        ids: (count,) class ids.
        iou: Overlap from which the weaker one goes.
    """
    shapes = _distributions(boxes, angles)
    return [
        index
        for index in range(len(boxes))
        if not ((_likeness(shapes[index], shapes[:index]) >= iou) & (ids[:index] == ids[index])).any()
    ]


def _distributions(boxes: Any, angles: Any) -> Any:
    """Return rotated boxes as normal distributions: (count, 5) means of x and y, variances, covariance."""
    import numpy as np

    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    a, b = (size**2 / 12).T
    cos, sin = np.cos(angles), np.sin(angles)
    spread = [a * cos**2 + b * sin**2, a * sin**2 + b * cos**2, (a - b) * cos * sin]
    return np.concatenate([centre, np.stack(spread, axis=1)], axis=1)


def _likeness(one: Any, others: Any) -> Any:
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
