from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import preprocess, quantize
from edgebuild.steps._onnx_file import load_onnx, read_metadata
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


def test_every_activation_has_a_shape(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    preprocess.main(["--model", detector.name, "--output", "out/p.onnx"])
    model = load_onnx("out/p.onnx")
    shaped = {value.name for value in [*model.graph.value_info, *model.graph.output]}
    assert {name for node in model.graph.node for name in node.output} <= shaped
    assert all(node.name for node in model.graph.node)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detector.onnx", "out"]


def test_metadata_is_kept(detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    preprocess.main(["--model", detector.name, "--output", "p.onnx"])
    before, after = (read_metadata(load_onnx(name)) for name in (detector.name, "p.onnx"))
    assert before.items() <= after.items()


def test_a_model_that_does_not_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_detector: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = build_detector()
    model.opset_import.add().domain = "com.example"
    model.graph.node[0].domain = "com.example"
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(StepFailure, match=r"odd\.onnx: "):
        preprocess.main(["--model", "odd.onnx", "--output", "p.onnx"])


def test_an_opset_that_cannot_say_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detector: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _with_opset(detector, 9)
    with pytest.raises(StepFailure, match="has opset 9, quantizing takes 10 or more"):
        preprocess.main(["--model", detector.name, "--output", "p.onnx"])
    _with_opset(detector, 12)
    made = ["--ranges", "r.json", "--output", "q.onnx", "--report", "q.json"]
    with pytest.raises(StepFailure, match=r"opset 12, quantizing per channel takes 13 or more.* opset 13"):
        quantize.main(["--model", detector.name, "--per-channel", *made])


def _with_opset(path: Path, opset: int) -> None:
    model = load_onnx(path)
    model.opset_import[0].version = opset
    path.write_bytes(model.SerializeToString())


def test_the_bytes_do_not_depend_on_the_hash_seed(
    detector: Path, tmp_path: Path, run_step_at: Callable[..., Any]
) -> None:
    for seed in ("1", "2"):
        done = run_step_at(
            tmp_path, "preprocess", "--model", detector.name, "--output", f"{seed}.onnx", PYTHONHASHSEED=seed
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "2.onnx").read_bytes()
