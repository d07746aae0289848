"""Run a LiteRT model on this CPU, with images and feature maps channels first as the ONNX has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Load the model."""
    del info
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(artifact, num_threads=threads)
    interpreter.allocate_tensors()
    return Model(interpreter)


class Model:
    """A loaded model."""

    def __init__(self, interpreter: Any) -> None:
        self._run = interpreter
        (self._input,) = interpreter.get_input_details()
        # They are called after their place in the converted function, and listed as they come.
        self._outputs = sorted(interpreter.get_output_details(), key=lambda one: number(one["name"]))

    def __call__(self, images: Any) -> list[Any]:
        """Run a batch; feature maps, the outputs with four axes, are turned back to channels first."""
        import numpy as np

        self._set(images)
        self._run.invoke()
        found = []
        for detail in self._outputs:
            values = self._run.get_tensor(detail["index"])
            scale, zero = detail["quantization"]
            if scale:
                values = (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)
            turned = values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
            found.append(np.ascontiguousarray(turned, dtype=np.float32))
        return found

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images again and again, without a copy."""
        self._set(images)
        return self._run.invoke  # type: ignore[no-any-return]

    def _set(self, images: Any) -> None:
        import numpy as np

        values = np.ascontiguousarray(np.asarray(images).transpose(0, 2, 3, 1))
        scale, zero = self._input["quantization"]
        if scale:
            limits = np.iinfo(self._input["dtype"])
            values = np.clip(np.rint(values / np.float32(scale)) + zero, limits.min, limits.max)
        self._run.set_tensor(self._input["index"], values.astype(self._input["dtype"]))


def number(name: str) -> int:
    """Return which output a name such as ``serving_default_output_3_output`` means."""
    found = re.search(r"output_(\d+)", name)
    return int(found[1]) if found else 0
