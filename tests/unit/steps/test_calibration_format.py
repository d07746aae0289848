from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

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
