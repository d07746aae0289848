from __future__ import annotations

import io
import json
import runpy
import tarfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgebuild.steps.calibration_format import FORMATS
from edgebuild.toolchain.schema import schema

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    Run = Callable[..., subprocess.CompletedProcess[str]]

TENSORS = np.arange(5 * 3 * 4 * 6, dtype=np.float32).reshape(5, 3, 4, 6) / 7


def convert(
    run_step: Run, root: Path, *more: object, tensors: npt.NDArray[np.generic] = TENSORS, files: int = 5
) -> subprocess.CompletedProcess[str]:
    np.save(root / "calibration.npy", tensors)
    selection = {"files": [{"file": f"{index}.jpg"} for index in range(files)]}
    (root / "calibration.json").write_text(json.dumps(selection), encoding="utf-8")
    return run_step(
        "calibration_format",
        *("--tensors", "calibration.npy", "--selection", "calibration.json", "--output", "out/calibration"),
        *more,
    )


def test_raw_float32_is_one_headerless_file_per_image(run_step: Run, tmp_path: Path) -> None:
    done = convert(run_step, tmp_path, "--format", "raw-float32")
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "out" / "calibration").iterdir())
    assert [file.name for file in files] == [f"{index:06}.bin" for index in range(5)]
    for index, file in enumerate(files):
        assert file.read_bytes() == TENSORS[index].astype("<f4").tobytes()


def test_raw_float32_holds_a_whole_batch_in_each_file(run_step: Run, tmp_path: Path) -> None:
    assert convert(run_step, tmp_path, "--format", "raw-float32", "--batch", 2).returncode == 0
    files = sorted((tmp_path / "out" / "calibration").iterdir())
    assert [file.name for file in files] == ["000000.bin", "000001.bin"]
    assert files[1].read_bytes() == TENSORS[2:4].tobytes()


def test_npy_is_one_array_per_image(run_step: Run, tmp_path: Path) -> None:
    assert convert(run_step, tmp_path, "--format", "npy").returncode == 0
    files = sorted((tmp_path / "out" / "calibration").iterdir())
    assert len(files) == 5
    assert np.array_equal(np.load(files[4]), TENSORS[4:5])


PIXELS = np.arange(5 * 4 * 6 * 3, dtype=np.uint8).reshape(5, 4, 6, 3)
"""Images as (height, width, 3) RGB; their tensors are what the calibrate step makes of them."""

SEEN = np.ascontiguousarray(PIXELS.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)


def written(run_step: Run, root: Path, form: str, *more: object) -> Path:
    done = convert(run_step, root, "--format", form, *more, tensors=SEEN)
    assert done.returncode == 0, done.stderr
    return root / "out" / "calibration"


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def read_png(data: bytes) -> npt.NDArray[np.generic]:
    cv2 = pytest.importorskip("cv2")
    image: npt.NDArray[np.generic] = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return image[..., ::-1]


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
            stream = archive.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read()
        return found


def test_the_schema_and_the_step_know_the_same_formats() -> None:
    assert schema()["properties"]["calibration"]["properties"]["format"]["enum"] == sorted(FORMATS)


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_equal_tensors_give_equal_bytes(run_step: Run, tmp_path: Path, form: str) -> None:
    seen = []
    for name in ("one", "two"):
        folder = written(run_step, tmp_path, form).rename(tmp_path / name)
        seen.append({path: (folder / path).read_bytes() for path in names(folder)})
    assert seen[0] == seen[1]
    assert seen[0]


def test_npz_holds_a_batch_under_the_name_of_the_input(run_step: Run, tmp_path: Path) -> None:
    folder = written(run_step, tmp_path, "npz", "--batch", 2)
    assert names(folder) == ["000000.npz", "000001.npz"]
    with np.load(folder / "000001.npz") as found:
        assert list(found) == ["images"]
        assert np.array_equal(found["images"], SEEN[2:4])


def test_npy_nhwc_is_one_array_of_all_images(run_step: Run, tmp_path: Path) -> None:
    folder = written(run_step, tmp_path, "npy-nhwc")
    assert names(folder) == ["calibration.npy"]
    found = np.load(folder / "calibration.npy")
    assert found.dtype == np.float32
    assert np.array_equal(found, SEEN.transpose(0, 2, 3, 1))


def test_npy_nhwc_uint8_holds_the_pixels_themselves(run_step: Run, tmp_path: Path) -> None:
    found = np.load(written(run_step, tmp_path, "npy-nhwc-uint8") / "calibration.npy")
    assert found.dtype == np.uint8
    assert np.array_equal(found, PIXELS)


def test_every_pixel_value_survives_the_way_through_a_tensor(run_step: Run, tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8)
    tensors = np.broadcast_to(values.reshape(1, 1, 16, 16), (1, 3, 16, 16)).astype(np.float32) / np.float32(
        255
    )
    assert convert(run_step, tmp_path, "--format", "npy-nhwc-uint8", tensors=tensors, files=1).returncode == 0
    found = np.load(tmp_path / "out" / "calibration" / "calibration.npy")
    assert np.array_equal(found[0, ..., 0].ravel(), values)


@pytest.mark.yolo
def test_images_are_what_the_model_sees(run_step: Run, tmp_path: Path) -> None:
    folder = written(run_step, tmp_path, "images")
    assert names(folder) == [f"{index:06}.png" for index in range(5)]
    assert np.array_equal(read_png((folder / "000003.png").read_bytes()), PIXELS[3])


@pytest.mark.yolo
def test_dataset_txt_names_images_from_its_own_folder(run_step: Run, tmp_path: Path) -> None:
    folder = written(run_step, tmp_path, "dataset-txt")
    lines = (folder / "dataset.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [f"images/{index:06}.png" for index in range(5)]
    assert np.array_equal(read_png((folder / lines[4]).read_bytes()), PIXELS[4])


@pytest.mark.parametrize("form", ["input-list", "input-list-nhwc"])
def test_input_list_names_raw_files_from_the_directory_of_the_step(
    run_step: Run, tmp_path: Path, form: str
) -> None:
    folder = written(run_step, tmp_path, form, "--batch", 2)
    lines = (folder / "input_list.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["in/calibration/calibration/000000.bin", "in/calibration/calibration/000001.bin"]
    images = SEEN[2:4] if form == "input-list" else SEEN[2:4].transpose(0, 2, 3, 1)
    assert (folder / "000001.bin").read_bytes() == images.tobytes()
    assert names(folder) == ["000000.bin", "000001.bin", "input_list.txt"]


@pytest.mark.yolo
def test_tar_images_is_one_archive_of_images(run_step: Run, tmp_path: Path) -> None:
    folder = written(run_step, tmp_path, "tar-images")
    assert names(folder) == ["calibration.tar"]
    found = members(folder / "calibration.tar")
    assert list(found) == [f"{index:06}.png" for index in range(5)]
    assert np.array_equal(read_png(found["000002.png"]), PIXELS[2])


def test_tar_npy_holds_arrays_of_exactly_the_shape_of_the_input(run_step: Run, tmp_path: Path) -> None:
    found = members(written(run_step, tmp_path, "tar-npy", "--batch", 2) / "calibration.tar")
    assert list(found) == ["000000.npy", "000001.npy"]
    assert np.array_equal(np.load(io.BytesIO(found["000001.npy"])), SEEN[2:4])


def test_python_generator_yields_a_list_of_inputs_per_batch(run_step: Run, tmp_path: Path) -> None:
    folder = written(run_step, tmp_path, "python-generator", "--batch", 2)
    assert names(folder) == ["calibration.npy", "calibration_data.py"]
    found = list(runpy.run_path(str(folder / "calibration_data.py"))["batches"]())
    assert [len(inputs) for inputs in found] == [1, 1]
    assert np.array_equal(found[1][0], SEEN[2:4])


@pytest.mark.parametrize(
    ("tensors", "files", "more", "message"),
    [
        (TENSORS.astype(np.float64), 5, (), "holds float64 of shape (5, 3, 4, 6), not float32"),
        (TENSORS[0], 5, (), "holds float32 of shape (3, 4, 6)"),
        (TENSORS.transpose(0, 2, 3, 1), 5, (), "not float32 of shape (images, 3, height, width)"),
        (TENSORS, 4, (), "holds 5 images, calibration.json lists 4"),
        (TENSORS, 5, ("--batch", 6), "5 images do not fill one batch of 6"),
    ],
)
def test_what_is_no_calibration_set_is_refused_in_one_line(
    run_step: Run,
    tmp_path: Path,
    tensors: npt.NDArray[np.generic],
    files: int,
    more: tuple[object, ...],
    message: str,
) -> None:
    done = convert(run_step, tmp_path, "--format", "raw-float32", *more, tensors=tensors, files=files)
    assert done.returncode == 3
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"not an array"])
def test_a_damaged_file_is_refused_in_one_line(run_step: Run, tmp_path: Path, content: bytes) -> None:
    convert(run_step, tmp_path, "--format", "npy")
    (tmp_path / "calibration.npy").write_bytes(content)
    arguments = ("--tensors", "calibration.npy", "--selection", "calibration.json")
    done = run_step("calibration_format", *arguments, "--format", "npy", "--output", "again")
    assert done.returncode == 3
    assert "cannot be read as a calibration set" in done.stderr
    assert len(done.stderr.splitlines()) == 1
