"""Export weights with Ultralytics' own INT8 quantization: ``onnx`` or ``openvino``.

python peers/quantize_ultralytics.py onnx --weights best.pt --data data.yaml --imgsz 320 320 --output FOLDER
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Read the arguments, export, and move the result into the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("form", choices=("onnx", "openvino"))
    parser.add_argument("--weights", required=True)
    parser.add_argument("--data", required=True, help="dataset YAML whose val split calibrates")
    parser.add_argument("--imgsz", type=int, nargs=2, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    if "OPENVINO_SITE" in os.environ:
        sys.path.append(os.environ["OPENVINO_SITE"])
    from ultralytics import YOLO

    given.output.mkdir(parents=True, exist_ok=True)
    copy = given.output / "weights.pt"
    shutil.copyfile(given.weights, copy)
    model = YOLO(str(copy))
    model.model.model[-1].end2end = False  # the same head for everybody: boxes before suppression
    height, width = given.imgsz
    size = height if height == width else [height, width]
    made = Path(
        model.export(format=given.form, quantize=8, data=given.data, imgsz=size, batch=1, device="cpu")
    )
    target = given.output / ("model.onnx" if given.form == "onnx" else "model")
    shutil.rmtree(target, ignore_errors=True)
    made.replace(target)
    copy.unlink()


if __name__ == "__main__":
    main()
