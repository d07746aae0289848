"""What can be measured of an image before a model sees it: a digest of its pixels, brightness, colour, size.

Statistics are of the decoded image, upright, without padding, and in the range of 0 to 1, so they mean the
same for every image size of the model.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from edgebuild.steps._letterbox import read_image
from edgebuild.steps._step import fail, progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgebuild.steps._dataset import Image

LEVELS = ("brightness", "contrast", "red", "green", "blue")
"""Statistics from 0 to 1."""

FINGERPRINT = 8
"""Side of the thumbnail whose colours tell nearly equal pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What was measured of one image.

    Attributes:
        file: Its path below the tree.
        pixels: SHA-256 of its size and decoded pixels; equal for one picture in two lossless formats.
        fingerprint: Colours of a thumbnail, 0 to 255: close ones belong to pictures that look the same.
        brightness: Mean luminance.
        contrast: Standard deviation of luminance.
        red: Mean of the red channel; ``green`` and ``blue`` likewise.
        width: In pixels; ``height`` likewise.
    """

    file: str
    pixels: str
    fingerprint: bytes
    brightness: float
    contrast: float
    red: float
    green: float
    blue: float
    width: int
    height: int


def measure_images(images: Sequence[Image], what: str) -> list[Facts]:
    """Read images and measure them, telling how far it is.

    Raises:
        StepFailure: One cannot be read, or its values are no pixels.
    """
    found = []
    for index, image in enumerate(images, start=1):
        found.append(measure_image(image.path, image.file))
        if index % 50 == 0 or index == len(images):
            progress(index, len(images), what)
    return found


def measure_image(path: Path, file: str) -> Facts:
    """Read an image and measure it.

    Raises:
        StepFailure: It cannot be read, or its values are no pixels.
    """
    import cv2
    import numpy as np

    pixels = read_image(path)
    refuse_odd_values(pixels, path)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{height} {width} {pixels.dtype}\0".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    blue, green, red = (channel / 255 for channel in cv2.mean(pixels)[:3])
    mean, deviation = (float(value[0, 0]) / 255 for value in cv2.meanStdDev(grey))
    small = cv2.resize(pixels, (FINGERPRINT, FINGERPRINT), interpolation=cv2.INTER_AREA)
    return Facts(
        file=file,
        pixels=digest.hexdigest(),
        fingerprint=small.tobytes(),
        brightness=mean,
        contrast=deviation,
        red=red,
        green=green,
        blue=blue,
        width=width,
        height=height,
    )


def refuse_odd_values(pixels: Any, path: Path) -> None:
    """Refuse what a reader of unusual formats may return: other than three channels of 8 bits.

    Ultralytics divides whatever it reads by 255, so 16-bit or float pixels reach the model far outside of the
    range of 0 to 1, or not as numbers at all, and quantization would fit its ranges to that.

    Raises:
        StepFailure: The values are not 8-bit, or not of three channels.
    """
    import numpy as np

    if pixels.dtype != np.uint8:
        odd = "" if np.isfinite(pixels).all() else ", some of which are NaN or infinite"
        fail(f"{path}: holds {pixels.dtype} values{odd}; the model is fed 8-bit pixels divided by 255",
             hint="convert it to 8 bits per channel")  # fmt: skip
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        fail(f"{path}: has {pixels.shape[2] if pixels.ndim == 3 else 1} channels, not 3",
             hint="convert it to RGB")  # fmt: skip


def summary(facts: Sequence[Facts]) -> dict[str, Any]:
    """Return mean and range of every statistic, for the selection document; rounded to what is meant."""
    rows = [asdict(one) for one in facts]
    document: dict[str, Any] = {}
    for name in LEVELS:
        values = [row[name] for row in rows]
        document[name] = {
            "mean": _round(fmean(values)),
            "min": _round(min(values)),
            "max": _round(max(values)),
        }
    for name in ("width", "height"):
        values = sorted(row[name] for row in rows)
        document[name] = {"median": values[len(values) // 2], "min": values[0], "max": values[-1]}
    return document


def _round(value: float) -> float:
    return round(value, 4)


def nearly_equal(one: Facts, other: Facts, *, levels: float) -> bool:
    """Whether two thumbnails differ by at most so many levels (of 255) on average, at one aspect ratio."""
    if abs(one.width * other.height - other.width * one.height) > 0.02 * one.width * other.height:
        return False
    total = sum(abs(a - b) for a, b in zip(one.fingerprint, other.fingerprint, strict=True))
    return total <= levels * len(one.fingerprint)


def by_pixels(facts: Sequence[Facts]) -> Mapping[str, list[str]]:
    """Return the files of each picture, by the digest of its pixels."""
    found: dict[str, list[str]] = {}
    for one in facts:
        found.setdefault(one.pixels, []).append(one.file)
    return found
