"""Measure the range of every activation of a model: ``python -m edgebuild.steps.ranges``.

ONNX Runtime's calibrators run the model on the calibration tensors. They are fed in chunks, so that memory
does not grow with the number of images. For ``entropy`` and ``percentile`` the first chunk fixes the width of
the histogram's bins, therefore the size of a chunk depends on the model alone and never on the machine.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._onnx_file import input_of, load_onnx, shape_of
from edgebuild.steps._ort import disable_telemetry
from edgebuild.steps._step import fail, progress, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

METHODS = ("minmax", "entropy", "percentile")

SCHEMA = 1

_CHUNK_IMAGES = 16
"""Most images whose results are held at a time."""

_CHUNK_BYTES = 1 << 30
"""Most bytes of activations that are held at a time, where the method needs whole activations."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure and write the ranges."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.ranges", description=__doc__)
    parser.add_argument("--model", required=True, help="prepared ONNX model")
    parser.add_argument("--tensors", required=True, help="calibration tensors, .npy of shape (N, 3, H, W)")
    parser.add_argument("--method", choices=METHODS, default="minmax")
    parser.add_argument("--percentile", type=float, default=99.999, help="for --method percentile")
    parser.add_argument("--images", type=int, help="use the first N images instead of all")
    parser.add_argument("--output", required=True, help="where to write the ranges")
    arguments = parser.parse_args(argv)
    if not 50 < arguments.percentile <= 100:
        fail(f"--percentile is {arguments.percentile}", hint="it must be above 50 and at most 100")
    model = load_onnx(arguments.model)
    tensors = open_tensors(arguments.tensors, model, name=arguments.model, images=arguments.images)
    ranges = measure(
        arguments.model, model, tensors, method=arguments.method, percentile=arguments.percentile
    )
    document = {"schema": SCHEMA, "method": arguments.method, "images": len(tensors), "tensors": ranges}
    if arguments.method == "percentile":
        document["percentile"] = arguments.percentile
    write_json(arguments.output, document)


def open_tensors(path: str, model: Any, *, name: str, images: int | None) -> npt.NDArray[np.float32]:
    """Map the calibration tensors into memory and check that they fit the model.

    Args:
        path: An ``.npy`` file of shape (N, 3, H, W).
        model: The model they are for.
        name: What to call the model in errors.
        images: How many of them to use; all if None.

    Raises:
        StepFailure: The file is damaged, too short, or of another shape than the model's input.
    """
    import numpy as np

    try:
        tensors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        fail(f"{path}: not an array file ({error})", hint="run the calibrate step again")
    want = shape_of(input_of(model, name=name))
    fits = tensors.ndim == len(want) and tensors.dtype == np.float32
    if not fits or any(
        isinstance(w, int) and w != h for w, h in zip(want[1:], tensors.shape[1:], strict=True)
    ):
        fail(f"{path}: holds {tensors.dtype} {list(tensors.shape)}, the model's input is float32 {want}",
             hint="calibrate with the image size of the export")  # fmt: skip
    wanted = len(tensors) if images is None else images
    if not 0 < wanted <= len(tensors):
        fail(f"{path}: holds {len(tensors)} images, {wanted} were asked for",
             hint="calibrate with more images or ask for fewer")  # fmt: skip
    return tensors[:wanted]


def measure(
    path: str, model: Any, tensors: npt.NDArray[np.float32], *, method: str, percentile: float = 99.999
) -> dict[str, tuple[float, float]]:
    """Run the model on the tensors and return the lowest and highest value to represent, by tensor name.

    Args:
        path: The model's file.
        model: The same model, read.
        tensors: Array of shape (N, 3, H, W).
        method: One of ``METHODS``.
        percentile: Share of the values, in percent, that must lie inside the range; for ``percentile``.

    Raises:
        StepFailure: An activation is not a number or infinite on the calibration images.
    """
    disable_telemetry()
    import onnxruntime
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    onnxruntime.set_default_logger_severity(3)
    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    augmented = Path("ranges-augmented.onnx")
    # Each side is cut for itself; the alternative, absolute values, fails on constant activations.
    options = {"percentile": percentile, "symmetric": False} if method == "percentile" else {}
    calibrator = create_calibrator(
        Path(path), augmented_model_path=str(augmented), calibrate_method=methods[method],
        extra_options=options,
    )  # fmt: skip
    chunk = _CHUNK_IMAGES if method == "minmax" else images_per_chunk(calibrator.model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # about NaN, which is refused below
            for feeds in _chunks(model, tensors, chunk=chunk):
                calibrator.collect_data(feeds)
            data = calibrator.compute_data()
    except ValueError as error:
        fail(f"{path}: the ranges cannot be computed ({str(error).splitlines()[0]})",
             hint="the model may compute infinities or NaN; check the weights and the images")  # fmt: skip
    augmented.unlink()
    ranges = {name: _bounds(name, data[name]) for name in sorted(data.keys())}
    if not ranges:
        fail(f"{path}: has no activation to measure", hint="prepare the model with the preprocess step first")
    return ranges


def images_per_chunk(model: Any) -> int:
    """Say how many images' activations fit the memory allowed, from the shapes in the model."""
    values = [*model.graph.value_info, *model.graph.output]
    sizes = {value.name: [size for size in shape_of(value) if isinstance(size, int)] for value in values}
    total = sum(4 * math.prod(size) for size in sizes.values())
    return max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // max(1, total)))


class _Feeds:
    """The calibration data reader of one chunk, as ONNX Runtime wants it: ``get_next`` until None."""

    def __init__(self, feeds: Iterator[dict[str, Any]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def _chunks(model: Any, tensors: npt.NDArray[np.float32], *, chunk: int) -> Iterator[_Feeds]:
    """Yield readers over the tensors; a model with a fixed batch gets that many images at a time."""
    import numpy as np

    value = input_of(model, name="model")
    batch = shape_of(value)[0]
    width = batch if isinstance(batch, int) else 1

    def feeds(start: int, stop: int) -> Iterator[dict[str, Any]]:
        for first in range(start, stop, width):
            images = np.ascontiguousarray(tensors[first : first + width])
            # The last batch is filled up with its last image: that changes no minimum and no maximum.
            missing = width - len(images)
            yield {value.name: np.concatenate([images, *[images[-1:]] * missing]) if missing else images}

    step = max(chunk // width, 1) * width
    for start in range(0, len(tensors), step):
        stop = min(start + step, len(tensors))
        yield _Feeds(feeds(start, stop))
        progress(stop, len(tensors), "images")


def _bounds(name: str, data: Any) -> tuple[float, float]:
    low, high = (float(bound.item()) for bound in data.range_value)
    if not (math.isfinite(low) and math.isfinite(high)):
        fail(f"tensor {name}: its range on the calibration images is {low} to {high}",
             hint="the float model computes infinities or NaN; check the weights and the images")  # fmt: skip
    return low, high


if __name__ == "__main__":
    run_step(main)
