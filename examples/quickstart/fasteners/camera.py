"""What the camera adds: uneven light, glare, blur, colour cast and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from . import SIDE
from .shading import grain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .fields import Array


def photograph(rng: np.random.Generator, picture: Array) -> NDArray[np.uint8]:
    """Turn linear colours into what a cheap camera over the bench would record.

    Args:
        rng: Source of every disturbance.
        picture: Colours, shape (SIDE, SIDE, 3), red first, 1.0 is white.

    Returns:
        The picture as 8-bit colours, same shape, red first.
    """
    picture = picture * _uneven(rng)[..., None]
    if rng.random() < 0.35:
        picture = picture + _glare(rng)[..., None]
    picture = _blur(rng, picture)
    cast = np.asarray(rng.normal(1, 0.05, 3), np.float32)
    picture = np.clip(picture * cast * rng.uniform(0.65, 1.3), 0, None)
    picture = np.clip(picture, 0, 1) ** rng.uniform(0.62, 0.95)
    picture = _noise(rng, picture.astype(np.float32))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _uneven(rng: np.random.Generator) -> Array:
    """Light that falls off towards one side, and now and then the edge of a shadow."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    slope = x * np.cos(turn) + y * np.sin(turn)
    light = 1 + rng.uniform(0, 0.7) * slope - rng.uniform(0, 0.8) * (x * x + y * y)
    if rng.random() < 0.25:
        edge = 1 / (1 + np.exp((slope - rng.uniform(-0.3, 0.3)) / rng.uniform(0.004, 0.04)))
        light = light * (1 - rng.uniform(0.2, 0.55) * edge)
    return light.astype(np.float32)


def _glare(rng: np.random.Generator) -> Array:
    """Draw the reflection of a lamp: a soft elongated spot."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    turn, (left, top) = rng.uniform(0, np.pi), rng.uniform(0, SIDE, 2)
    along = (x - left) * np.cos(turn) + (y - top) * np.sin(turn)
    across = (y - top) * np.cos(turn) - (x - left) * np.sin(turn)
    wide, thin = rng.uniform(25, 120), rng.uniform(10, 40)
    return rng.uniform(0.15, 0.75) * np.exp(-np.square(along / wide) - np.square(across / thin))


def _blur(rng: np.random.Generator, picture: Array) -> Array:
    """Keep sharp, or put out of focus, or move the belt during exposure."""
    kind = rng.random()
    if kind < 0.6:
        return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.7))
    if kind < 0.88:
        return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.7, 1.5))
    size = int(rng.integers(3, 7)) | 1
    kernel = np.zeros((size, size), np.float32)
    turn, half = rng.uniform(0, np.pi), size // 2
    ends = [(round(half + k * half * np.cos(turn)), round(half + k * half * np.sin(turn))) for k in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _noise(rng: np.random.Generator, picture: Array) -> Array:
    """Shot noise grows with brightness; read-out noise does not, and may be blotchy."""
    strength = rng.choice([0.006, 0.012, 0.025, 0.04], p=[0.4, 0.35, 0.18, 0.07])
    shot = rng.standard_normal(picture.shape, dtype=np.float32) * strength * np.sqrt(picture + 0.1)
    blotches = grain(rng, picture.shape[:2], 2.5)[..., None] * strength * 0.4
    return picture + shot + blotches
