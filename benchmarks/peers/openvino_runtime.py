"""Run an OpenVINO model where edgebuild's evaluate step runs artifacts: a folder with an .xml and its .bin.

``precision.txt`` beside them, if there is one, is the precision that float operators compute in (f32 or
bf16); without it OpenVINO chooses for the processor. ``OPENVINO_SITE`` names the site-packages that have
OpenVINO.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Compile the model for this processor."""
    del info
    sys.path.append(os.environ["OPENVINO_SITE"])
    import openvino as ov

    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    precision = Path(artifact) / "precision.txt"
    if precision.exists():
        settings["INFERENCE_PRECISION_HINT"] = precision.read_text().strip()
    file = next(Path(artifact).glob("*.xml"))
    return Model(ov, ov.Core().compile_model(str(file), "CPU", settings))


class Model:
    """A compiled model."""

    def __init__(self, ov: Any, compiled: Any) -> None:
        self._ov = ov
        self._request = compiled.create_infer_request()
        self._count = len(compiled.outputs)

    def __call__(self, images: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Run a batch and return copies of its outputs."""
        self._request.infer([images])
        return [self._request.get_output_tensor(index).data.copy() for index in range(self._count)]

    def bind(self, images: npt.NDArray[np.float32]) -> Callable[[], object]:
        """Return a call that runs these images again and again, without a copy."""
        self._request.set_input_tensor(self._ov.Tensor(images, shared_memory=True))
        return self._request.infer
