"""Write the calibration set as a vendor's tool reads it: ``python -m edgebuild.steps.calibration_format``.

The tensors are (images, 3, height, width) float32, RGB, 0 to 1, as the calibrate step writes them. Files are
numbered in the order of the selection, so equal tensors give equal bytes under equal names.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import fail, read_json, run_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Tensors = npt.NDArray[np.float32]

INPUT_NAME = "images"
"""Name of the model's input, as the export step gives it."""

PLACE = "in/calibration/calibration"
"""Where the step that reads the set finds it, when it calls this input ``calibration``."""

TAR = "calibration.tar"

GENERATOR = '''"""The calibration set: float32, RGB, 0 to 1, {batch} x 3 x height x width in each array."""

from pathlib import Path

import numpy as np

BATCH = {batch}


def batches():
    """Yield a list with one array per input of the model; a batch that is not full is left out."""
    images = np.load(Path(__file__).parent / "calibration.npy", mmap_mode="r")
    for start in range(0, len(images) - BATCH + 1, BATCH):
        yield [np.array(images[start : start + BATCH])]
'''


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
    parser.add_argument("--batch", type=_positive, default=1, help="images in each batch file")
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
    """Write ``000000.bin`` ...: little-endian float32 without a header, ``batch`` images in each file."""
    for name, images in _batches(tensors, batch):
        (output / f"{name}.bin").write_bytes(images.tobytes())


def write_npy(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``000000.npy`` ...: one array of shape (1, 3, height, width) per image, whatever the batch."""
    import numpy as np

    del batch
    for name, image in _batches(tensors, 1):
        np.save(output / f"{name}.npy", image)


def write_npz(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``000000.npz`` ...: ``batch`` images in each, as the member that is called like the input."""
    import numpy as np

    for name, images in _batches(tensors, batch):
        np.savez(output / f"{name}.npz", allow_pickle=False, **{INPUT_NAME: images})


def write_npy_nhwc(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``calibration.npy``: all images as one float32 array (images, height, width, 3), 0 to 1."""
    del batch
    _write_array(tensors, output, "<f4", _channels_last)


def write_npy_nhwc_uint8(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``calibration.npy``: all images as one uint8 array (images, height, width, 3), RGB, 0 to 255."""
    del batch
    _write_array(tensors, output, "u1", _pixels)


def write_images(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``000000.png`` ...: the images as the model sees them, already resized and padded."""
    del batch
    for name, data in _png_files(tensors):
        (output / name).write_bytes(data)


def write_dataset_txt(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``images/000000.png`` ... and ``dataset.txt``, whose paths start from its own folder."""
    (output / "images").mkdir(exist_ok=True)
    write_images(tensors, output / "images", batch)
    names = sorted(path.name for path in (output / "images").iterdir())
    (output / "dataset.txt").write_text("".join(f"images/{name}\n" for name in names), encoding="utf-8")


def write_input_list(tensors: Tensors, output: Path, batch: int) -> None:
    """Write raw float32 files and ``input_list.txt``, whose paths start from the step's directory."""
    write_raw_float32(tensors, output, batch)
    _list_files(output)


def write_input_list_nhwc(tensors: Tensors, output: Path, batch: int) -> None:
    """Write what ``input-list`` does, with each image as (height, width, 3)."""
    for name, images in _batches(tensors, batch):
        (output / f"{name}.bin").write_bytes(_channels_last(images).tobytes())
    _list_files(output)


def write_tar_images(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``calibration.tar`` with ``000000.png`` ... in it."""
    del batch
    _write_tar(output / TAR, _png_files(tensors))


def write_tar_npy(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``calibration.tar`` with ``000000.npy`` ...: arrays of exactly the shape of the input."""
    import numpy as np

    def members() -> Iterator[tuple[str, bytes]]:
        for name, images in _batches(tensors, batch):
            stream = io.BytesIO()
            np.save(stream, images)
            yield f"{name}.npy", stream.getvalue()

    _write_tar(output / TAR, members())


def write_python_generator(tensors: Tensors, output: Path, batch: int) -> None:
    """Write ``calibration.npy`` and ``calibration_data.py``, which yields it batch by batch."""
    _write_array(tensors, output, "<f4", lambda images: images)
    (output / "calibration_data.py").write_text(GENERATOR.format(batch=batch), encoding="utf-8")


def _batches(tensors: Tensors, batch: int) -> Iterator[tuple[str, Tensors]]:
    """Yield number and images of each full batch, contiguous.

    A last batch that is not full is left out: a quantizer would refuse a file of another size.
    """
    import numpy as np

    for index in range(len(tensors) // batch):
        yield f"{index:06}", np.ascontiguousarray(tensors[index * batch : (index + 1) * batch])


def _channels_last(images: Tensors) -> Tensors:
    import numpy as np

    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _pixels(images: Tensors) -> npt.NDArray[np.uint8]:
    """Return the pixels that the tensors were made of, (images, height, width, 3); exact, as x/255 is."""
    import numpy as np

    return np.rint(_channels_last(images) * np.float32(255)).astype(np.uint8)


def _write_array(tensors: Tensors, output: Path, kind: str, change: Callable[[Tensors], Any]) -> None:
    """Write ``calibration.npy`` image by image: a whole set need not fit into memory."""
    import numpy as np

    shape = (len(tensors), *change(tensors[:1]).shape[1:])
    array = np.lib.format.open_memmap(
        output / "calibration.npy", mode="w+", dtype=np.dtype(kind), shape=shape
    )
    for index in range(len(tensors)):
        array[index] = change(tensors[index : index + 1])[0]
    array.flush()


def _png_files(tensors: Tensors) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of one PNG per image; without loss, so that only the container differs."""
    import cv2

    for name, image in _batches(tensors, 1):
        done, data = cv2.imencode(".png", _pixels(image)[0][..., ::-1])
        if not done:
            fail(f"image {name} cannot be written as PNG", hint="this build of OpenCV writes no PNG")
        yield f"{name}.png", data.tobytes()


def _write_tar(path: Path, members: Iterator[tuple[str, bytes]]) -> None:
    """Write a plain tar whose bytes follow from its content alone."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(data), 0o644
            archive.addfile(about, io.BytesIO(data))


def _list_files(output: Path) -> None:
    names = sorted(path.name for path in output.glob("*.bin"))
    text = "".join(f"{PLACE}/{name}\n" for name in names)
    (output / "input_list.txt").write_text(text, encoding="utf-8")


FORMATS: dict[str, Callable[[Tensors, Path, int], None]] = {
    "dataset-txt": write_dataset_txt,
    "images": write_images,
    "input-list": write_input_list,
    "input-list-nhwc": write_input_list_nhwc,
    "npy": write_npy,
    "npy-nhwc": write_npy_nhwc,
    "npy-nhwc-uint8": write_npy_nhwc_uint8,
    "npz": write_npz,
    "python-generator": write_python_generator,
    "raw-float32": write_raw_float32,
    "tar-images": write_tar_images,
    "tar-npy": write_tar_npy,
}
"""Format name, as in ``calibration.format`` of a toolchain -> its writer."""


if __name__ == "__main__":
    run_step(main)
