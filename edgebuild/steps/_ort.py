"""ONNX Runtime on the CPU: the default way to run an artifact, and the model of a ``runtime.py``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import fail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

INPUT_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}
"""Input types this module feeds; anything else needs a ``runtime.py`` of its own."""


def disable_telemetry() -> None:
    """Keep ONNX Runtime from writing to the home folder and from calling home; call it before its import.

    From 1.29 on its Linux packages store a device identifier and send model names and hashes to their vendor,
    unless this variable is set (microsoft/onnxruntime#27379).
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off."""
    disable_telemetry()
    import onnxruntime

    return onnxruntime


def load(artifact: str, info: Mapping[str, Any], threads: int) -> OrtModel:
    """Open an ONNX file.

    Args:
        artifact: Path of the ONNX file.
        info: The model's description; unused, because the file itself says everything.
        threads: Threads inside one operator.

    Raises:
        StepFailure: ONNX Runtime refuses the file, or its input is not one float tensor.
    """
    del info
    onnxruntime = import_onnxruntime()
    try:
        session = onnxruntime.InferenceSession(
            artifact, session_options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001 - its exception classes live in a private module
        fail(f"{artifact}: ONNX Runtime cannot open it: {first_line(error)}",
             hint="the file may be cut short, or use operators this version does not have")  # fmt: skip
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in INPUT_TYPES:
        found = ", ".join(f"{one.name}: {one.type}" for one in inputs)
        fail(f"{artifact}: wants {found}; one float image tensor is supported",
             hint="give the toolchain a runtime.py that feeds it")  # fmt: skip
    return OrtModel(session)


def session_options(threads: int) -> Any:
    """Return the options that production uses: operators in sequence, a fixed number of threads, no spinning.

    Spinning threads wait busily between operators: on a machine that does anything else they slow each other
    down and make INT8 look slower than float.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if threads > 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class OrtModel:
    """An open session; call it with images, or bind it to one input for timing."""

    def __init__(self, session: Any) -> None:
        self._session = session
        first = session.get_inputs()[0]
        self._input = first.name
        self._dtype = INPUT_TYPES[first.type]

    def __call__(self, images: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Run a batch.

        Args:
            images: (batch, channels, height, width), 0 to 1.

        Returns:
            Every output in the order of the graph; half precision comes back as float32.
        """
        outputs = self._session.run(None, {self._input: images.astype(self._dtype, copy=False)})
        return [output.astype("float32") if output.dtype == "float16" else output for output in outputs]

    def bind(self, images: npt.NDArray[np.float32]) -> Callable[[], None]:
        """Return a call that runs this input into outputs allocated once, as a device program would.

        Args:
            images: (batch, channels, height, width), 0 to 1.
        """
        onnxruntime = import_onnxruntime()
        fed = images.astype(self._dtype, copy=False)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, onnxruntime.OrtValue.ortvalue_from_numpy(fed))
        # Shapes of a dynamic graph are known only after a run, so one run finds out what to allocate.
        for output, value in zip(
            self._session.get_outputs(), self._session.run(None, {self._input: fed}), strict=True
        ):
            binding.bind_ortvalue_output(output.name, onnxruntime.OrtValue.ortvalue_from_numpy(value))
        return lambda: self._session.run_with_iobinding(binding)


def first_line(error: BaseException) -> str:
    """Return what an exception says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
