"""What is left to do behind a model whose head was cut or normalised: NumPy, and nothing else.

``decode(outputs, head)`` gives what the whole model gives. ``head`` is the entry of that name in
``model.json``. edgebuild's own validation runs this file, and a package holds it as ``decode.py``: a device
computes what was validated. Suppression of overlapping boxes comes after it, as after the whole model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[np.float32]


def decode(outputs: Sequence[Array], head: Mapping[str, Any]) -> list[Array]:
    """Return the outputs of the whole model.

    Args:
        outputs: What the model returned, in the order of ``outputs`` in ``model.json``; feature maps are
            (batch, channels, height, width).
        head: How its head ends.

    Raises:
        ValueError: The head is of a kind that this file does not know.
    """
    values = [np.asarray(output, dtype=np.float32) for output in outputs]
    if head["kind"] == "full":
        return values
    if head["kind"] == "normalised":
        return [_to_pixels(values[0], head), *values[1:]]
    if head["kind"] == "cut":
        if head["task"] == "classify":
            return [_softmax(values[0], axis=1)]
        return [_decode_maps(values, head), *(values[index] for index in head["rest"])]
    raise ValueError(f"unknown kind of head: {head['kind']!r}")


def _to_pixels(joined: Array, head: Mapping[str, Any]) -> Array:
    """Undo the division by the image size; (batch, 4 + classes + extra, anchors)."""
    if head["task"] == "classify":
        return joined
    height, width = head["imgsz"]
    size = np.array([width, height], dtype=np.float32)
    result = joined.copy()
    result[:, :4] *= np.tile(size, 2)[:, None]
    if head.get("keypoints"):
        count, width_of_one = head["keypoints"]["shape"]
        start = 4 + head["classes"]
        points = result[:, start : start + count * width_of_one]
        for axis in (0, 1):
            points[:, axis::width_of_one] *= size[axis]
    return result


def _decode_maps(outputs: Sequence[Array], head: Mapping[str, Any]) -> Array:
    """Return boxes, scores and what else the task has, joined: (batch, 4 + classes + extra, anchors)."""
    scales = head["scales"]
    anchors, strides = _grid([outputs[scale["box"]].shape for scale in scales], scales)
    boxes = _distances(_flat(outputs, scales, "box"), head["reg_max"])
    scores = _sigmoid(_flat(outputs, scales, "score"))
    extra = [] if head["task"] == "detect" else [_flat(outputs, scales, "extra")]
    if head["task"] == "obb":
        extra = [_angle(extra[0], head["angle"])]
        corners = _rotated(boxes, extra[0], anchors)
    else:
        corners = _upright(boxes, anchors, head["boxes"])
    if head["task"] == "pose":
        extra = [_keypoints(extra[0], anchors, strides, head["keypoints"])]
    joined = np.concatenate([corners * strides, scores, *extra], axis=1)
    if not head["end2end"]:
        return joined
    return _select(joined, classes=head["classes"], most=head["max_detections"])


def _flat(outputs: Sequence[Array], scales: Sequence[Mapping[str, int]], part: str) -> Array:
    """Return one part of every scale as (batch, channels, anchors)."""
    maps = [outputs[scale[part]] for scale in scales]
    return np.concatenate([one.reshape(*one.shape[:2], -1) for one in maps], axis=2)


def _grid(shapes: Sequence[tuple[int, ...]], scales: Sequence[Mapping[str, int]]) -> tuple[Array, Array]:
    """Return the centres of all cells in units of their scale, (2, anchors), and the strides, (anchors,)."""
    centres, strides = [], []
    for (*_, height, width), scale in zip(shapes, scales, strict=True):
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
        centres.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full(height * width, scale["stride"], dtype=np.float32))
    return np.concatenate(centres, axis=1), np.concatenate(strides)


def _distances(boxes: Array, reg_max: int) -> Array:
    """Return the distances to the four sides: the expectation where a side is a distribution."""
    if reg_max == 1:
        return boxes
    batch, _, anchors = boxes.shape
    chances = _softmax(boxes.reshape(batch, 4, reg_max, anchors), axis=2)
    places = np.arange(reg_max, dtype=np.float32)[:, None]
    expected: Array = (chances * places).sum(axis=2)
    return expected


def _upright(distances: Array, anchors: Array, form: str) -> Array:
    """Return boxes around the anchors, as corners (``xyxy``) or centre and size (``xywh``)."""
    first, second = anchors - distances[:, :2], anchors + distances[:, 2:]
    if form == "xyxy":
        return np.concatenate([first, second], axis=1)
    return np.concatenate([(first + second) / 2, second - first], axis=1)


def _angle(values: Array, form: str) -> Array:
    """Return angles in radians; a sigmoid stands for -45 to 135 degrees."""
    if form == "raw":
        return values
    return (_sigmoid(values) - np.float32(0.25)) * np.float32(np.pi)


def _rotated(distances: Array, angle: Array, anchors: Array) -> Array:
    """Return centre and size of boxes turned by an angle in radians, (batch, 1, anchors)."""
    half = (distances[:, 2:] - distances[:, :2]) / 2
    x, y = half[:, :1], half[:, 1:]
    cos, sin = np.cos(angle), np.sin(angle)
    centre = np.concatenate([x * cos - y * sin, x * sin + y * cos], axis=1) + anchors
    return np.concatenate([centre, distances[:, :2] + distances[:, 2:]], axis=1)


def _keypoints(values: Array, anchors: Array, strides: Array, form: Mapping[str, Any]) -> Array:
    """Return keypoints in pixels; visibility, where there is one, as a probability."""
    count, width = form["shape"]
    points = values.reshape(len(values), count, width, -1)
    cells = points[:, :, :2] * np.float32(form["factor"]) + (anchors + np.float32(form["offset"]))
    parts = [cells * strides, *([_sigmoid(points[:, :, 2:])] if width > 2 else [])]
    joined: Array = np.concatenate(parts, axis=2).reshape(values.shape)
    return joined


def _select(joined: Array, *, classes: int, most: int) -> Array:
    """Return the best (box, class) pairs as rows: corners, score, class, extra; the best first."""
    rows = joined.transpose(0, 2, 1)
    most = min(most, rows.shape[1])
    chosen = []
    for row in rows:
        scores = row[:, 4 : 4 + classes]
        anchors = _best(scores.max(axis=1), most)
        pairs = _best(scores[anchors].ravel(), most)
        kept = row[anchors[pairs // classes]]
        label = (pairs % classes).astype(np.float32)[:, None]
        score = scores[anchors].ravel()[pairs][:, None]
        chosen.append(np.concatenate([kept[:, :4], score, label, kept[:, 4 + classes :]], axis=1))
    return np.stack(chosen)


def _best(values: Array, most: int) -> npt.NDArray[np.intp]:
    """Return the indices of the greatest values, the greatest first; of equal ones the first."""
    return np.argsort(-values, kind="stable")[:most]


def _sigmoid(values: Array) -> Array:
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and one over that is right: 0
        return np.float32(1) / (np.float32(1) + np.exp(-values))


def _softmax(values: Array, *, axis: int) -> Array:
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    shares: Array = powers / powers.sum(axis=axis, keepdims=True)
    return shares
