#!/usr/bin/env python3
"""Train the quickstart's model from scratch, and write weights that name no machine.

    python train.py --work /tmp/fasteners --count 6000 --epochs 30 --device cpu

Draws the full training split and a split for choosing the best epoch (``tune``); neither shares a
picture with the committed ``val`` split, which only measures the result. Needs ``edgebuild[yolo]``.
Models trained with Ultralytics are AGPL-3.0.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasteners import CLASSES, SIDE
from make_data import write_split

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
SEED = 7
TUNE_IMAGES = 200

SETTINGS: dict[str, Any] = {
    "imgsz": SIDE,
    "seed": 0,
    "optimizer": "AdamW",
    "lrf": 0.02,
    "cos_lr": True,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "warmup_epochs": 1.0,
    "warmup_bias_lr": 0.0,
    "flipud": 0.5,
    "fliplr": 0.5,
    "degrees": 0.0,
    "scale": 0.2,
    "translate": 0.05,
    "mosaic": 0.0,
    "erasing": 0.0,
    "deterministic": True,
}
"""Everything drawn is new, so the usual heavy augmentation only costs epochs: flips and small shifts stay."""


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the data where it is missing, train, measure on the committed split and write the weights."""
    options = _options(argv)
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    began = time.monotonic()
    data = draw_data(options.work / "data", options.count, options.draw_workers)
    drawn = time.monotonic()
    best, rows = train(options, data)
    trained = time.monotonic()
    options.weights.mkdir(parents=True, exist_ok=True)
    target = options.weights / f"fasteners-{options.model}.pt"
    anonymise(best, target)
    record = {
        "model": f"{options.model}.yaml",
        "start": Path(options.start).name if options.start else "random weights",
        "images": {"train": options.count, "tune": TUNE_IMAGES, "seed": SEED},
        "settings": {**SETTINGS, "epochs": len(rows), "batch": options.batch, "mosaic": options.mosaic},
        "versions": versions(),
        "hardware": hardware(options.device, options.threads),
        "minutes": {"drawing": round((drawn - began) / 60, 1), "training": round((trained - drawn) / 60, 1)},
        "epochs": rows,
        "val": measure(target, options.work / "val"),
    }
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    name = "training.json" if options.model == "yolo11n" else f"training-{options.model}.json"
    (options.weights / name).write_text(text, encoding="utf-8")
    print(json.dumps(record["val"], indent=2))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the quickstart's model.")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the drawn data and the training run"
    )
    parser.add_argument(
        "--weights", type=Path, default=HERE / "weights", help="folder for the finished weights"
    )
    parser.add_argument("--model", default="yolo11n", help="architecture: yolo11n, yolov8n, yolo26n, ...")
    parser.add_argument("--start", default="", help="weights to continue from instead of random ones")
    parser.add_argument("--count", type=int, default=6000, help="training pictures to draw")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument(
        "--mosaic", type=float, default=SETTINGS["mosaic"], help="share of four-in-one pictures"
    )
    parser.add_argument("--minutes", type=float, default=0.0, help="train this long instead of --epochs")
    parser.add_argument("--learning-rate", type=float, default=0.0015)
    parser.add_argument("--device", default="cpu", help="cpu, or the number of a GPU")
    parser.add_argument("--workers", type=int, default=2, help="processes that load pictures")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads that train")
    parser.add_argument("--draw-workers", type=int, default=os.cpu_count() or 1, help="processes that draw")
    options = parser.parse_args(argv)
    options.work = options.work.resolve()
    return options


def draw_data(folder: Path, count: int, workers: int) -> Path:
    """Draw the splits ``train`` and ``tune`` unless they are there; return the dataset's YAML file."""
    for split, wanted in (("train", count), ("tune", TUNE_IMAGES)):
        there = len(list((folder / "labels" / split).glob("*.txt")))
        if there != wanted:
            print(f"drawing {wanted} pictures of {split} ...", flush=True)
            write_split(folder, split, wanted, SEED, workers)
    names = json.dumps(dict(enumerate(CLASSES)))
    path = folder / "full.yaml"
    path.write_text(f"train: images/train\nval: images/tune\nnames: {names}\n", encoding="utf-8")
    return path


def train(options: argparse.Namespace, data: Path) -> tuple[Path, list[dict[str, float]]]:
    """Train; return the best epoch's weights and a row of figures for each epoch."""
    from ultralytics import YOLO

    model = YOLO(options.start or f"{options.model}.yaml")
    if options.device == "cpu":
        model.add_callback("on_train_start", partial(_hasten, threads=options.threads))
    model.train(
        **{**SETTINGS, "mosaic": options.mosaic},
        data=str(data),
        epochs=options.epochs,
        time=options.minutes / 60 or None,
        batch=options.batch,
        lr0=options.learning_rate,
        nbs=options.batch,  # a step per batch: gathering 64 images for one would starve a short training
        device=options.device,
        workers=options.workers,
        cache="ram",
        amp=False,
        plots=False,
        patience=0,
        project=str(options.work),
        name=f"run-{options.model}",
        exist_ok=True,
    )
    run = Path(model.trainer.save_dir)
    with (run / "results.csv").open(encoding="utf-8", newline="") as table:
        rows = [
            _row({key.strip(): float(value) for key, value in line.items()}) for line in csv.DictReader(table)
        ]
    return run / "weights" / "best.pt", rows


def _hasten(trainer: Any, *, threads: int) -> None:
    """Convolve in bfloat16 with channels last: on a CPU that can, twice as fast; weights stay float32."""
    import torch

    torch.set_num_threads(threads)  # Ultralytics leaves one core idle
    network = trainer.model.to(memory_format=torch.channels_last)
    forward = network.forward

    def in_bfloat16(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return forward(*args, **kwargs)

    network.forward = in_bfloat16


def _row(line: dict[str, float]) -> dict[str, float]:
    losses = sum(value for key, value in line.items() if key.startswith("train/"))
    return {
        "epoch": int(line["epoch"]),
        "loss": round(losses, 4),
        "tune_map50": round(line["metrics/mAP50(B)"], 4),
        "tune_map50_95": round(line["metrics/mAP50-95(B)"], 4),
    }


def anonymise(source: Path, target: Path) -> None:
    """Copy weights without the paths, dates and histories that name the machine they were trained on."""
    import torch

    checkpoint = torch.load(source, map_location="cpu", weights_only=False)
    model = checkpoint["model"]
    kept = {key: value for key, value in SETTINGS.items() if key in checkpoint["train_args"]}
    arguments = {
        **kept,
        "task": "detect",
        "data": "fasteners.yaml",
        "batch": checkpoint["train_args"]["batch"],
    }
    model.args = dict(arguments)
    model.yaml = {key: value for key, value in model.yaml.items() if key != "yaml_file"} | {
        "yaml_file": Path(str(model.yaml.get("yaml_file", ""))).name
    }
    model.pt_path = None
    slim = {key: checkpoint[key] for key in ("version", "license", "docs")}
    torch.save({**slim, "epoch": -1, "date": "", "model": model, "train_args": arguments}, target)


def measure(weights: Path, folder: Path) -> dict[str, Any]:
    """Validate on the committed split, on the CPU."""
    from ultralytics import YOLO

    found = YOLO(str(weights)).val(
        data=str(HERE / "data" / "fasteners.yaml"),
        imgsz=SIDE,
        batch=1,
        device="cpu",
        plots=False,
        workers=0,
        verbose=False,
        project=str(folder),
        exist_ok=True,
    )
    box = found.box
    classes = {
        CLASSES[int(number)]: {
            "map50_95": round(float(box.maps[int(number)]), 4),
            "map50": round(float(box.ap50[place]), 4),
        }
        for place, number in enumerate(box.ap_class_index)
    }
    return {
        "images": len(list((HERE / "data" / "images" / "val").glob("*.jpg"))),
        "map50_95": round(float(box.map), 4),
        "map50": round(float(box.map50), 4),
        "precision": round(float(box.mp), 4),
        "recall": round(float(box.mr), 4),
        "classes": classes,
    }


def versions() -> dict[str, str]:
    """Versions of what decides the weights."""
    import cv2
    import numpy as np
    import torch
    import ultralytics

    return {
        "python": platform.python_version(),
        "ultralytics": ultralytics.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def hardware(device: str, threads: int) -> str:
    """Name the device that trained."""
    import torch

    if device == "cpu":
        return f"CPU, {threads} threads ({platform.machine()})"
    return str(torch.cuda.get_device_name(int(device.split(",", maxsplit=1)[0])))


if __name__ == "__main__":
    sys.exit(main())
