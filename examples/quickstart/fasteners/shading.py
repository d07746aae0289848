"""Light and metal: how a height field looks under a few lamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from .fields import Array, Field

# Red, green, blue reflectance, share of mirror reflection, and how rough the surface is.
FINISHES: dict[str, tuple[tuple[float, float, float], float, float]] = {
    "steel": ((0.74, 0.75, 0.77), 0.85, 0.25),
    "stainless": ((0.84, 0.84, 0.83), 0.95, 0.15),
    "zinc": ((0.70, 0.74, 0.80), 0.65, 0.45),
    "yellow": ((0.82, 0.70, 0.40), 0.75, 0.30),
    "brass": ((0.83, 0.66, 0.33), 0.85, 0.20),
    "black": ((0.17, 0.17, 0.19), 0.70, 0.35),
    "rusty": ((0.50, 0.34, 0.24), 0.25, 0.80),
}
FINISH_SHARES = (0.26, 0.16, 0.17, 0.12, 0.08, 0.13, 0.08)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lights:
    """The lamps of one scene.

    Attributes:
        lamps: Directions towards the lamps, shape (n, 3), unit length; the first casts the shadows.
        power: Strength of each lamp, shape (n,).
        spread: Sharpness of each lamp's reflection, shape (n,); large is small and hard.
        ambient: Light from everywhere.
        shade: How dark shadows are, 0 to 1.
    """

    lamps: Array
    power: Array
    spread: Array
    ambient: float
    shade: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """The surface of one part: colour, mirror share, roughness and the dirt on it."""

    colour: tuple[float, float, float]
    mirror: float
    rough: float
    dirt: float


def draw_lights(rng: np.random.Generator) -> Lights:
    """Hang one to three lamps over the scene."""
    count = int(rng.integers(1, 4))
    turn = rng.uniform(0, 2 * np.pi, count)
    rise = rng.uniform(0.5, 1.35, count)
    lamps = np.stack((np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)), axis=1)
    power = rng.uniform(0.35, 1.0, count) / np.sqrt(count)
    return Lights(
        lamps=lamps.astype(np.float32),
        power=power.astype(np.float32),
        spread=rng.uniform(2.5, 14.0, count).astype(np.float32),
        ambient=float(rng.uniform(0.22, 0.5)),
        shade=float(rng.uniform(0.2, 0.65)),
    )


def draw_finish(rng: np.random.Generator, name: str | None = None) -> Finish:
    """Choose a finish; parts of one scene often share a name."""
    chosen = name or str(rng.choice(list(FINISHES), p=FINISH_SHARES))
    colour, mirror, rough = FINISHES[chosen]
    bright = rng.uniform(0.85, 1.1)
    tinted = tuple(float(np.clip(c * bright * rng.uniform(0.97, 1.03), 0, 1)) for c in colour)
    dirt = float(rng.uniform(0.3, 0.7) if chosen == "rusty" else rng.uniform(0, 0.35))
    return Finish(colour=tinted, mirror=mirror, rough=rough, dirt=dirt)


def shade(rng: np.random.Generator, field: Field, lights: Lights, finish: Finish, scale: int) -> Array:
    """Light a solid.

    Args:
        rng: Source of grain and dirt.
        field: The solid over a grid with ``scale`` samples per pixel.
        lights: The scene's lamps.
        finish: The part's surface.
        scale: Samples per pixel.

    Returns:
        Colours, shape (height, width, 3), red first, 0 to about 1.5.
    """
    normal = _normals(rng, field.height, finish, scale)
    light = _reflected(normal, lights, finish) * _crevices(field.height, scale)
    colour = np.asarray(finish.colour, dtype=np.float32)
    picture = light[..., None] * colour
    if finish.dirt > 0:
        spots = np.clip(
            grain(rng, light.shape, 5 * scale) * 0.8 + grain(rng, light.shape, 2 * scale) * 0.4, 0, 1.5
        )
        brown = np.asarray((0.36, 0.24, 0.17), dtype=np.float32) * (0.4 + 0.6 * light[..., None])
        share = (spots * finish.dirt)[..., None].clip(0, 0.9)
        picture = picture * (1 - share) + brown * share
    if field.insert is not None:
        plastic = np.asarray((0.55, 0.62, 0.72), dtype=np.float32) * (0.4 + 0.5 * light[..., None])
        picture = picture * (1 - field.insert[..., None]) + plastic * field.insert[..., None]
    return picture.astype(np.float32)


def grain(
    rng: np.random.Generator, shape: tuple[int, ...], cell: float, cell_y: float | None = None
) -> Array:
    """Smooth noise of mean 0 and deviation near 1, with blobs about ``cell`` samples wide."""
    rows = max(2, int(shape[0] / (cell_y or cell)) + 2)
    columns = max(2, int(shape[1] / cell) + 2)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def _normals(rng: np.random.Generator, height: Array, finish: Finish, scale: int) -> Array:
    """Surface normals, shape (h, w, 3), with a lean of the whole part and some unevenness."""
    down, right = np.gradient(height)
    lean = rng.normal(0, 0.12, 2)
    across, along = grain(rng, height.shape, 14 * scale), grain(rng, height.shape, 1.5 * scale, 7 * scale)
    bumps = 0.07 * across + (0.03 + 0.10 * finish.rough) * along
    x = np.clip(-right * scale, -3, 3) + lean[0] + bumps
    y = np.clip(-down * scale, -3, 3) + lean[1] + 0.07 * across
    length = np.sqrt(x * x + y * y + 1)
    return np.stack((x / length, y / length, 1 / length), axis=-1).astype(np.float32)


def _reflected(normal: Array, lights: Lights, finish: Finish) -> Array:
    """Brightness under the lamps: mirror lobes over a dark horizon, plus what is scattered."""
    up = normal[..., 2]
    mirror = 2 * up[..., None] * normal
    mirror[..., 2] -= 1
    sky = lights.ambient * (0.35 + 0.65 * np.clip(mirror[..., 2] + 0.4, 0, 1.2))
    lobes = np.zeros_like(up)
    spread_out = np.zeros_like(up)
    for lamp, power, spread in zip(lights.lamps, lights.power, lights.spread, strict=True):
        tight = spread * (1.2 - finish.rough)
        lobes += power * 1.5 * np.exp(tight * (mirror @ lamp - 1))
        spread_out += power * np.clip(normal @ lamp, 0, 1)
    scattered = 0.6 * lights.ambient + 0.9 * spread_out
    return finish.mirror * (0.75 * sky + lobes + 0.25 * spread_out) + (1 - finish.mirror) * scattered


def _crevices(height: Array, scale: int) -> Array:
    """Darken what lies lower than its surroundings: thread grooves and drive recesses."""
    around = cv2.GaussianBlur(height, (0, 0), 1.6 * scale)
    return 1 - 0.6 * np.clip((around - height) / 2.5, 0, 1)
