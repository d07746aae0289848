"""Every step is a program: one line and exit code 3 for a mistake, nothing but its outputs left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MISTAKES: dict[str, list[object]] = {
    "train": ["--base", "b.pt", "--task", "detect", "--dataset", "gone.json", "--train", "t",
              "--validation", "v", "--epochs", 1, "--imgsz", 64, 64, "--weights", "w", "--summary", "s"],
    "export": ["--weights", "gone.onnx", "--task", "detect", "--imgsz", 64, 64, "--model", "m",
               "--info", "i"],
    "calibrate": ["--train", "t", "--validation", "v", "--dataset", "gone.json", "--imgsz", 64, 64,
                  "--tensors", "t", "--selection", "s"],
    "preprocess": ["--model", "gone.onnx", "--output", "o"],
    "ranges": ["--model", "gone.onnx", "--tensors", "t.npy", "--output", "o"],
    "quantize": ["--model", "gone.onnx", "--ranges", "r.json", "--output", "o", "--report", "r"],
}  # fmt: skip


@pytest.mark.yolo
@pytest.mark.parametrize("step", _MISTAKES)
def test_a_missing_input_is_one_line_and_exit_code_3(
    tmp_path: Path, run_step_at: Callable[..., Any], step: str
) -> None:
    done = run_step_at(tmp_path, step, *_MISTAKES[step])
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("error: gone.")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", _MISTAKES)
def test_the_arguments_are_explained_without_heavy_packages(
    tmp_path: Path, run_step_at: Callable[..., Any], step: str
) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch was imported')", encoding="utf-8")
    for package in ("onnx", "onnxruntime", "ultralytics", "numpy", "cv2"):
        (tmp_path / f"{package}.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    done = run_step_at(tmp_path, step, "--help")
    assert done.returncode == 0, done.stderr
    assert f"edgebuild.steps.{step}" in done.stdout
