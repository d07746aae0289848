"""Convert or quantize an ONNX model with OpenVINO and NNCF, as their documentation says.

python peers/quantize_nncf.py MODE --model model.onnx --tensors calibration.npy --output FOLDER

Modes: ``f32`` and ``bf16`` (converted only), ``default``, ``mixed`` (the mixed preset), and ``accuracy``
(accuracy control with a drop of 0.01 of mAP50-95, which needs the arguments after ``--validate``).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DROP = 0.01


def main() -> None:
    """Read the arguments and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("f32", "bf16", "default", "mixed", "accuracy"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--tensors", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--validate", nargs=3, metavar=("INFO", "DATASET", "TREE"))
    given = parser.parse_args()
    sys.path.append(os.environ["OPENVINO_SITE"])
    import openvino as ov

    given.output.mkdir(parents=True, exist_ok=True)
    model = ov.convert_model(given.model)
    if given.mode in {"f32", "bf16"}:
        (given.output / "precision.txt").write_text(given.mode)
    else:
        model = quantize(model, given)
    ov.save_model(model, str(given.output / "model.xml"), compress_to_fp16=False)


def quantize(model: Any, given: argparse.Namespace) -> Any:
    """Return the quantized model."""
    import nncf
    import numpy as np

    tensors = np.load(given.tensors, mmap_mode="r")
    images = nncf.Dataset([np.ascontiguousarray(tensors[index : index + 1]) for index in range(len(tensors))])
    count = len(tensors)
    if given.mode == "default":
        return nncf.quantize(model, images, subset_size=count)
    if given.mode == "mixed":
        return nncf.quantize(model, images, preset=nncf.QuantizationPreset.MIXED, subset_size=count)
    return nncf.quantize_with_accuracy_control(
        model,
        images,
        nncf.Dataset([0]),
        validation_fn(*given.validate),
        max_drop=MAX_DROP,
        drop_type=nncf.DropType.ABSOLUTE,
        subset_size=count,
    )


def validation_fn(info: str, dataset: str, tree: str) -> Callable[[Any, Any], tuple[float, None]]:
    """Return NNCF's validation function: mAP50-95 by edgebuild's protocol."""
    from edgebuild.steps._dataset import read_dataset
    from edgebuild.steps._protocol import Protocol, validate
    from edgebuild.steps._runtime import Artifact
    from edgebuild.steps._step import read_json

    about = read_json(info)
    data = read_dataset(dataset)
    height, width = about["imgsz"]
    protocol = Protocol(
        task=about["task"], imgsz=(height, width), confidence=0.001, iou=0.7, max_detections=300, batch=1
    )

    def score(compiled: Any, items: Any) -> tuple[float, None]:
        del items
        artifact = Artifact(infer=lambda images: list(compiled(images).values()), batch=1, outputs=())
        scores = validate(artifact, protocol, data, tree, end2end=bool(about.get("end2end")))
        value = next(row["value"] for row in scores.metrics if row["name"] == "map50_95")
        print(f"accuracy control: mAP50-95 {value:.4f}", flush=True)
        return float(value), None

    return score


if __name__ == "__main__":
    main()
