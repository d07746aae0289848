"""Things that are no fasteners but lie among them: what a detector must leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from . import SIDE
from .fields import Field, Thread, bar_shape, bevel, disc, lathe
from .parts import Part

if TYPE_CHECKING:
    from .fields import Array


def draw_object(rng: np.random.Generator, diameter: float) -> tuple[Part, str | None]:
    """Choose a solid that is no fastener of ours: a pin, a spring, a blank, an O-ring or a chip.

    Returns:
        The part, and the finish it must have (None for any).
    """
    kind = rng.choice(["pin", "spring", "blank", "ring", "chip", "bead"])
    d = diameter * rng.uniform(0.7, 1.3)
    if kind == "pin":
        return _pin(rng, d), None
    if kind == "spring":
        return _spring(rng, d), None
    if kind == "blank":
        radius = d * rng.uniform(0.6, 1.2)
        return _solid(radius + 2, 0.2 * d, lambda u, v: disc(u, v, radius, 0.2 * d, 0.04 * d)), None
    if kind == "ring":
        return _ring(rng, d), "black"
    if kind == "bead":
        radius = d * rng.uniform(0.3, 0.7)
        return _solid(radius + 2, d, lambda u, v: _ball(u, v, radius)), None
    return _chip(rng, d), None


def _solid(reach: float, lift: float, shape: object) -> Part:
    return Part(name="clutter", reach=reach, lift=lift, shape=shape)  # type: ignore[arg-type]


def _ball(u: Array, v: Array, radius: float) -> Field:
    around = np.hypot(u, v)
    height = radius + np.sqrt(np.maximum(radius * radius - around * around, 0))
    return Field(distance=(around - radius).astype(np.float32), height=height.astype(np.float32))


def _pin(rng: np.random.Generator, d: float) -> Part:
    half = d * rng.uniform(1.0, 2.8)
    radius = d * rng.uniform(0.25, 0.5)
    nose = 0.25 * radius

    def shape(u: Array, v: Array) -> Field:
        ends = ((-half, radius - nose), (-half + nose, radius), (half - nose, radius), (half, radius - nose))
        return lathe(u, v, ends)

    return _solid(half + 2, d, shape)


def _spring(rng: np.random.Generator, d: float) -> Part:
    half = d * rng.uniform(0.9, 2.2)
    radius = d * rng.uniform(0.4, 0.65)
    pitch = max(3.0, d * rng.uniform(0.3, 0.5))

    def shape(u: Array, v: Array) -> Field:
        body = lathe(
            u, v, ((-half, radius), (half, radius)), Thread(start=-half, end=half, pitch=pitch, depth=0.1 * d)
        )
        phase = np.abs(2 * ((u / pitch + 0.12 * v / radius) % 1.0) - 1)
        gap = (0.5 - phase) * pitch * 0.5
        return Field(
            distance=np.maximum(body.distance, -gap - 0.15 * pitch).astype(np.float32),
            height=(body.height + np.sqrt(np.clip(gap, 0, None))).astype(np.float32),
        )

    return _solid(half + 2, d, shape)


def _ring(rng: np.random.Generator, d: float) -> Part:
    radius = d * rng.uniform(0.6, 1.3)
    wire = d * rng.uniform(0.1, 0.16)

    def shape(u: Array, v: Array) -> Field:
        off = np.hypot(u, v) - radius
        height = wire + np.sqrt(np.maximum(wire * wire - off * off, 0))
        return Field(distance=(np.abs(off) - wire).astype(np.float32), height=height.astype(np.float32))

    return _solid(radius + wire + 2, wire, shape)


def _chip(rng: np.random.Generator, d: float) -> Part:
    """Leave a curl of swarf or an angular offcut."""
    if rng.random() < 0.5:
        sides = rng.uniform(0.5, 1.6, 2) * d
        return _solid(
            float(np.hypot(*sides)),
            0.15 * d,
            lambda u, v: bevel(
                Field(
                    distance=bar_shape(u + 0.3 * v, v, sides[0], sides[1]).astype(np.float32),
                    height=np.full_like(u, 0.15 * d),
                ),
                1.0,
            ),
        )
    turns, width = rng.uniform(1.0, 3.0), d * rng.uniform(0.1, 0.25)
    size = d * rng.uniform(0.8, 1.6)

    def shape(u: Array, v: Array) -> Field:
        angle = np.arctan2(v, u) / (2 * np.pi)
        around = np.hypot(u, v)
        step = size / turns
        off = ((around / step - angle) % 1.0 - 0.5) * step
        inside = np.maximum(np.abs(off) - width / 2, np.maximum(around - size, 0.25 * size - around))
        return Field(distance=inside.astype(np.float32), height=(0.3 * d + off).astype(np.float32))

    return _solid(size + 2, 0.3 * d, shape)


def lay_wire(rng: np.random.Generator, picture: Array) -> Array:
    """Lay a length of insulated wire across the picture, with its shadow."""
    knots = rng.uniform(-40, SIDE + 40, (4, 2))
    t = np.linspace(0, 1, 60)[:, None]
    a, b, c, e = knots
    path = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t * t * (1 - t) * c + t**3 * e
    points = (path * 16).round().astype(np.int32)[:, None, :]
    width = int(rng.integers(2, 7))
    colours = (
        (0.65, 0.12, 0.10),
        (0.12, 0.22, 0.55),
        (0.10, 0.10, 0.11),
        (0.75, 0.62, 0.12),
        (0.55, 0.34, 0.20),
    )
    colour = np.asarray(colours[int(rng.integers(len(colours)))], np.float32)
    picture = picture * (1 - 0.4 * _stroke(points + 40, width + 1, 1.5)[..., None])
    body = _stroke(points, width, 0)[..., None]
    gloss = _stroke(points - 8, max(1, width // 3), 0.5)[..., None]
    return (picture * (1 - body) + body * (colour * 0.75 + 0.35 * gloss)).astype(np.float32)


def _stroke(points: Array, width: int, blur: float) -> Array:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.polylines(mask, [points], isClosed=False, color=255, thickness=width, lineType=cv2.LINE_AA, shift=4)
    soft = mask.astype(np.float32) / 255
    return cv2.GaussianBlur(soft, (0, 0), blur) if blur else soft
