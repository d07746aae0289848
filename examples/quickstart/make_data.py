#!/usr/bin/env python3
"""Draw the quickstart's pictures and labels: fasteners on a bench, in YOLO's layout.

    python make_data.py --out full --split train --count 6000 --seed 7 --workers 8
    python make_data.py --out data --split val --count 300 --seed 7

Picture N of a split depends on the seed, the split's name and N alone, so a longer split begins with
the shorter one and no two splits share a picture. Needs numpy and OpenCV only.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from fasteners import CLASSES
from fasteners.scene import draw_scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

QUALITY = (55, 76)
"""JPEG qualities between which each picture's is chosen."""

LABEL = tuple[int, float, float, float, float]


def source(split: str, seed: int, number: int) -> np.random.Generator:
    """Return the source of chance of one picture."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(split.encode()), number]))


def picture(split: str, seed: int, number: int) -> tuple[NDArray[np.uint8], list[LABEL], int]:
    """Draw picture ``number`` of a split: colours (red first), labels, and its JPEG quality."""
    rng = source(split, seed, number)
    image, labels = draw_scene(rng)
    return image, labels, int(rng.integers(QUALITY[0], QUALITY[1] + 1))


def write_picture(number: int, *, out: Path, split: str, seed: int) -> int:
    """Write one picture and its labels; return how many parts it shows."""
    cv2.setNumThreads(1)
    image, labels, quality = picture(split, seed, number)
    name = f"{split}-{number:05d}"
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    if not cv2.imwrite(str(out / "images" / split / f"{name}.jpg"), image[..., ::-1], settings):
        sys.exit(f"error: cannot write {name}.jpg in {out}; is the disk full?")
    lines = [" ".join([str(label), *(f"{value:.6f}" for value in box)]) for label, *box in labels]
    text = "".join(line + "\n" for line in lines)
    (out / "labels" / split / f"{name}.txt").write_text(text, encoding="utf-8")
    return len(labels)


def write_description(out: Path) -> Path:
    """Write the dataset's YAML file, whose paths are relative to itself."""
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    path = out / "fasteners.yaml"
    path.write_text(f"train: images/train\nval: images/val\nnames:\n{names}", encoding="utf-8")
    return path


def write_split(out: Path, split: str, count: int, seed: int, workers: int = 1) -> int:
    """Write ``count`` pictures of a split; return how many parts they show."""
    for kind in ("images", "labels"):
        (out / kind / split).mkdir(parents=True, exist_ok=True)
    draw = partial(write_picture, out=out, split=split, seed=seed)
    if workers <= 1:
        return sum(map(draw, range(count)))
    with ProcessPoolExecutor(workers) as pool:
        return sum(pool.map(draw, range(count), chunksize=16))


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and write the pictures it asks for."""
    parser = argparse.ArgumentParser(description="Draw pictures of fasteners with YOLO labels.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write images/ and labels/ into")
    parser.add_argument("--split", required=True, help="name of the split: train, val, calib, ...")
    parser.add_argument("--count", type=int, required=True, help="how many pictures")
    parser.add_argument("--seed", type=int, default=7, help="the same seed draws the same pictures")
    parser.add_argument("--workers", type=int, default=1, help="processes to draw with")
    options = parser.parse_args(argv)
    began = time.monotonic()
    parts = write_split(options.out, options.split, options.count, options.seed, options.workers)
    if not (options.out / "fasteners.yaml").exists():
        write_description(options.out)
    seconds = time.monotonic() - began
    print(f"{options.split}: {options.count} pictures, {parts} parts, {seconds:.1f} s")


if __name__ == "__main__":
    main()
