"""Call Ultralytics' exporter for Axelera on a copy of the weights, with calibration images that are here.

The exporter writes beside the weights, and downloads a dataset when it is told none: so the copy lies where
the output goes, and a data file names the images of the step.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Export, and leave ``model.axm`` and what describes it in the output folder."""
    parser = argparse.ArgumentParser()
    for name in ("weights", "dataset", "output", "task"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--imgsz", type=int, nargs=2, required=True)
    options = parser.parse_args()
    output = Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    weights = output.parent / "model.pt"
    shutil.copyfile(options.weights, weights)
    data = write_data(Path(options.dataset), output.parent)
    from ultralytics import YOLO

    made = YOLO(weights, task=options.task).export(format="axelera", imgsz=options.imgsz, data=str(data))
    weights.unlink()
    if not made or not Path(made).is_dir():
        sys.exit(f"the exporter left nothing: {made}")
    shutil.move(made, output)


def write_data(settings: Path, folder: Path) -> Path:
    """Write the data file that the exporter reads; its images are found from where this step runs."""
    document = json.loads(settings.read_text(encoding="utf-8"))
    images = str(Path(document["path"]).resolve())
    data = folder / "calibration.yaml"
    names = dict(enumerate(document["names"]))
    # JSON is YAML.
    data.write_text(json.dumps({"path": images, "train": ".", "val": ".", "names": names}), encoding="utf-8")
    return data


if __name__ == "__main__":
    main()
