"""Run an ONNX file that holds a context binary, in the emulation of Qualcomm's HTP on this CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROVIDER = "QNNExecutionProvider"


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Load the context; nothing may run anywhere else than in the emulation."""
    import onnxruntime
    import onnxruntime_qnn

    onnxruntime.register_execution_provider_library(PROVIDER, onnxruntime_qnn.get_library_path())
    device = next(one for one in onnxruntime.get_ep_devices() if one.ep_name == PROVIDER)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    settings.add_provider_for_devices([device], {"backend_path": onnxruntime_qnn.get_qnn_htp_path()})
    session = onnxruntime.InferenceSession(artifact, settings)
    return Model(session, [output["name"] for output in info["outputs"]])


class Model:
    """A loaded context."""

    def __init__(self, session: Any, outputs: list[str]) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._outputs = outputs

    def __call__(self, images: Any) -> list[Any]:
        """Run one image."""
        import numpy as np

        return list(self._session.run(self._outputs, {self._input: np.ascontiguousarray(images)}))

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images."""
        return lambda: self(images)
