"""Whole scenes: parts and clutter placed on a surface, and the box of what is seen of each part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from . import CLASSES, SIDE
from .camera import photograph
from .clutter import draw_object, lay_wire
from .fields import Field
from .parts import Part, draw_part
from .shading import FINISH_SHARES, FINISHES, Finish, Lights, draw_finish, draw_lights, shade
from .surfaces import draw_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .fields import Array

SCALE = 3
"""Samples per pixel along each axis when a part is drawn."""

SEEN = 0.5
"""Share of a part that must stay visible; what is hidden more is not placed."""

TRIES = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Sprite:
    """One part drawn on its own: colours, coverage and shadow over a square of pixels."""

    colour: Array
    cover: Array
    lift: float


@dataclass(kw_only=True, slots=True)
class Canvas:
    """The picture as it grows.

    Attributes:
        picture: Colours, shape (SIDE, SIDE, 3), red first.
        owner: Number of the part seen at each pixel; -1 where none is.
        labels: Class number of each part.
        areas: Pixels of each part, hidden or not.
    """

    picture: Array
    owner: NDArray[np.int32]
    labels: list[int] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)


def draw_scene(
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], list[tuple[int, float, float, float, float]]]:
    """Draw a picture and its labels.

    Args:
        rng: The only source of chance.

    Returns:
        The picture, shape (SIDE, SIDE, 3), red first; and for each part its class number and the centre,
        width and height of the box around what is seen of it, as shares of the side.
    """
    lights = draw_lights(rng)
    canvas = Canvas(picture=draw_surface(rng), owner=np.full((SIDE, SIDE), -1, np.int32))
    size = float(np.exp(rng.uniform(np.log(12), np.log(27))))
    finishes = [str(rng.choice(list(FINISHES), p=FINISH_SHARES)) for _ in range(2)]
    wanted = 0 if rng.random() < 0.05 else int(np.clip(rng.gamma(2.2, 60 / size), 1, 14))
    unwanted = int(rng.integers(0, 4)) + (4 if wanted == 0 else 0)
    if rng.random() < 0.2:
        canvas.picture = lay_wire(rng, canvas.picture)
    kinds = ["part"] * wanted + ["clutter"] * unwanted
    rng.shuffle(kinds)
    places = _layout(rng)
    for kind in kinds:
        diameter = float(np.clip(size * np.exp(rng.normal(0, 0.2)), 9, 31))
        if kind == "part":
            part, finish = draw_part(rng, str(rng.choice(CLASSES)), diameter), str(rng.choice(finishes))
        else:
            part, finish = draw_object(rng, diameter)
        sprite = _render(
            rng, part, lights, draw_finish(rng, finish if rng.random() < 0.75 or kind != "part" else None)
        )
        _place(rng, canvas, part, sprite, lights, places)
    if rng.random() < 0.12:
        canvas.picture = lay_wire(rng, canvas.picture)
    return photograph(rng, canvas.picture), _boxes(canvas)


def _layout(rng: np.random.Generator) -> tuple[float, float, float]:
    """Centre and spread of the parts: over the whole picture, or heaped."""
    if rng.random() < 0.65:
        return SIDE / 2, SIDE / 2, -1.0
    return rng.uniform(0.3, 0.7) * SIDE, rng.uniform(0.3, 0.7) * SIDE, rng.uniform(35, 70)


def _render(rng: np.random.Generator, part: Part, lights: Lights, finish: Finish) -> Sprite:
    """Draw a part turned (and, if flat, tilted) by a random angle."""
    half = int(np.ceil(part.reach)) + 2
    steps = (np.arange(2 * half * SCALE, dtype=np.float32) + 0.5) / SCALE - half
    x, y = np.meshgrid(steps - rng.uniform(-0.5, 0.5), steps - rng.uniform(-0.5, 0.5))
    turn, squeeze, tilt = rng.uniform(0, 2 * np.pi), 1.0, rng.uniform(0, 2 * np.pi)
    if part.flat and rng.random() < 0.35:
        squeeze = rng.uniform(0.55, 0.95)
    across = (x * np.cos(tilt) + y * np.sin(tilt)) / squeeze
    along = y * np.cos(tilt) - x * np.sin(tilt)
    u = (across * np.cos(turn) + along * np.sin(turn)).astype(np.float32)
    v = (along * np.cos(turn) - across * np.sin(turn)).astype(np.float32)
    solid = part.shape(u, v)
    lean = np.sqrt(1 - squeeze * squeeze) * across * squeeze
    solid = Field(
        distance=solid.distance, height=(solid.height + lean).astype(np.float32), insert=solid.insert
    )
    cover = np.clip(0.5 - solid.distance * SCALE, 0, 1).astype(np.float32)
    colour = shade(rng, solid, lights, finish, SCALE) * cover[..., None]
    size = (2 * half, 2 * half)
    return Sprite(
        colour=cv2.resize(colour, size, interpolation=cv2.INTER_AREA),
        cover=cv2.resize(cover, size, interpolation=cv2.INTER_AREA),
        lift=part.lift,
    )


def _place(
    rng: np.random.Generator,
    canvas: Canvas,
    part: Part,
    sprite: Sprite,
    lights: Lights,
    layout: tuple[float, float, float],
) -> None:
    """Find a place where every part stays visible enough, and lay the part there; or leave it out."""
    half = sprite.cover.shape[0] // 2
    for _ in range(TRIES):
        if layout[2] < 0:
            middle = rng.uniform(-0.04 * SIDE, 1.04 * SIDE, 2)
        else:
            middle = rng.normal(layout[:2], layout[2])
        left, top = int(middle[0]) - half, int(middle[1]) - half
        cover = _on_canvas(sprite.cover, left, top)
        if _fits(canvas, cover, float(sprite.cover.sum())):
            _lay(canvas, sprite, lights, left, top)
            if part.name in CLASSES:
                canvas.owner[cover > 0.5] = len(canvas.labels)
                canvas.labels.append(CLASSES.index(part.name))
                canvas.areas.append(float(sprite.cover.sum()))
            else:
                canvas.owner[cover > 0.5] = -1
            return


def _fits(canvas: Canvas, cover: Array, area: float) -> bool:
    if cover.sum() < 0.6 * area:
        return False
    hidden = canvas.owner[cover > 0.5]
    return all(
        np.count_nonzero(canvas.owner == number) - np.count_nonzero(hidden == number)
        >= SEEN * canvas.areas[number]
        for number in np.unique(hidden[hidden >= 0])
    )


def _on_canvas(sprite: Array, left: int, top: int) -> Array:
    """Put a square (with or without colours) on an empty picture, cut at the edges."""
    whole = np.zeros((SIDE, SIDE, *sprite.shape[2:]), np.float32)
    rows, columns = sprite.shape[:2]
    y0, y1, x0, x1 = max(top, 0), min(top + rows, SIDE), max(left, 0), min(left + columns, SIDE)
    if y0 < y1 and x0 < x1:
        whole[y0:y1, x0:x1] = sprite[y0 - top : y1 - top, x0 - left : x1 - left]
    return whole


def _lay(canvas: Canvas, sprite: Sprite, lights: Lights, left: int, top: int) -> None:
    """Darken the ground with the shadow, then cover it with the part."""
    lamp = lights.lamps[0]
    throw = np.clip(-lamp[:2] / max(float(lamp[2]), 0.3) * sprite.lift * 0.55, -14, 14)
    blur = 0.7 + 0.12 * sprite.lift
    margin = int(np.ceil(np.abs(throw).max() + 3 * blur)) + 1
    wide = cv2.copyMakeBorder(sprite.cover, *[margin] * 4, cv2.BORDER_CONSTANT, value=0.0)
    soft = cv2.GaussianBlur(wide, (0, 0), blur)
    cast = cv2.warpAffine(soft, np.float32([[1, 0, throw[0]], [0, 1, throw[1]]]), wide.shape[1::-1])
    dark = np.maximum(cast * lights.shade, soft * 0.35)
    canvas.picture *= 1 - _on_canvas(dark, left - margin, top - margin)[..., None]
    canvas.picture *= 1 - _on_canvas(sprite.cover, left, top)[..., None]
    canvas.picture += _on_canvas(sprite.colour, left, top)


def _boxes(canvas: Canvas) -> list[tuple[int, float, float, float, float]]:
    boxes = []
    for number, label in enumerate(canvas.labels):
        rows, columns = np.nonzero(canvas.owner == number)
        if rows.size == 0:
            continue
        y0, y1, x0, x1 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        centre = ((x0 + x1) / 2 / SIDE, (y0 + y1) / 2 / SIDE)
        boxes.append((label, *map(float, centre), float(x1 - x0) / SIDE, float(y1 - y0) / SIDE))
    return boxes
