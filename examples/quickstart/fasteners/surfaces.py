"""What the parts lie on: belts, metal, wood, cardboard, paint and concrete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from . import SIDE
from .shading import grain

if TYPE_CHECKING:
    from .fields import Array

SHAPE = (SIDE, SIDE)


def draw_surface(rng: np.random.Generator) -> Array:
    """Choose and draw a surface, shape (SIDE, SIDE, 3), red first, 0 to 1."""
    makers = (_belt, _metal, _wood, _cardboard, _painted, _concrete)
    maker = makers[int(rng.choice(len(makers), p=(0.24, 0.22, 0.18, 0.14, 0.12, 0.10)))]
    picture = maker(rng)
    for _ in range(int(rng.integers(0, 4))):
        picture = _stain(rng, picture)
    if rng.random() < 0.5:
        picture = _scratches(rng, picture)
    return np.clip(picture, 0.01, 1).astype(np.float32)


def _tint(light: Array, colour: tuple[float, float, float]) -> Array:
    return light[..., None] * np.asarray(colour, dtype=np.float32)


def _along(rng: np.random.Generator) -> tuple[Array, Array]:
    """Coordinates turned by a random angle: across and along."""
    turn = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) - SIDE / 2
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _turned(rng: np.random.Generator, texture: Array) -> Array:
    """Cut a turned SIDE x SIDE piece out of a larger texture."""
    middle = (texture.shape[1] / 2, texture.shape[0] / 2)
    matrix = cv2.getRotationMatrix2D(middle, rng.uniform(0, 360), 1.0)
    turned = cv2.warpAffine(texture, matrix, texture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    edge = (texture.shape[0] - SIDE) // 2
    return turned[edge : edge + SIDE, edge : edge + SIDE]


def _belt(rng: np.random.Generator) -> Array:
    across, along = _along(rng)
    pitch = rng.uniform(4, 11)
    weave = np.sin(across * 2 * np.pi / pitch) * (
        np.sin(along * 2 * np.pi / pitch) if rng.random() < 0.6 else 1
    )
    light = 1 + rng.uniform(0.04, 0.22) * weave + 0.10 * grain(rng, SHAPE, 1.5) + 0.10 * grain(rng, SHAPE, 60)
    if rng.random() < 0.3:
        light = light + 0.5 * (np.abs(across - rng.uniform(-90, 90)) < rng.uniform(1, 3))
    colours = ((0.14, 0.14, 0.15), (0.13, 0.26, 0.20), (0.16, 0.22, 0.36), (0.42, 0.42, 0.40))
    return _tint(light, colours[int(rng.integers(len(colours)))])


def _metal(rng: np.random.Generator) -> Array:
    big = (480, 480)
    brushed = grain(rng, big, 1.3, 70) * 0.5 + grain(rng, big, 2.5, 200) * 0.5
    sheen = grain(rng, big, 160, 200)
    light = _turned(rng, 1 + rng.uniform(0.05, 0.14) * brushed + 0.22 * sheen)
    level = rng.uniform(0.35, 0.68)
    return _tint(light, (level, level * 1.01, level * 1.03))


def _wood(rng: np.random.Generator) -> Array:
    big = (480, 480)
    bend = grain(rng, big, 120, 300) * 14 + grain(rng, big, 8, 120) * 1.2
    x = np.arange(big[1], dtype=np.float32)[None, :] + bend
    rings = np.abs((x / rng.uniform(9, 26)) % 1.0 - 0.3)
    light = 1 - rng.uniform(0.15, 0.4) * rings + 0.07 * grain(rng, big, 1.2, 22) + 0.06 * grain(rng, big, 90)
    if rng.random() < 0.35:
        light[:, : int(rng.integers(120, 360))] *= rng.uniform(0.75, 0.95)
    colours = ((0.66, 0.49, 0.32), (0.47, 0.31, 0.19), (0.74, 0.61, 0.44))
    return _tint(_turned(rng, light), colours[int(rng.integers(len(colours)))])


def _cardboard(rng: np.random.Generator) -> Array:
    across, along = _along(rng)
    flutes = np.sin(across * 2 * np.pi / rng.uniform(7, 13))
    light = (
        1
        + 0.03 * flutes
        + 0.05 * grain(rng, SHAPE, 1.4, 4)
        + 0.04 * grain(rng, SHAPE, 3)
        + 0.08 * grain(rng, SHAPE, 80)
    )
    if rng.random() < 0.5:
        fold = np.abs(along - rng.uniform(-120, 120))
        light = light - 0.25 * np.exp(-fold * fold / 6)
    return _tint(light, (0.64, 0.50, 0.36))


def _painted(rng: np.random.Generator) -> Array:
    light = 1 + 0.03 * grain(rng, SHAPE, 1.5) + 0.05 * grain(rng, SHAPE, 6) + 0.10 * grain(rng, SHAPE, 110)
    chips = grain(rng, SHAPE, rng.uniform(10, 30)) + 0.5 * grain(rng, SHAPE, 4)
    bare = (chips > rng.uniform(1.7, 2.6))[..., None]
    colours = (
        (0.25, 0.34, 0.42),
        (0.55, 0.58, 0.56),
        (0.72, 0.70, 0.64),
        (0.30, 0.40, 0.28),
        (0.62, 0.45, 0.20),
    )
    picture = _tint(light, colours[int(rng.integers(len(colours)))])
    return np.where(bare, _tint(0.45 + 0.08 * grain(rng, SHAPE, 3), (1, 0.97, 0.93)), picture)


def _concrete(rng: np.random.Generator) -> Array:
    light = 1 + 0.10 * grain(rng, SHAPE, 1.2) + 0.08 * grain(rng, SHAPE, 5) + 0.12 * grain(rng, SHAPE, 70)
    light = light - 0.35 * (grain(rng, SHAPE, 3) > 2.3)
    level = rng.uniform(0.38, 0.6)
    return _tint(light, (level, level * 0.98, level * 0.94))


def _stain(rng: np.random.Generator, picture: Array) -> Array:
    """Leave a patch of oil or dust."""
    across, along = _along(rng)
    size = rng.uniform(15, 80)
    far = np.hypot(across - rng.uniform(-150, 150), (along - rng.uniform(-150, 150)) * rng.uniform(0.6, 1.6))
    soft = 1 / (1 + np.exp((far - size + 0.25 * size * grain(rng, SHAPE, 40)) / rng.uniform(1.5, 12)))
    change = rng.uniform(0.55, 0.9) if rng.random() < 0.7 else rng.uniform(1.05, 1.25)
    return picture * (1 + (change - 1) * soft[..., None])


def _scratches(rng: np.random.Generator, picture: Array) -> Array:
    """Draw thin straight marks, lighter or darker than the surface."""
    marks = np.zeros(SHAPE, np.float32)
    for _ in range(int(rng.integers(1, 14))):
        start = rng.uniform(0, SIDE, 2)
        end = start + rng.normal(0, 60, 2)
        cv2.line(marks, _point(start), _point(end), float(rng.uniform(0.3, 1)), 1, cv2.LINE_AA)
    return picture * (1 + rng.uniform(-0.35, 0.45) * marks[..., None])


def _point(place: Array) -> tuple[int, int]:
    return int(place[0]), int(place[1])
