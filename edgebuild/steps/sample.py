"""Make a small model and a few images to try a toolchain with: ``python -m edgebuild.steps.sample``.

The model is an Ultralytics one with random weights from a fixed seed. It detects nothing; it has the
operators, shapes and value ranges that a compiler has to deal with.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import fail, run_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

NAMES = ("bolt", "nut")

LABELS = {
    "detect": "0 0.5 0.5 0.4 0.3\n1 0.3 0.6 0.2 0.2\n",
    "segment": "0 0.3 0.3 0.7 0.3 0.7 0.6 0.3 0.6\n1 0.2 0.5 0.4 0.5 0.3 0.7\n",
    "pose": "0 0.5 0.5 0.4 0.3" + " 0.5 0.5 2" * 17 + "\n",
    "obb": "0 0.3 0.3 0.7 0.35 0.65 0.6 0.28 0.55\n1 0.2 0.5 0.4 0.5 0.4 0.7 0.2 0.7\n",
}
"""What every image's label file says, by task."""

SPREAD = 1.5
"""Deviation of the model's last layers: scores from about 0.05 to 0.95."""

MOMENTUM = 0.03
"""Ultralytics' momentum of running statistics."""

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
    write_weights(folder / "weights.pt", options.task, names, sorted(folder.glob("data/images/val/*.png")))


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


def write_weights(path: Path, task: str, names: Sequence[str], images: Sequence[Path]) -> None:
    """Write a model with random weights whose outputs follow from what is in an image.

    Args:
        path: The ``.pt`` file.
        task: What it does.
        names: Its classes.
        images: What it is fitted to: PNG files of its input size.
    """
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
    awaken(model.model, tensor(images))
    model.ckpt = {}
    model.save(str(path))


def tensor(images: Sequence[Path]) -> torch.Tensor:
    """Return images as the model takes them: (images, 3, height, width), RGB from 0 to 1."""
    import cv2
    import numpy as np
    import torch

    pixels = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in images]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255


def awaken(model: torch.nn.Module, images: torch.Tensor) -> None:
    """Make every layer of a fresh model pass on what it sees.

    As they come, random weights let signals die away: all scores come out the same for every image, and an
    artifact that gets its input turned round or all black would agree with the model perfectly.
    """
    import torch

    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        # Small signals: where activations bend little, rounding does not grow from layer to layer.
        torch.nn.init.normal_(norm.bias, 0.0, 0.1)
        torch.nn.init.uniform_(norm.weight, 0.2, 0.4)
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all that is shown
    with torch.no_grad():
        model.train()
        for image in images:
            model(image[None])
        model.eval()
        for norm in norms:
            norm.momentum = MOMENTUM
        for layer in model.modules():
            # What ends the model has a bias and no normalisation: boxes, scores, masks, keypoints, angles.
            if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
                layer.register_forward_hook(_spread)
        model(images)
    for layer in model.modules():
        layer._forward_hooks.clear()  # noqa: SLF001 - a hook would be saved with the model


def _spread(layer: Any, _: Any, output: torch.Tensor) -> torch.Tensor:
    """Fit a layer so that each of its channels has mean 0 and deviation :data:`SPREAD`."""
    factor = SPREAD / output.std(dim=(0, 2, 3)).clamp(min=1e-6)
    layer.bias.copy_(factor * (layer.bias - output.mean(dim=(0, 2, 3))))
    layer.weight.mul_(factor[:, None, None, None])
    return output


if __name__ == "__main__":
    run_step(main)
