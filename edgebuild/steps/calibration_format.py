"""Write the calibration set as a vendor's tool reads it: ``python -m edgebuild.steps.calibration_format``.

The tensors are (images, 3, height, width) float32, RGB, 0 to 1, as the calibrate step writes them. Files are
numbered in the order of the selection, so equal tensors give equal bytes under equal names.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import fail, read_json, run_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    Tensors = npt.NDArray[np.float32]


def main(argv: Sequence[str]) -> None:
    """Read the arguments and write the calibration set in one format."""
    arguments = _parse(argv)
    tensors = read_tensors(arguments.tensors, arguments.selection)
    if arguments.batch > len(tensors):
        fail(f"{arguments.tensors}: {len(tensors)} images do not fill one batch of {arguments.batch}",
             hint="raise dataset.calibration.images or lower the target's batch")  # fmt: skip
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    FORMATS[arguments.format](tensors, output, arguments.batch)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.calibration_format", description=__doc__)
    parser.add_argument("--tensors", required=True, help="calibration.npy of the calibrate step")
    parser.add_argument("--selection", required=True, help="calibration.json of the calibrate step")
    parser.add_argument("--format", required=True, choices=sorted(FORMATS))
    parser.add_argument("--batch", type=_positive, default=1, help="images in each file (raw-float32)")
    parser.add_argument("--output", required=True, help="folder to write")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def read_tensors(path: str, selection: str) -> Tensors:
    """Read calibration tensors without loading them, and check them against their selection.

    Returns:
        A read-only array of shape (images, 3, height, width).

    Raises:
        StepFailure: The file is no such array, or holds another number of images than were selected.
    """
    import numpy as np

    try:
        tensors: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        count = len(read_json(selection)["files"])
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        fail(f"{path} and {selection}: cannot be read as a calibration set: {error!r}",
             hint="run the calibrate step again")  # fmt: skip
    if tensors.ndim != 4 or tensors.shape[1] != 3 or tensors.dtype != np.dtype("<f4"):
        found = f"{tensors.dtype} of shape {tensors.shape}"
        fail(f"{path}: holds {found}, not float32 of shape (images, 3, height, width)",
             hint="it must come from the calibrate step")  # fmt: skip
    if len(tensors) != count:
        fail(f"{path}: holds {len(tensors)} images, {selection} lists {count}",
             hint="both must come from one run of the calibrate step")  # fmt: skip
    return tensors


def write_raw_float32(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``000000.bin`` ...: little-endian float32 without a header, ``batch`` images in each file.

    A last batch that is not full is left out: a quantizer would refuse a file of another size.
    """
    for index in range(len(tensors) // batch):
        (output / f"{index:06}.bin").write_bytes(tensors[index * batch : (index + 1) * batch].tobytes())


def write_npy(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``000000.npy`` ...: one array of shape (1, 3, height, width) per image, whatever the batch."""
    import numpy as np

    del batch
    for index in range(len(tensors)):
        np.save(output / f"{index:06}.npy", np.ascontiguousarray(tensors[index : index + 1]))


FORMATS: dict[str, Callable[[Tensors, Path, int], None]] = {
    "npy": write_npy,
    "raw-float32": write_raw_float32,
}
"""Format name, as in ``calibration.format`` of a toolchain -> its writer."""


if __name__ == "__main__":
    run_step(main)
