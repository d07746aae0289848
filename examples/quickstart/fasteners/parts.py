"""Bolts, nuts, washers and screws: proportions near the metric standards, with the usual variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import CLASSES
from .fields import Field, Thread, bar_shape, bevel, bore, disc, lathe, lying_prism, plate, recess, union

if TYPE_CHECKING:
    from collections.abc import Callable

    from .fields import Array

    Shape = Callable[[Array, Array], Field]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part before it is placed.

    Attributes:
        name: Its class.
        reach: Radius in pixels around the origin that holds all of it.
        lift: Typical height in pixels, which decides how far its shadow falls.
        shape: The solid over (u, v) coordinates.
        flat: Whether it may be seen tilted (thin plates).
    """

    name: str
    reach: float
    lift: float
    shape: Shape
    flat: bool = False


def draw_part(rng: np.random.Generator, name: str, diameter: float) -> Part:
    """Choose a part of a class whose thread is about ``diameter`` pixels thick."""
    makers = dict(zip(CLASSES, (_bolt, _nut, _washer, _screw), strict=True))
    return makers[name](rng, diameter)


def _bolt(rng: np.random.Generator, d: float) -> Part:
    return _bolt_upright(rng, d) if rng.random() < 0.14 else _bolt_lying(rng, d)


def _bolt_lying(rng: np.random.Generator, d: float) -> Part:
    length = d * rng.uniform(2.6, 7.5)
    head = d * rng.uniform(0.6, 0.75)
    flat = d * rng.uniform(0.75, 0.88)
    roll = rng.uniform(0, np.pi / 3)
    cut = length * (1.0 if rng.random() < 0.4 else rng.uniform(0.35, 0.8))
    flange = rng.random() < 0.25
    pitch = max(d * rng.uniform(0.16, 0.24), 1.6)
    mid = (length + head) / 2

    def shape(u: Array, v: Array) -> Field:
        u = u + mid
        thread = Thread(start=head + length - cut, end=head + length, pitch=pitch, depth=0.11 * d)
        end = head + length
        shank = lathe(u, v, ((head * 0.5, d / 2), (end - 0.12 * d, d / 2), (end, 0.38 * d)), thread)
        whole = union(shank, lying_prism(u, v, (0, head), flat, roll))
        if flange:
            rim = lathe(u, v, ((head, 1.15 * d), (head + 0.12 * d, 1.12 * d), (head + 0.2 * d, 0.5 * d)))
            whole = union(whole, rim)
        return whole

    return Part(name="bolt", reach=mid + 1.2 * d, lift=d, shape=shape)


def _bolt_upright(rng: np.random.Generator, d: float) -> Part:
    flat = d * rng.uniform(0.75, 0.88)
    on_head = rng.random() < 0.5
    flange = rng.random() < 0.3
    marks = int(rng.integers(0, 7))

    def shape(u: Array, v: Array) -> Field:
        body = plate(u, v, flat, 6, 0.7 * d)
        if flange:
            body = union(disc(u, v, 1.25 * d, 0.15 * d), body)
        if on_head:
            return union(body, disc(u, v, d / 2, 2.2 * d))
        for k in range(marks if marks > 2 else 0):
            c, s = np.cos(k * 2 * np.pi / marks), np.sin(k * 2 * np.pi / marks)
            body = recess(
                body, bar_shape(u * c + v * s - 0.5 * d, v * c - u * s, 0.3 * d, 0.09 * d), 0.06 * d
            )
        return body

    return Part(name="bolt", reach=1.4 * d, lift=d, shape=shape)


def _nut(rng: np.random.Generator, d: float) -> Part:
    flat = d * rng.uniform(0.78, 0.92)
    if rng.random() < 0.18:
        return _nut_on_edge(rng, d, flat)
    sides = 4 if rng.random() < 0.1 else 6
    kind = rng.choice(["plain", "plain", "plain", "flange", "insert"])
    hole = d * rng.uniform(0.43, 0.5)

    def shape(u: Array, v: Array) -> Field:
        body = plate(u, v, flat, sides, 0.8 * d)
        around = np.hypot(u, v)
        if kind == "flange":
            body = union(disc(u, v, 1.3 * d, 0.12 * d, 0.1 * d), body)
        if kind == "insert":
            ring = np.clip(0.75 * d - around, 0, 1).astype(np.float32)
            body = union(body, disc(u, v, 0.78 * d, 1.05 * d))
            body = Field(distance=body.distance, height=body.height, insert=ring)
        return bore(body, u, v, hole * (0.9 if kind == "insert" else 1.0))

    return Part(name="nut", reach=1.5 * d, lift=0.8 * d, shape=shape, flat=True)


def _nut_on_edge(rng: np.random.Generator, d: float, flat: float) -> Part:
    thick = d * rng.uniform(0.75, 1.0)
    roll = 0.0 if rng.random() < 0.6 else np.pi / 6

    def shape(u: Array, v: Array) -> Field:
        return lying_prism(u, v, (-thick / 2, thick / 2), flat, roll)

    return Part(name="nut", reach=1.3 * d, lift=d, shape=shape)


def _washer(rng: np.random.Generator, d: float) -> Part:
    kind = rng.choice(["plain", "plain", "plain", "wide", "split", "toothed"])
    outer = d * (rng.uniform(1.3, 1.6) if kind == "wide" else rng.uniform(0.9, 1.15))
    inner = d * (rng.uniform(0.42, 0.5) if kind == "toothed" else rng.uniform(0.5, 0.58))
    teeth = int(rng.integers(8, 13))
    thick = 0.2 * d

    def shape(u: Array, v: Array) -> Field:
        around, angle = np.hypot(u, v), np.arctan2(v, u)
        edge = outer
        if kind == "toothed":
            edge = outer * (1 - 0.16 * (np.sin(teeth * angle) > 0.2))
        ring = np.maximum(around - edge, inner - around).astype(np.float32)
        height = np.full_like(ring, thick)
        if kind == "toothed":
            height = height + 0.12 * d * np.sin(teeth * angle) * (around > 0.75 * outer)
        if kind == "split":
            slit = np.where(u > 0, 0.09 * d - np.abs(v + 0.35 * (u - 0.8 * outer)), -1.0)
            ring = np.maximum(ring, slit).astype(np.float32)
            height = height + 0.1 * d * angle / np.pi
        return bevel(Field(distance=ring, height=height.astype(np.float32)), 1.0)

    return Part(name="washer", reach=outer + 2, lift=thick, shape=shape, flat=True)


def _screw(rng: np.random.Generator, d: float) -> Part:
    d *= 0.85
    return _screw_upright(rng, d) if rng.random() < 0.18 else _screw_lying(rng, d)


def _screw_lying(rng: np.random.Generator, d: float) -> Part:
    length = d * rng.uniform(2.8, 7.5)
    kind = rng.choice(["sunk", "sunk", "pan", "cylinder"])
    pointed = rng.random() < 0.65
    pitch = max(d * (rng.uniform(0.32, 0.48) if pointed else rng.uniform(0.17, 0.24)), 1.6)
    cut = length * (0.97 if rng.random() < 0.5 else rng.uniform(0.55, 0.8))
    big = d * rng.uniform(0.88, 1.05)
    heads = {
        "sunk": ((0, 0.92 * big), (0.1 * d, big), (0.75 * d, 0.5 * d)),
        "pan": ((0, 0.45 * big), (0.15 * d, 0.8 * big), (0.4 * d, big), (0.62 * d, big), (0.63 * d, d / 2)),
        "cylinder": ((0, 0.78 * big), (0.08 * d, 0.85 * big), (0.9 * d, 0.85 * big), (0.91 * d, d / 2)),
    }
    head = heads[str(kind)]
    tip = rng.uniform(0.9, 1.6) * d if pointed else 0.15 * d
    end = head[-1][0] + length
    mid = end / 2

    def shape(u: Array, v: Array) -> Field:
        thread = Thread(start=end - cut, end=end, pitch=pitch, depth=(0.2 if pointed else 0.11) * d)
        tail = ((end - tip, 0.48 * d), (end, 0.06 * d if pointed else 0.38 * d))
        return lathe(u + mid, v, (*head, *tail), thread)

    return Part(name="screw", reach=mid + 1.1 * d, lift=d, shape=shape)


def _screw_upright(rng: np.random.Generator, d: float) -> Part:
    drive = rng.choice(["cross", "cross", "slot", "socket", "lobes"])
    radius = d * rng.uniform(0.9, 1.1)
    dome = d * rng.uniform(0.05, 0.45)

    def shape(u: Array, v: Array) -> Field:
        body = disc(u, v, radius, 0.5 * d, dome)
        around, angle = np.hypot(u, v), np.arctan2(v, u)
        cuts = {
            "slot": bar_shape(u, v, 3 * radius, 0.24 * radius),
            "cross": np.minimum(
                bar_shape(u, v, 1.15 * radius, 0.24 * radius), bar_shape(v, u, 1.15 * radius, 0.24 * radius)
            ),
            "socket": plate(u, v, 0.45 * radius, 6, 1.0).distance,
            "lobes": around - radius * (0.44 + 0.09 * np.cos(6 * angle)),
        }
        return recess(body, cuts[str(drive)], 0.4 * d)

    return Part(name="screw", reach=radius + 2, lift=0.6 * d, shape=shape)
