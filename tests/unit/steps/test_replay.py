from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.package import json_bytes, write_package

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    RunStep = Callable[..., subprocess.CompletedProcess[str]]

ABOUT = {"name": "demo", "target": "board", "version": "1.0", "toolchain": "tool", "recipe": "int8"}


def pack(
    folder: Path,
    artifact: Path,
    golden: Path | None = None,
    batch: int = 1,
    head: dict[str, Any] | None = None,
) -> Path:
    info = {"input": {"shape": [batch, 3, 4, 4]}, "outputs": [{"name": "y"}], "imgsz": [4, 4]}
    info |= {"head": head} if head else {}
    members: dict[str, Path | bytes] = {
        "README.md": b"",
        "metrics.json": b"{}",
        "model.json": json_bytes(info),
        "recipe.json": json_bytes(ABOUT),
        "tools.json": b"{}",
        "verdicts.json": json_bytes({"status": "passed", "verdicts": []}),
        f"artifact/{artifact.name}": artifact,
    }
    if golden:
        members["golden.npz"] = golden
    path = folder / "demo.tar.gz"
    write_package(path, members, about={**ABOUT, "status": "passed"})
    return path


def replay(run_step: RunStep, package: Path, *more: object) -> dict[str, Any]:
    result = run_step("replay", "--package", package, "--output", "out/replay.json", *more)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads((package.parent / "out/replay.json").read_text())
    return document


def model(path: Path, batch: int = 1) -> Path:
    """Write a model that doubles its input."""
    import onnx
    from onnx import TensorProto, helper

    shape = [batch, 3, 4, 4]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, str(path))
    return path


def golden(path: Path, *, error: float = 0.0, key: str = "image_u8") -> Path:
    import numpy as np

    image = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    tensor = image.astype(np.float32) / np.float32(255)
    given = image if key == "image_u8" else tensor
    arrays: dict[str, Any] = {key: given, "output_0": (2 * tensor + np.float32(error))[None]}
    np.savez(path, **arrays)
    return path


@pytest.mark.yolo
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("key", ["image_u8", "image"])
def test_the_same_artifact_matches(tmp_path: Path, run_step: RunStep, batch: int, key: str) -> None:
    package = pack(tmp_path, model(tmp_path / "m.onnx", batch), golden(tmp_path / "g.npz", key=key), batch)
    document = replay(run_step, package)
    assert document["status"] == "matches"
    assert document["outputs"] == [
        {"name": "output_0", "shape": [1, 3, 4, 4], "max_abs_error": 0.0, "matches": True}
    ]


@pytest.mark.yolo
def test_behind_a_cut_head_the_artifacts_own_outputs_are_compared(tmp_path: Path, run_step: RunStep) -> None:
    artifact, head = model(tmp_path / "model.onnx"), {"kind": "cut", "task": "classify"}
    document = replay(run_step, pack(tmp_path, artifact, golden(tmp_path / "golden.npz"), head=head))
    assert document["status"] == "matches"


@pytest.mark.yolo
def test_another_result_differs_and_says_by_how_much(tmp_path: Path, run_step: RunStep) -> None:
    package = pack(tmp_path, model(tmp_path / "m.onnx"), golden(tmp_path / "g.npz", error=0.5))
    document = replay(run_step, package)
    assert document["status"] == "differs"
    assert document["why"] == "output_0 differs by more than 0.001"
    assert document["outputs"][0]["max_abs_error"] == pytest.approx(0.5)


@pytest.mark.yolo
def test_an_artifact_the_runtime_refuses_is_not_replayed(tmp_path: Path, run_step: RunStep) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    document = replay(run_step, pack(tmp_path, tmp_path / "m.onnx", golden(tmp_path / "g.npz")))
    assert document["status"] == "not replayed"
    assert "ONNX Runtime cannot open it" in document["why"]


@pytest.mark.yolo
def test_a_broken_golden_file_fails(tmp_path: Path, run_step: RunStep) -> None:
    (tmp_path / "g.npz").write_bytes(b"no arrays")
    package = pack(tmp_path, model(tmp_path / "m.onnx"), tmp_path / "g.npz")
    result = run_step("replay", "--package", package, "--output", "out/replay.json")
    assert result.returncode == 3
    assert result.stderr.startswith("error: golden.npz cannot be read")


@pytest.mark.yolo
@pytest.mark.parametrize(("factor", "status"), [(2, "matches"), (3, "differs")])
def test_the_runtime_of_a_toolchain_replays_its_artifact(
    tmp_path: Path, run_step: RunStep, factor: int, status: str
) -> None:
    (tmp_path / "m.om").write_bytes(b"x")
    (tmp_path / "runtime.py").write_text(
        f"def load(artifact, info, threads):\n    return lambda images: [images * {factor}]\n",
        encoding="utf-8",
    )
    package = pack(tmp_path, tmp_path / "m.om", golden(tmp_path / "g.npz"))
    assert replay(run_step, package, "--runtime", "runtime.py")["status"] == status


def test_an_artifact_for_a_board_is_not_replayed(tmp_path: Path, run_step: RunStep) -> None:
    (tmp_path / "m.om").write_bytes(b"x")
    (tmp_path / "g.npz").write_bytes(b"x")
    document = replay(run_step, pack(tmp_path, tmp_path / "m.om", tmp_path / "g.npz"))
    assert (document["status"], document["why"]) == (
        "not replayed",
        "only the runtime of tool runs the artifact",
    )


def test_a_package_without_a_golden_input_is_not_replayed(tmp_path: Path, run_step: RunStep) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    assert replay(run_step, pack(tmp_path, tmp_path / "m.onnx"))["why"] == "the package has no golden.npz"


def test_a_damaged_package_is_not_run(tmp_path: Path, run_step: RunStep) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    package = pack(tmp_path, tmp_path / "m.onnx")
    package.write_bytes(package.read_bytes()[:-9])
    result = run_step("replay", "--package", package, "--output", "out/replay.json")
    assert result.returncode == 3
    assert "ends too early" in result.stderr
    assert "Traceback" not in result.stderr
