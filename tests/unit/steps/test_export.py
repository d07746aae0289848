from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import export
from edgebuild.steps._onnx_file import input_of, load_onnx, read_metadata, shape_of
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Export from ``tmp_path`` with a batch of 1 and 8 x 8 pixels; return the model and its description."""
    monkeypatch.chdir(tmp_path)

    def start(weights: object, *arguments: object) -> tuple[Any, dict[str, Any]]:
        export.main([
            "--weights", str(weights), "--task", "detect", "--imgsz", "8", "8", "--model", "out/m.onnx",
            "--info", "out/m.json", *map(str, arguments),
        ])  # fmt: skip
        return load_onnx("out/m.onnx"), json.loads((tmp_path / "out/m.json").read_text(encoding="utf-8"))

    return start


def test_an_onnx_model_becomes_canonical(
    run: Callable[..., Any], tmp_path: Path, build_detector: Callable[..., Any]
) -> None:
    for day in ("1", "2"):
        model = build_detector(metadata={"task": "detect", "date": day, "stride": "32"})
        (tmp_path / f"{day}.onnx").write_bytes(model.SerializeToString())
    run("1.onnx")
    first = (tmp_path / "out/m.onnx").read_bytes()
    model, info = run("2.onnx")
    assert (tmp_path / "out/m.onnx").read_bytes() == first
    assert read_metadata(model) == {"task": "detect", "stride": "32"}
    assert info["input"]["shape"] == [1, 3, 8, 8]


def test_a_canonical_model_stays_as_it_is(run: Callable[..., Any], detector: Path, tmp_path: Path) -> None:
    run(detector)
    shutil.copy(tmp_path / "out/m.onnx", tmp_path / "again.onnx")
    run("again.onnx")
    assert (tmp_path / "out/m.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()


def test_open_dimensions_are_fixed(
    run: Callable[..., Any], tmp_path: Path, build_detector: Callable[..., Any]
) -> None:
    (tmp_path / "open.onnx").write_bytes(build_detector(batch="batch", size="side").SerializeToString())
    model, info = run("open.onnx", "--batch", 2)
    assert shape_of(input_of(model, name="x")) == [2, 3, 8, 8]
    assert info["outputs"][0]["shape"] == [2, 6, 80]
    assert info["dynamic"] is False


def test_open_dimensions_may_stay_open(
    run: Callable[..., Any], tmp_path: Path, build_detector: Callable[..., Any]
) -> None:
    (tmp_path / "open.onnx").write_bytes(build_detector(batch="batch", size="side").SerializeToString())
    _, info = run("open.onnx", "--dynamic")
    assert info["input"]["shape"] == ["batch", 3, "side", "side"]
    assert info["dynamic"] is True


def test_simplifying_keeps_metadata_and_result(run: Callable[..., Any], detector: Path) -> None:
    model, _ = run(detector, "--simplify")
    assert read_metadata(model)["names"] == "{0: 'a', 1: 'b'}"
    assert [value.name for value in model.graph.output] == ["output0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", 4], r"its input is \[1, 3, 8, 8\], the manifest asks for \[4, 3, 8, 8\]"),
        (["--imgsz", 16, 8], r"asks for \[1, 3, 16, 8\]"),
        (["--dynamic"], "is fixed to .* asks for a dynamic one"),
        (["--opset", 16], "uses opset 17, the manifest allows 16"),
        (["--task", "segment"], "for task 'detect', the manifest says 'segment'"),
    ],
)
def test_what_cannot_be_changed_is_refused(
    run: Callable[..., Any], detector: Path, arguments: list[object], message: str
) -> None:
    with pytest.raises(StepFailure, match=message):
        run(detector, *arguments)


@pytest.mark.parametrize("selects", [True, False])
def test_the_head_of_an_onnx_is_checked_where_one_is_asked_for(
    run: Callable[..., Any],
    tmp_path: Path,
    build_detector: Callable[..., Any],
    selects: bool,  # noqa: FBT001 - a parameter
) -> None:
    model = build_detector(metadata={"task": "detect", "end2end": str(selects)})
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    right, wrong = ("--end2end", "--no-end2end") if selects else ("--no-end2end", "--end2end")
    for flags in ([], [right]):
        assert run("m.onnx", *flags)[1]["end2end"] is selects
    said = (
        "has only the head .*; take weights"
        if selects
        else "has no head .*; set model.export.end2end to false"
    )
    with pytest.raises(StepFailure, match=said):
        run("m.onnx", wrong)


@pytest.mark.parametrize("name", ["weights.h5", "weights.pt", "weights.onnx"])
def test_weights_that_are_none_are_named(run: Callable[..., Any], tmp_path: Path, name: str) -> None:
    if name != "weights.pt":
        (tmp_path / name).write_text("hello", encoding="utf-8")
    with pytest.raises(StepFailure, match=name):
        run(name)


@pytest.mark.slow
def test_two_exports_are_equal_byte_for_byte(
    zoo: Path, exported: Path, tmp_path: Path, run_step_at: Callable[..., Any]
) -> None:
    """Another process, folder, file name and hash seed, and another day's metadata."""
    (tmp_path / "elsewhere").mkdir()
    weights = shutil.copy(zoo / "yolo11n.pt", tmp_path / "elsewhere/other.pt")
    done = run_step_at(
        tmp_path, "export", "--weights", weights, "--task", "detect", "--imgsz", 64, 64, "--simplify",
        "--model", "m.onnx", "--info", "m.json", PYTHONHASHSEED="7", OMP_NUM_THREADS="2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m.onnx").read_bytes() == exported.read_bytes()
    assert (tmp_path / "m.json").read_bytes() == exported.with_suffix(".json").read_bytes()
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["other.pt"]
    metadata = read_metadata(load_onnx(exported))
    assert "date" not in metadata
    assert metadata["task"] == "detect"
    assert str(zoo) not in json.dumps(metadata)


@pytest.mark.slow
def test_the_export_computes_what_the_weights_compute(
    zoo: Path, exported: Path, tmp_path: Path, run_python: Callable[..., Any]
) -> None:
    program = f"""
import numpy as np, onnxruntime, torch
from ultralytics import YOLO
image = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
session = onnxruntime.InferenceSession({str(exported)!r}, providers=["CPUExecutionProvider"])
model = YOLO({str(zoo / "yolo11n.pt")!r}).model.eval().float()
with torch.no_grad():
    expected = model(torch.from_numpy(image))[0].numpy()
np.testing.assert_allclose(session.run(None, {{"images": image}})[0], expected, rtol=1e-3, atol=1e-3)
"""
    done = run_python(tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_dynamic_weights_export(zoo: Path, tmp_path: Path, run_step_at: Callable[..., Any]) -> None:
    done = run_step_at(
        tmp_path, "export", "--weights", zoo / "yolo11n.pt", "--task", "detect", "--imgsz", 64, 96,
        "--dynamic", "--model", "m.onnx", "--info", "m.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    info = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert (info["dynamic"], info["imgsz"]) == (True, [64, 96])
    assert info["input"]["shape"][1] == 3


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "text", "other task"])
def test_damaged_or_wrong_weights_are_named_in_one_line(
    zoo: Path, tmp_path: Path, run_step_at: Callable[..., Any], damage: str
) -> None:
    weights = tmp_path / "weights.pt"
    if damage == "truncated":
        weights.write_bytes((zoo / "yolo11n.pt").read_bytes()[:100_000])
    elif damage == "text":
        weights.write_text("hello", encoding="utf-8")
    else:
        shutil.copy(zoo / "yolo11n-seg.pt", weights)
    done = run_step_at(
        tmp_path, "export", "--weights", "weights.pt", "--task", "detect", "--imgsz", 64, 64,
        "--model", "m.onnx", "--info", "m.json",
    )  # fmt: skip
    assert done.returncode == 3
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "weights.pt: " in errors[0]
    assert "Traceback" not in done.stderr
    if damage == "other task":
        assert "'segment'" in errors[0]
        assert "'detect'" in errors[0]
    assert not (tmp_path / "m.onnx").exists()
