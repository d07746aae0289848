"""Write an Olive workflow: one small ONNX model, one static quantization.

<python with olive-ai> benchmarks/peers/olive_workspace.py FOLDER; olive run --config olive.json
"""

from __future__ import annotations

import json
import math
import sys
from array import array
from pathlib import Path

import onnx
from onnx import TensorProto, helper

SHAPE = [1, 3, 32, 32]

CONFIG = {
    "input_model": {"type": "ONNXModel", "model_path": "model.onnx"},
    "data_configs": [
        {
            "name": "calibration",
            "type": "RawDataContainer",
            "load_dataset_config": {
                "data_dir": "raw",
                "input_names": ["images"],
                "input_shapes": [SHAPE],
            },
        }
    ],
    "passes": {"quantize": {"type": "OnnxStaticQuantization", "data_config": "calibration"}},
    "systems": {
        "host": {
            "type": "LocalSystem",
            "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
        }
    },
    "target": "host",
    "host": "host",
    "cache_dir": "cache",
    "output_dir": "out",
    "no_artifacts": True,
}


def main() -> None:
    """Write the model and the configuration."""
    folder = Path(sys.argv[1])
    images = folder / "raw" / "images"
    images.mkdir(parents=True, exist_ok=True)
    for index in range(4):
        (images / f"{index}.bin").write_bytes(array("f", [index / 4] * math.prod(SHAPE)).tobytes())
    weight = helper.make_tensor("w", TensorProto.FLOAT, [8, 3, 3, 3], [0.01 * n for n in range(216)])
    node = helper.make_node("Conv", ["images", "w"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node],
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 32, 32])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    (folder / "olive.json").write_text(json.dumps(CONFIG, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
