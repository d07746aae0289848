"""Make a small model and a few images to try a toolchain with: ``python -m edgebuild.steps.sample``.

The model is an Ultralytics one with random weights from a fixed seed. It detects nothing; it has the
operators, shapes and value ranges that a compiler has to deal with.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.steps._step import fail, run_step

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("bolt", "nut")

LABELS = {
    "detect": "0 0.5 0.5 0.4 0.3\n1 0.3 0.6 0.2 0.2\n",
    "segment": "0 0.3 0.3 0.7 0.3 0.7 0.6 0.3 0.6\n1 0.2 0.5 0.4 0.5 0.3 0.7\n",
    "pose": "0 0.5 0.5 0.4 0.3" + " 0.5 0.5 2" * 17 + "\n",
    "obb": "0 0.3 0.3 0.7 0.35 0.65 0.6 0.28 0.55\n1 0.2 0.5 0.4 0.5 0.4 0.7 0.2 0.7\n",
}
"""What every image's label file says, by task."""

SUFFIXES = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb"}


def main(argv: Sequence[str]) -> None:
    """Write ``weights.pt`` and ``data/`` with ``data.yaml``."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.sample", description=__doc__)
    parser.add_argument("--folder", required=True, help="where to write")
    parser.add_argument("--task", default="detect")
    parser.add_argument("--imgsz", type=int, nargs=2, metavar=("H", "W"), required=True)
    parser.add_argument("--images", type=int, default=8, help="images for calibration")
    options = parser.parse_args(argv)
    if options.task not in LABELS:
        fail(f"there is no sample for task {options.task}", hint=f"known: {', '.join(LABELS)}")
    folder = Path(options.folder)
    names = NAMES[:1] if options.task == "pose" else NAMES
    write_images(folder / "data", options.task, (options.imgsz[0], options.imgsz[1]), options.images)
    lines = ["path: .", "train: images/train", "val: images/val", "names:"]
    lines += [f"  {index}: {name}" for index, name in enumerate(names)]
    lines += ["kpt_shape: [17, 3]"] if options.task == "pose" else []
    (folder / "data/data.yaml").write_text("\n".join([*lines, ""]), encoding="utf-8")
    write_weights(folder / "weights.pt", options.task, names)


def write_images(folder: Path, task: str, size: tuple[int, int], count: int) -> None:
    """Write images of coloured shapes on noise: ``count`` to calibrate with and four to run."""
    import cv2
    import numpy as np

    random = np.random.default_rng(0)
    height, width = size
    for split, number in (("train", count), ("val", 4)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for index in range(number):
            pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            for _ in range(4):
                x, y = (int(random.integers(0, side)) for side in (width, height))
                colour = tuple(int(value) for value in random.integers(0, 256, 3))
                cv2.circle(pixels, (x, y), int(random.integers(8, height // 3)), colour, -1)
            cv2.imwrite(str(folder / f"images/{split}/{index:03}.png"), pixels)
            (folder / f"labels/{split}/{index:03}.txt").write_text(LABELS[task], encoding="utf-8")


def write_weights(path: Path, task: str, names: Sequence[str]) -> None:
    """Write a model with random weights whose layers all do something."""
    import torch
    import yaml
    from ultralytics import YOLO
    from ultralytics.nn.tasks import yaml_model_load

    torch.manual_seed(0)
    base = f"yolo11n{SUFFIXES[task]}.yaml"
    settings = {key: value for key, value in yaml_model_load(base).items() if key != "yaml_file"}
    settings |= {"nc": len(names), "scale": "n"}
    file = path.with_name(base)
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    model = YOLO(str(file), task=task)
    model.model.names = dict(enumerate(names))
    for part in model.model.modules():
        # As they come, these pass everything on unchanged, and all scores come out the same.
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.bias, 0.0, 0.2)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    model.ckpt = {}
    model.save(str(path))


if __name__ == "__main__":
    run_step(main)
