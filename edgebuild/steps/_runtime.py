"""The seam between what edgebuild measures and whatever runs the artifact.

A toolchain whose artifact ONNX Runtime cannot run brings a Python file with one function::

    def load(artifact: str, info: dict, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]

The callable takes (batch, channels, height, width) float32 images from 0 to 1 and returns the outputs as the
float ONNX would give them that the recipe reads: with a cut head, its maps. It may have a method
``bind(images)`` that returns a call without arguments which runs those images with everything allocated
beforehand; the benchmark then times that call.

The file runs in the toolchain's own Python where the toolchain has one (:mod:`edgebuild.steps._foreign`).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps import _foreign, _ort
from edgebuild.steps._step import StepFailure, fail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """An artifact that can be run.

    Attributes:
        infer: What the runtime file's ``load`` returned.
        batch: The batch size it was built for; None when any will do.
        outputs: What the model's description promises of each output, ``name`` and ``shape``; empty when it
            does not say.
        head: How the model's head ends, as its description says it; empty: whole.
    """

    infer: Callable[[npt.NDArray[np.float32]], list[npt.NDArray[Any]]]
    batch: int | None
    outputs: Sequence[Mapping[str, Any]]
    head: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, images: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Run up to ``batch`` images and do what the model's head leaves to do.

        Args:
            images: (count, channels, height, width), 0 to 1.

        Returns:
            The outputs of the whole model, each with ``count`` rows.

        Raises:
            StepFailure: As for :meth:`raw`.
        """
        return self.decoded(self.raw(images))

    def decoded(self, outputs: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return what the whole model would give, from what the artifact gave."""
        from edgebuild.steps._decode import decode

        return decode(outputs, self.head) if self.head.get("kind", "full") != "full" else outputs

    def raw(self, images: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Run up to ``batch`` images; a short batch is filled with blank images and their results dropped.

        Args:
            images: (count, channels, height, width), 0 to 1.

        Returns:
            The outputs, each with ``count`` rows.

        Raises:
            StepFailure: The runtime raised, or its outputs are not what the model's description promises.
        """
        count = len(images)
        try:
            outputs = self.infer(_fill(images, self.batch or count))
        except StepFailure:
            raise
        except Exception as error:  # noqa: BLE001 - a vendor's runtime raises what it likes
            fail(f"the artifact cannot run an input of shape {images.shape}: {_ort.first_line(error)}",
                 hint="check that it was built for this image size and batch")  # fmt: skip
        problem = _outputs_problem(outputs, self.outputs, self.batch or count)
        if problem:
            fail(problem, hint="its runtime.py has to return what the float ONNX does: arrays in a list")
        return [output[:count] for output in outputs]

    def bind(self, images: npt.NDArray[np.float32]) -> Callable[[], object]:
        """Return a call that runs these images, as directly as the runtime allows."""
        bind = getattr(self.infer, "bind", None)
        return bind(images) if bind else lambda: self.infer(images)

    @property
    def foreign(self) -> _foreign.Foreign | None:
        """The runtime when it runs in another Python: it measures itself there."""
        return self.infer if isinstance(self.infer, _foreign.Foreign) else None


def open_artifact(artifact: str, info: Mapping[str, Any], *, threads: int, runtime: str | None) -> Artifact:
    """Load an artifact with ONNX Runtime, or with a toolchain's own runtime file.

    Args:
        artifact: Path of the artifact.
        info: The model's description (model.json).
        threads: Threads it may use.
        runtime: Path of a runtime file, or None.

    Raises:
        StepFailure: The artifact or the runtime file cannot be loaded.
    """
    if not Path(artifact).exists():
        fail(f"{artifact}: no such artifact", hint="the step that builds it left nothing there")
    _ort.disable_telemetry()  # a toolchain's own runtime file may import ONNX Runtime too
    where = _foreign.place() if runtime else None
    if runtime and where:
        _need_file(runtime)
        foreign = _foreign.Foreign(where, runtime, artifact, info, threads)
        return _artifact(foreign, info)
    load = _load_function(runtime) if runtime else _ort.load
    try:
        infer = load(artifact, dict(info), threads)
    except (StepFailure, ModuleNotFoundError):
        raise
    except Exception as error:  # noqa: BLE001 - a vendor's runtime raises what it likes
        fail(f"{artifact}: {runtime} cannot load it: {_ort.first_line(error)}",
             hint="run the artifact with the vendor's own tool to see more")  # fmt: skip
    return _artifact(infer, info)


def _artifact(infer: Callable[..., Any], info: Mapping[str, Any]) -> Artifact:
    outputs, head = info.get("outputs", ()), info.get("head", {})
    return Artifact(infer=infer, batch=fixed_batch(info), outputs=outputs, head=head)


def fixed_batch(info: Mapping[str, Any]) -> int | None:
    """Return the batch size a model was built for, or None when any will do."""
    if info.get("dynamic"):
        return None
    shape = info.get("input", {}).get("shape") or [info.get("batch", 1)]
    return int(shape[0]) if isinstance(shape[0], int) and shape[0] > 0 else None


def _outputs_problem(outputs: Any, promised: Sequence[Mapping[str, Any]], batch: int) -> str:
    """Return in what outputs are not as the model's description promises, or nothing.

    A wrong layout would be decoded to something, and NaN to no detections: neither must look like a result.
    """
    import numpy as np

    if not isinstance(outputs, list | tuple) or not all(isinstance(one, np.ndarray) for one in outputs):
        return f"the artifact gave {type(outputs).__name__}, not a list of arrays"
    if promised and len(outputs) != len(promised):
        return f"the artifact gave {len(outputs)} outputs, the float model has {len(promised)}"
    for index, (output, row) in enumerate(zip(outputs, promised, strict=False)):
        shape = tuple(batch if axis == 0 else size for axis, size in enumerate(row.get("shape", ())))
        fixed = [size if isinstance(size, int) and size > 0 else None for size in shape]
        if fixed and not _fits(output.shape, fixed):
            return f"output {index} ({row.get('name', '?')}) has the shape {output.shape}, not {shape}"
    bad = next((index for index, output in enumerate(outputs) if np.isnan(output).any()), None)
    return "" if bad is None else f"output {bad} of the artifact holds values that are no numbers (NaN)"


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        want in {None, size} for size, want in zip(shape, wanted, strict=True)
    )


def _load_function(path: str) -> Callable[[str, dict[str, Any], int], Any]:
    _need_file(path)
    spec = importlib.util.spec_from_file_location("edgebuild_runtime", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file always has both
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - importing a file runs it, and it may raise anything
        fail(f"{path}: cannot be imported: {_ort.first_line(error)}", hint="mend the runtime file")
    load = getattr(module, "load", None)
    if not callable(load):
        fail(f"{path}: defines no load()", hint="it needs load(artifact, info, threads)")
    return load


def _need_file(path: str) -> None:
    if not path.endswith(".py") or not Path(path).is_file():
        fail(f"{path}: not a Python file", hint="name a runtime.py that defines load()")


def _fill(images: npt.NDArray[np.float32], batch: int) -> npt.NDArray[np.float32]:
    import numpy as np

    missing = batch - len(images)
    if missing <= 0:
        return images
    return np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
