"""Solids seen from above, as fields over the image plane: where they are, and how high.

Every function takes coordinates in pixels around the part (``u`` along its axis, ``v`` across) and
returns a `Field`. Normals, and with them all shading, come from the slope of the height.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

FAR = np.float32(1e3)
SIXTH = np.pi / 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A solid over a grid.

    Attributes:
        distance: Signed distance to the outline in pixels, negative inside (roughly Euclidean).
        height: Height over the ground in pixels; meaningless outside.
        insert: Share of a plastic insert, 0 to 1; None where there is none.
    """

    distance: Array
    height: Array
    insert: Array | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """A helix cut into a round bar between two places along its axis, in pixels."""

    start: float
    end: float
    pitch: float
    depth: float


def union(first: Field, second: Field) -> Field:
    """Put two solids together: the higher one is seen."""
    a = np.where(first.distance < 0.3, first.height, -FAR)
    b = np.where(second.distance < 0.3, second.height, -FAR)
    both = np.maximum(a, b)
    nearest = np.where(first.distance < second.distance, first.height, second.height)
    return Field(
        distance=np.minimum(first.distance, second.distance),
        height=np.where(both > -FAR / 2, both, nearest),
        insert=first.insert if second.insert is None else second.insert,
    )


def lathe(u: Array, v: Array, outline: Sequence[tuple[float, float]], thread: Thread | None = None) -> Field:
    """Turn an outline of (place, radius) points around the axis ``u``."""
    places, radii = zip(*outline, strict=True)
    radius = np.interp(u, places, radii).astype(np.float32)
    if thread is not None:
        turn = np.arcsin(np.clip(v / np.maximum(radius, 0.5), -1, 1)) / (2 * np.pi)
        wave = np.abs(2 * ((u / thread.pitch + turn) % 1.0) - 1)
        cut = (u > thread.start) & (u < thread.end)
        radius = radius - thread.depth * wave * cut
    distance = np.maximum(np.abs(v) - radius, np.maximum(places[0] - u, u - places[-1]))
    height = np.sqrt(np.maximum(radius * radius - v * v, 0)) + max(radii)
    return Field(distance=distance.astype(np.float32), height=height.astype(np.float32))


def lying_prism(u: Array, v: Array, span: tuple[float, float], flat: float, roll: float) -> Field:
    """Lay a hexagonal bar with chamfered ends on its side.

    Args:
        u: Coordinate along the bar's axis.
        v: Coordinate across it.
        span: Where the bar begins and ends along ``u``.
        flat: Distance from the axis to each flat side.
        roll: Rotation about the axis in radians.
    """
    top = np.full_like(u, FAR)
    for k in range(6):
        tilt = roll + k * SIXTH
        if np.cos(tilt) > 0.08:
            top = np.minimum(top, (flat - v * np.sin(tilt)) / np.cos(tilt))
    half = max(abs(np.sin(roll + SIXTH / 2 + k * SIXTH)) for k in range(6)) * flat / np.cos(SIXTH / 2)
    to_end = np.minimum(u - span[0], span[1] - u)
    limit = flat * 0.97 + np.maximum(to_end, 0) * 1.7
    top = np.minimum(top, np.sqrt(np.maximum(limit * limit - v * v, 0)))
    distance = np.maximum(np.abs(v) - np.minimum(half, limit), -to_end)
    return Field(distance=distance.astype(np.float32), height=(top + flat).astype(np.float32))


def plate(u: Array, v: Array, flat: float, sides: int, thickness: float) -> Field:
    """Lay a regular plate with a turned (conical) chamfer flat on the ground."""
    distance = np.full_like(u, -FAR)
    for k in range(sides):
        angle = k * 2 * np.pi / sides
        distance = np.maximum(distance, u * np.cos(angle) + v * np.sin(angle) - flat)
    radius = np.hypot(u, v)
    height = thickness - 0.58 * np.maximum(radius - 0.94 * flat, 0)
    return bevel(Field(distance=distance, height=height.astype(np.float32)), 0.8)


def disc(u: Array, v: Array, radius: float, thickness: float, dome: float = 0.0) -> Field:
    """Lay a disc flat on the ground, its top raised in the middle by ``dome`` pixels."""
    around = np.hypot(u, v)
    height = thickness + dome * (1 - np.square(np.minimum(around / radius, 1)))
    return bevel(Field(distance=(around - radius).astype(np.float32), height=height.astype(np.float32)), 1.0)


def bore(body: Field, u: Array, v: Array, radius: float) -> Field:
    """Drill through a solid along the line of sight, with a small countersink."""
    hole = radius - np.hypot(u, v)
    sink = np.clip(1 + hole / (0.28 * radius), 0, 1)
    distance = np.maximum(body.distance, hole).astype(np.float32)
    return Field(distance=distance, height=body.height - 0.22 * radius * sink, insert=body.insert)


def recess(body: Field, shape: Array, depth: float) -> Field:
    """Press a shape (a signed distance) into the top of a solid."""
    sunk = np.clip(0.5 - shape / 0.8, 0, 1) * depth
    return Field(distance=body.distance, height=(body.height - sunk).astype(np.float32), insert=body.insert)


def bevel(body: Field, width: float) -> Field:
    """Round the rim of a flat solid off over ``width`` pixels."""
    drop = width * np.square(np.clip(1 + body.distance / width, 0, 1.5))
    return Field(distance=body.distance, height=(body.height - drop).astype(np.float32), insert=body.insert)


def bar_shape(u: Array, v: Array, length: float, width: float) -> Array:
    """Signed distance to a rectangle around the origin."""
    return np.maximum(np.abs(u) - length / 2, np.abs(v) - width / 2)
