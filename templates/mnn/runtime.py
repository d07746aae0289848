"""Run an MNN model on this CPU."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

sys.modules["MNN.tools.utils.log"] = None  # type: ignore[assignment]  # it sends statistics


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Load the model; float operators compute in FP32."""
    import MNN

    interpreter = MNN.Interpreter(artifact)
    session = interpreter.createSession({"backend": "CPU", "numThread": threads, "precision": "high"})
    return Model(MNN, interpreter, session, [output["name"] for output in info.get("outputs", ())])


class Model:
    """A loaded model."""

    def __init__(self, mnn: Any, interpreter: Any, session: Any, names: list[str]) -> None:
        self._mnn = mnn
        self._interpreter = interpreter
        self._session = session
        self._input = interpreter.getSessionInput(session)
        outputs = interpreter.getSessionOutputAll(session)
        self._outputs = [outputs[name] for name in names or sorted(outputs)]

    def __call__(self, images: Any) -> list[Any]:
        """Run a batch and return copies of its outputs."""
        self._input.copyFrom(self._host(images))
        return self._run()

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images."""
        tensor = self._host(images)

        def run() -> None:
            self._input.copyFrom(tensor)
            self._run()

        return run

    def _run(self) -> list[Any]:
        import numpy as np

        code = self._interpreter.runSession(self._session)
        if code:
            raise RuntimeError(f"MNN cannot run this input (code {code})")
        found = []
        for output in self._outputs:
            host = self._host(np.zeros(output.getShape(), np.float32))
            output.copyToHostTensor(host)
            found.append(np.array(host.getNumpyData(), copy=True))
        return found

    def _host(self, array: Any) -> Any:
        """Return a tensor of the caller's layout, NCHW; MNN's own may be another."""
        import numpy as np

        whole = np.array(array, dtype=np.float32, order="C")
        caffe, kind = self._mnn.Tensor_DimensionType_Caffe, self._mnn.Halide_Type_Float
        return self._mnn.Tensor(whole.shape, kind, whole, caffe)
