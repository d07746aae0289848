"""Run what an .rknn file was compiled from in the toolkit's simulator, on this machine's CPU.

The simulator takes no .rknn file. So the artifact is the folder that the compile step left for it: of an INT8
model the quantized graph with its ranges, of an FP16 model the ONNX; and the settings of the compilation.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

os.environ["TQDM_DISABLE"] = "1"  # hundreds of progress bars in the log


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Compile the model anew, for the simulator; the toolkit itself says how many threads it takes."""
    del info, threads
    from rknn.api import RKNN

    folder = Path(artifact).resolve()
    rknn = RKNN(verbose=False)
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    _need("config", rknn.config(**settings))
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # it leaves files where it works
        try:
            if (folder / "model.onnx").exists():
                _need("load_onnx", rknn.load_onnx(model=str(folder / "model.onnx")))
                _need("build", rknn.build(do_quantization=False))
            else:
                parts = (str(folder / f"model.{kind}") for kind in ("model", "data", "quantization.cfg"))
                _need("hybrid_quantization_step2", rknn.hybrid_quantization_step2(*parts))
            _need("init_runtime", rknn.init_runtime())
        finally:
            os.chdir(before)
    print(f"simulating for {settings['target_platform']}", file=sys.stderr)
    return Model(rknn)


class Model:
    """A model in the simulator."""

    def __init__(self, rknn: Any) -> None:
        self._rknn = rknn

    def __call__(self, images: Any) -> list[Any]:
        """Run one image, given to the model as the device gives it: bytes, channels last."""
        import numpy as np

        pixels = np.rint(np.asarray(images) * 255).astype(np.uint8)
        found = self._rknn.inference([np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))], data_format="nhwc")
        if found is None:
            raise RuntimeError(f"the simulator takes no input of shape {images.shape}")
        return [np.array(output, dtype=np.float32) for output in found]

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images."""
        return lambda: self(images)


def _need(call: str, code: int) -> None:
    if code != 0:
        raise RuntimeError(f"the toolkit's {call} returned {code}")
