"""Half precision, weights in INT8, 16-bit activations: what the recipes beside static INT8 make."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import dynamic, float16, preprocess, quantize, ranges
from edgebuild.steps._onnx_file import load_onnx, read_metadata
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.yolo


def outputs(path: Path) -> Any:
    np = pytest.importorskip("numpy")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(3).random((1, 3, 8, 8), dtype=np.float32)
    return session.run(None, {"images": image})[0]


def convert(step: Any, model: Path, place: Path, *arguments: str) -> tuple[Any, dict[str, Any]]:
    """Run a conversion; return the model and the report."""
    step.main([
        "--model", str(model), *arguments,
        "--output", str(place / "out.onnx"), "--report", str(place / "out.json"),
    ])  # fmt: skip
    return load_onnx(place / "out.onnx"), json.loads((place / "out.json").read_text(encoding="utf-8"))


def weight_types(model: Any) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


class TestFloat16:
    def test_weights_are_half_and_the_outside_stays(self, detector: Path, tmp_path: Path) -> None:
        np = pytest.importorskip("numpy")
        onnx = pytest.importorskip("onnx")
        model, report = convert(float16, detector, tmp_path, "--keep-float", "decode", "last")
        assert weight_types(model)["stem.w"] == onnx.TensorProto.FLOAT16
        assert weight_types(model)["box0.w"] == onnx.TensorProto.FLOAT
        for value in (model.graph.input[0], model.graph.output[0]):
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert np.allclose(outputs(tmp_path / "out.onnx"), outputs(detector), rtol=0.02, atol=0.05)
        assert {"pixels", "box0"} <= set(report["kept_float"])
        assert read_metadata(model)["task"] == "detect"

    def test_two_float_nodes_may_read_one_tensor(self, detector: Path, tmp_path: Path) -> None:
        model, _ = convert(float16, detector, tmp_path, "--keep-float", "class0", "hidden0", "decode")
        casts = [node.input[0] for node in model.graph.node if node.op_type == "Cast"]
        assert len(casts) == len(set(casts))
        assert outputs(tmp_path / "out.onnx").shape == outputs(detector).shape

    def test_twice_is_refused(self, detector: Path, tmp_path: Path) -> None:
        convert(float16, detector, tmp_path)
        with pytest.raises(StepFailure, match="float16 weights already"):
            convert(float16, tmp_path / "out.onnx", tmp_path)

    def test_the_same_bytes_again(self, detector: Path, tmp_path: Path) -> None:
        convert(float16, detector, tmp_path)
        first = (tmp_path / "out.onnx").read_bytes()
        convert(float16, detector, tmp_path)
        assert (tmp_path / "out.onnx").read_bytes() == first


class TestDynamic:
    def test_weights_are_bytes_and_what_is_kept_is_not(
        self, detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        preprocess.main(["--model", str(detector), "--output", "p.onnx"])
        model, report = convert(dynamic, tmp_path / "p.onnx", tmp_path, "--keep-float", "decode", "last")
        kinds = {node.op_type for node in model.graph.node}
        assert {"ConvInteger", "Conv"} <= kinds
        assert {node.name for node in model.graph.node if node.op_type == "Conv"} == {
            "box0", "box1", "class0", "class1"
        }  # fmt: skip
        assert report["nodes"]["quantized"] == 4
        assert abs(outputs(tmp_path / "out.onnx") - outputs(detector)).max() < 8  # of up to 150

    def test_nothing_to_quantize_is_refused(
        self, detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(StepFailure, match="nothing of the model was quantized"):
            convert(dynamic, detector, tmp_path, "--keep-float", "op:Conv")


def test_16_bit_activations_below_opset_21_use_the_operators_that_have_them(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np = pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    preprocess.main(["--model", str(detector), "--output", "p.onnx"])
    np.save("t.npy", np.random.default_rng(0).random((8, 3, 8, 8), dtype=np.float32))
    ranges.main(["--model", "p.onnx", "--tensors", "t.npy", "--output", "r.json"])
    wide = ["--ranges", "r.json", "--activation", "u16", "--keep-float", "decode", "last"]
    model, _ = convert(quantize, tmp_path / "p.onnx", tmp_path, *wide)
    domains = {node.domain for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert domains == {"com.microsoft"}
    assert abs(outputs(tmp_path / "out.onnx") - outputs(detector)).max() < 2  # of up to 150
