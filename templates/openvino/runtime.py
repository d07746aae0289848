"""Run an OpenVINO model, a folder with ``model.xml``, ``model.bin`` and ``settings.json``, on this CPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it sends statistics where it can be imported


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Compile the model, with its own settings, for the CPU of this machine."""
    del info
    import openvino as ov

    core = ov.Core()
    settings = json.loads((Path(artifact) / "settings.json").read_text(encoding="utf-8"))
    properties = dict(settings["properties"])
    # One image after the other, as validation and benchmark send them.
    properties |= {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    wanted = str(properties.get("INFERENCE_PRECISION_HINT", ""))
    can = [capability.lower() for capability in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")]
    if {"bf16": "bf16", "f16": "fp16"}.get(wanted, "") not in {"", *can}:
        print(f"precision: this CPU has no {wanted}; it computes in f32", file=sys.stderr)
    compiled = core.compile_model(str(Path(artifact) / "model.xml"), "CPU", properties)
    chosen = compiled.get_property("INFERENCE_PRECISION_HINT").type_name
    print(f"OpenVINO {ov.__version__}, CPU, float operators in {chosen}", file=sys.stderr)
    return Model(ov, compiled)


class Model:
    """A compiled model."""

    def __init__(self, ov: Any, compiled: Any) -> None:
        self._ov = ov
        self._request = compiled.create_infer_request()
        self._count = len(compiled.outputs)

    def __call__(self, images: Any) -> list[Any]:
        """Run a batch and return copies of its outputs: the request writes over its own."""
        self._request.infer([images])
        return [self._request.get_output_tensor(index).data.copy() for index in range(self._count)]

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images again and again, without a copy."""
        import numpy as np

        own = np.array(images, order="C")  # what arrives may be read-only, which OpenVINO does not share
        self._request.set_input_tensor(self._ov.Tensor(own, shared_memory=True))
        return self._request.infer  # type: ignore[no-any-return]
