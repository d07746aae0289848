"""Call Ultralytics' exporter for Axelera on a copy of the weights, with calibration images that are here.

The exporter writes beside the weights, and downloads a dataset when it is told none: so the copy lies where
the output goes, and a data file names the images of the step. They have no labels: the exporter reads none,
but wants the data of a task to look like it, keypoints to be declared and images to lie in class folders.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> None:
    """Export, and leave ``model.axm`` and what describes it in the output folder."""
    parser = argparse.ArgumentParser()
    for name in ("weights", "info", "dataset", "output", "task"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--imgsz", type=int, nargs=2, required=True)
    options = parser.parse_args()
    output = Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    weights = output.parent / "model.pt"
    shutil.copyfile(options.weights, weights)
    # With another release of the devkit the exporter would install its own: it fails instead, and says which.
    os.environ |= {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
    from ultralytics import YOLO

    model = YOLO(weights, task=options.task)
    head = model.model.model[-1]
    if type(head).__name__ == "Segment26":
        sys.exit("Ultralytics cannot export instance segmentation of YOLO26 for Axelera: use `recipe: int8`")
    selects = getattr(head, "one2one_cv2", None) is not None
    if selects and not json.loads(Path(options.info).read_text(encoding="utf-8"))["end2end"]:
        sys.exit(
            "Ultralytics exports this model's end-to-end head for Axelera, and the other one is measured: "
            "set model.export.end2end: true"
        )
    data = write_data(Path(options.dataset), output.parent, options.task, getattr(head, "kpt_shape", None))
    made = model.export(format="axelera", imgsz=options.imgsz, data=str(data))
    weights.unlink()
    if not made or not Path(made).is_dir():
        sys.exit(f"the exporter left nothing: {made}")
    shutil.move(made, output)


def write_data(settings: Path, folder: Path, task: str, keypoints: Sequence[int] | None = None) -> Path:
    """Write what the exporter reads its images from, and return it.

    Args:
        settings: The rendered ``dataset.json``: the folder of the images, and a name for each class.
        folder: Where to write.
        task: Task of the model; for ``classify`` the result is a folder with one class, else a data file.
        keypoints: Number of keypoints and of values of each, for ``pose``.
    """
    document = json.loads(settings.read_text(encoding="utf-8"))
    # The exporter leaves a cache beside the folder of the images, which is no place of this step's: so links.
    root, images = folder / "calibration", sorted(Path(document["path"]).resolve().iterdir())
    for place in ("train/0", "val/0") if task == "classify" else ("images",):
        (root / place).mkdir(parents=True, exist_ok=True)
        for image in images:
            (root / place / image.name).symlink_to(image)
    if task == "classify":
        return root
    data = folder / "calibration.yaml"
    content = {"path": str(root.resolve()), "train": "images", "val": "images"}
    shape = {"kpt_shape": list(keypoints)} if keypoints else {}
    # JSON is YAML.
    names = dict(enumerate(document["names"]))
    data.write_text(json.dumps({**content, "names": names, **shape}), encoding="utf-8")
    return data


if __name__ == "__main__":
    main()
