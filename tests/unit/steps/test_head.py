"""Heads that end earlier: decoding them gives what the whole model gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import head as step
from edgebuild.steps._decode import decode
from edgebuild.steps._groups import find_groups
from edgebuild.steps._onnx_file import load_onnx, name_nodes, read_metadata
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

pytestmark = [pytest.mark.yolo, pytest.mark.slow]

MODELS = ["yolov8n", "yolo11n", "yolo26n", "yolo26n-end2end", "yolo11n-seg"]


@pytest.fixture(scope="module")
def models(zoo: Path, run_step_at: Callable[..., subprocess.CompletedProcess[str]]) -> dict[str, Path]:
    """Exports of the zoo, 64 x 96 pixels: folder with model.onnx and model.json by name."""
    found = {}
    for name in MODELS:
        weights = name.removesuffix("-end2end")
        folder = zoo / f"head-{name}"
        flags = ["--end2end"] if name.endswith("-end2end") else []
        done = run_step_at(
            zoo, "export", "--weights", f"{weights}.pt", "--task", "segment" if "seg" in name else "detect",
            "--imgsz", 64, 96, "--simplify", *flags,
            "--model", folder / "model.onnx", "--info", folder / "model.json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[name] = folder
    return found


def run(path: Path | bytes, image: Any) -> list[Any]:
    onnxruntime = pytest.importorskip("onnxruntime")
    source = str(path) if isinstance(path, Path) else path
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    outputs: list[Any] = session.run(None, {"images": image})
    return outputs


def rewritten(folder: Path, place: Path, kind: str) -> tuple[Path, dict[str, Any]]:
    step.main([
        "--model", str(folder / "model.onnx"), "--info", str(folder / "model.json"), "--head", kind,
        "--output", str(place / "h.onnx"), "--output-info", str(place / "h.json"),
    ])  # fmt: skip
    return place / "h.onnx", json.loads((place / "h.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["cut", "normalised"])
def test_decoding_gives_the_whole_models_outputs(
    models: dict[str, Path], name: str, kind: str, tmp_path: Path
) -> None:
    np = pytest.importorskip("numpy")
    if kind == "normalised" and "end2end" in name:
        with pytest.raises(StepFailure, match="end-to-end"):
            rewritten(models[name], tmp_path, kind)
        return
    path, info = rewritten(models[name], tmp_path, kind)
    image = np.random.default_rng(7).random((1, 3, 64, 96), dtype=np.float32)
    whole, found = run(models[name] / "model.onnx", image), run(path, image)
    assert [list(one.shape) for one in found] == [row["shape"] for row in info["outputs"]]
    decoded = decode(found, info["head"])
    assert len(decoded) == len(whole)
    for ours, theirs in zip(decoded, whole, strict=True):
        assert ours.shape == theirs.shape
        if "end2end" in name:  # of rows with almost the same score, either may come first, or the last at all
            apart = np.abs(ours[0][:, None] - theirs[0][None]).max(axis=2).min(axis=1)
            assert (apart < 2e-3).mean() > 0.95
            assert np.allclose(ours[..., 4], theirs[..., 4], atol=1e-5)
        else:
            assert np.allclose(ours, theirs, rtol=1e-4, atol=2e-3)


def test_a_cut_model_has_no_decoding_left(models: dict[str, Path], tmp_path: Path) -> None:
    path, info = rewritten(models["yolo11n"], tmp_path, "cut")
    names = ["box_8", "score_8", "box_16", "score_16", "box_32", "score_32"]
    assert [row["name"] for row in info["outputs"]] == names
    assert [row["shape"] for row in info["outputs"]][:2] == [[1, 64, 8, 12], [1, 80, 8, 12]]
    model = load_onnx(path)
    name_nodes(model)
    assert find_groups(model)["decode"] == ()
    assert read_metadata(model)["head"] == "cut"
    assert info["head"]["reg_max"] == 16


def test_everything_of_a_normalised_model_is_0_to_1(models: dict[str, Path], tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    path, info = rewritten(models["yolov8n"], tmp_path, "normalised")
    (output,) = run(path, np.random.default_rng(1).random((1, 3, 64, 96), dtype=np.float32))
    assert output[:, 4:].max() <= 1
    assert (
        abs(output[:, :4]).max() < 16
    )  # 15 strides of 32 in 64 pixels: untrained boxes reach beyond the image
    assert "from 0 to 1" in info["outputs"][0]["layout"]


def test_the_same_bytes_again(models: dict[str, Path], tmp_path: Path) -> None:
    first, _ = rewritten(models["yolo26n"], tmp_path / "a", "cut")
    second, _ = rewritten(models["yolo26n"], tmp_path / "b", "cut")
    assert first.read_bytes() == second.read_bytes()


def test_a_head_that_decodes_otherwise_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    """The proof: a graph whose arithmetic differs from every known head's must not get through."""
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    np = pytest.importorskip("numpy")
    model = load_onnx(models["yolo11n"] / "model.onnx")
    for tensor in model.graph.initializer:  # the strides of the cells, a tenth larger
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and {8.0, 16.0, 32.0} == set(np.unique(values).tolist()):
            tensor.CopyFrom(numpy_helper.from_array(values * np.float32(1.1), tensor.name))
            break
    else:
        pytest.fail("no tensor of strides")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/model.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "in/model.json").write_bytes((models["yolo11n"] / "model.json").read_bytes())
    with pytest.raises(StepFailure, match="head is not known"):
        rewritten(tmp_path / "in", tmp_path, "cut")


def test_a_foreign_detector_is_refused_in_words(detector: Path, tmp_path: Path) -> None:
    info = {
        "task": "detect", "names": ["a", "b"], "imgsz": [8, 8], "dynamic": False, "end2end": False,
        "input": {"shape": [1, 3, 8, 8]}, "outputs": [{"name": "output0", "shape": [1, 6, 80]}],
    }  # fmt: skip
    (tmp_path / "model.json").write_text(json.dumps(info), encoding="utf-8")
    detector.rename(tmp_path / "model.onnx")
    with pytest.raises(StepFailure, match=r"head is not known|last convolutions"):
        rewritten(tmp_path, tmp_path, "cut")


def test_a_dynamic_model_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    info = json.loads((models["yolo11n"] / "model.json").read_text(encoding="utf-8")) | {"dynamic": True}
    (tmp_path / "model.json").write_text(json.dumps(info), encoding="utf-8")
    (tmp_path / "model.onnx").write_bytes((models["yolo11n"] / "model.onnx").read_bytes())
    with pytest.raises(StepFailure, match="dynamic shapes"):
        rewritten(tmp_path, tmp_path, "cut")
