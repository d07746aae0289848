"""Quantize an ONNX model with Olive's static quantization, its other settings left as they are.

<python with olive-ai> peers/quantize_olive.py --model model.onnx --tensors calibration.npy --output FOLDER
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

SYSTEM = {
    "type": "LocalSystem",
    "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
}


def main() -> None:
    """Read the arguments, write a workflow, run it, and take the model it left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tensors", required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    folder = given.output.absolute()
    tensors = np.load(given.tensors, mmap_mode="r")
    raw = folder / "raw" / "images"
    raw.mkdir(parents=True, exist_ok=True)
    for index, tensor in enumerate(tensors):
        (raw / f"{index}.bin").write_bytes(np.ascontiguousarray(tensor).tobytes())
    data = {
        "name": "calibration",
        "type": "RawDataContainer",
        "load_dataset_config": {
            "data_dir": str(raw.parent),
            "input_names": ["images"],
            "input_shapes": [[1, *tensors.shape[1:]]],
        },
    }
    config = {
        "input_model": {"type": "ONNXModel", "model_path": str(Path(given.model).absolute())},
        "data_configs": [data],
        "passes": {"quantize": {"type": "OnnxStaticQuantization", "data_config": "calibration"}},
        "systems": {"host": SYSTEM},
        "target": "host",
        "host": "host",
        "cache_dir": str(folder / "cache"),
        "output_dir": str(folder / "out"),
        "no_artifacts": True,
    }
    (folder / "olive.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "olive", "run", "--config", str(folder / "olive.json")]
    subprocess.run(command, cwd=folder, check=True)
    made = max((folder / "out").rglob("*.onnx"), key=lambda path: path.stat().st_mtime)
    shutil.copyfile(made, folder / "model.onnx")
    shutil.rmtree(raw.parent)


if __name__ == "__main__":
    main()
