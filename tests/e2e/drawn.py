"""Datasets of drawn shapes for every task: bars and discs on noise, with exact labels.

A bar lies at any angle; its keypoints are its two ends. Models learn them in seconds, so metrics are not 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("bar", "disc")
SIDE = 96


def write_drawn(root: Path, *, task: str, images: dict[str, int], seed: int = 0) -> Path:
    """Write a dataset below ``root``; return what a manifest names: its YAML, or the folder for ``classify``.

    Args:
        root: A new folder.
        task: detect, segment, pose, obb or classify.
        images: How many, by split.
        seed: Another seed draws others.
    """
    import cv2
    import numpy as np

    random = np.random.default_rng(seed)
    for split, count in images.items():
        for index in range(count):
            height, width = (SIDE, SIDE + 32) if index % 2 else (SIDE, SIDE)
            picture = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
            places = [(0.5, 0.5)] if task == "classify" else [(0.28, 0.3), (0.72, 0.68)]
            rows = [
                _draw(picture, (index + number) % 2, place, task, random)
                for number, place in enumerate(places)
            ]
            folder = root / split / NAMES[index % 2] if task == "classify" else root / "images" / split
            folder.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / f"{index:03}.png"), picture)
            if task != "classify":
                label = root / "labels" / split / f"{index:03}.txt"
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text("\n".join(rows) + "\n", encoding="utf-8")
    if task == "classify":
        return root
    lines = [*(f"{split}: images/{split}" for split in images), "names: [bar, disc]"]
    lines += ["kpt_shape: [2, 3]", "flip_idx: [1, 0]"] if task == "pose" else []
    (root / "drawn.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "drawn.yaml"


def _draw(picture: Any, kind: int, place: tuple[float, float], task: str, random: Any) -> str:
    """Draw one shape and return its label row."""
    import cv2
    import numpy as np

    height, width = picture.shape[:2]
    centre = np.array(place) * [width, height] + random.uniform(-5, 5, 2)
    angle = random.uniform(0, math.pi)
    along = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-along[1], along[0]])
    colour = tuple(int(value) for value in random.integers(150, 256, 3))
    half = random.uniform(14, 18)
    thin = half * (0.35 if kind == 0 else 1.0)
    if kind == 0:
        signs = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
        outline = np.array([centre + a * half * along + b * thin * across for a, b in signs])
    else:
        turns = np.linspace(0, 2 * math.pi, 16, endpoint=False)
        outline = centre + half * np.stack([np.cos(turns), np.sin(turns)], 1)
    cv2.fillPoly(picture, [np.rint(outline).astype(np.int32)], colour)
    scale = np.array([width, height])
    if task == "segment":
        values = (outline / scale).ravel()
    elif task == "obb":
        corners = outline if kind == 0 else centre + half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        values = (corners / scale).ravel()
    else:
        low, high = outline.min(0) / scale, outline.max(0) / scale
        values = np.concatenate([(low + high) / 2, high - low])
    ends = [(centre + sign * half * along) / scale for sign in (-1, 1)] if task == "pose" else []
    row = [*values.clip(0, 1), *(value for end in ends for value in (*end.clip(0, 1), 2))]
    return f"{kind} " + " ".join(f"{value:.5f}" for value in row)
