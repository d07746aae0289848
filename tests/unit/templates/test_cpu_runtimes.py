"""OpenVINO, ncnn and MNN without any of them: their commands, and what their programs decide."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.toolchain.load import load_toolchain
from tests.unit.vendor_bench import SEARCH, check_golden, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


def program(name: str, file: str) -> ModuleType:
    """Import a program of a toolchain's folder."""
    spec = importlib.util.spec_from_file_location(f"{name}_{file}", SEARCH[0] / name / f"{file}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Operation:
    """An operation of a converted model, as far as the program asks."""

    name: str
    kind: str = "Convolution"
    sources: list[Operation] = field(default_factory=list)
    element: str = "f32"

    def get_friendly_name(self) -> str:
        return self.name

    def get_type_name(self) -> str:
        return self.kind

    def input_value(self, index: int) -> Any:
        source = self.sources[index]
        return type("Port", (), {"get_node": staticmethod(lambda: source)})

    def get_element_type(self) -> Any:
        element = self.element
        return type("Type", (), {"get_type_name": staticmethod(lambda: element)})


@dataclass
class Converted:
    """A converted model."""

    operations: list[Operation]

    def get_ops(self) -> list[Operation]:
        return self.operations


def layer(name: str, element: str, *between: str) -> Operation:
    """Return a convolution whose weights come from a constant through what is named."""
    source = Operation("weights", "Constant", element=element)
    for kind in between:
        source = Operation(kind, kind, [source])
    return Operation(name, "Convolution", [Operation("x", "Parameter"), source])


@pytest.mark.parametrize("name", ["openvino", "ncnn", "mnn"])
def test_the_commands_are_what_they_were(name: str, golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, name)


def test_options_of_openvino_reach_the_program() -> None:
    step = render_step(
        "openvino",
        "int8",
        "nncf",
        device="NPU",
        preset="mixed",
        bias_correction="accurate",
        inference_precision="f16",
        compress_to_fp16=False,
        performance_hint="THROUGHPUT",
    )
    text = " ".join(step.argv)
    assert "--device NPU --performance-hint THROUGHPUT --inference-precision f16 --calibration" in text
    assert text.endswith("--preset mixed --bias-correction accurate")
    assert "--compress" not in text


def test_what_mnn_keeps_in_float_is_named_like_the_tensors_it_writes() -> None:
    step = render_step("mnn", "int8", "mnnquant", feature_method="EMA", imgsz=(320, 640))
    settings = json.loads(step.files["settings.json"])
    names = [name for name in settings.pop("skip_quant_op_names") if name]
    assert names == [
        "/model.23/cv2.0/cv2.0.2/Conv_output_0",
        "/model.23/cv3.0/cv3.0.2/Conv_output_0",
    ]
    assert (settings["width"], settings["height"], settings["feature_quantize_method"]) == (640, 320, "EMA")


def test_every_operation_that_a_float_layer_became_is_named() -> None:
    # A convolution with a bias is two operations: with the ONNX name alone NNCF would quantize the first.
    model = Converted(
        [
            Operation("/head/cv2/Conv/WithoutBiases"),
            Operation("/head/cv2/Conv", "Add"),
            Operation("/head/cv2/Convolve"),
            Operation("/other/Conv"),
        ]
    )
    found = program("openvino", "convert")._parts(model, ["/head/cv2/Conv", "/gone/Conv"])
    assert found == {"/head/cv2/Conv": {"/head/cv2/Conv", "/head/cv2/Conv/WithoutBiases"}}


def test_layers_are_counted_by_the_type_of_their_weights(capsys: pytest.CaptureFixture[str]) -> None:
    model = Converted(
        [
            layer("a", "i8", "Convert", "Multiply"),
            layer("b", "f32"),
            layer("c", "f16", "Convert"),
            layer("d", "i8", "Convert", "Subtract", "Multiply", "Reshape"),
            Operation("attention", "MatMul", [Operation("x", "Softmax"), Operation("y", "VariadicSplit")]),
        ]
    )
    program("openvino", "convert")._report(model, {"b", "d"})
    assert capsys.readouterr().out.splitlines() == [
        "quantized: 2 of 4 layers",
        "quantized although it should stay float: d",
    ]


def test_the_description_names_no_path_of_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "model.xml"
    file.write_text('<net><input_model value="/home/me/in/model.onnx" /><x value="1" /></net>')
    program("openvino", "convert")._remove_paths(file)
    assert file.read_text() == '<net><input_model value="model.onnx" /><x value="1" /></net>'


def test_operators_that_ncnn_does_not_have_are_found(tmp_path: Path) -> None:
    param = tmp_path / "model.ncnn.param"
    lines = [
        *("7767517", "5 5", "Input in0 0 1 in0", "Convolution conv_0 1 1 in0 1 0=16"),
        *("torch.topk topk_0 1 2 1 2 3", "pnnx.Expression e 1 1 2 4", "aten::where w 1 1 4 out0", ""),
    ]
    param.write_text("\n".join(lines))
    assert program("ncnn", "convert").foreign_operators(param) == [
        "aten::where",
        "pnnx.Expression",
        "torch.topk",
    ]


@pytest.mark.parametrize(
    ("name", "line", "finding"),
    [
        ("openvino", "quantized: 0 of 88 layers", "quantization-skipped"),
        ("openvino", "not in the converted model: /model.23/cv2.0/Conv", "float-layer-lost"),
        ("openvino", "quantized although it should stay float: /a", "float-layer-quantized"),
        ("openvino", "openvino._pyopenvino.OpConversionFailure: Check failed", "openvino-unsupported"),
        ("ncnn", "not an operator of ncnn: torch.topk", "ncnn-unsupported"),
        ("ncnn", "pnnx was killed by signal 11", "pnnx-crash"),
        ("mnn", "not in the converted model: box_8", "float-layer-lost"),
        ("mnn", "[10:14:15] :293: Model File Does Not Exist! ==> nix.onnx", "mnn-unsupported"),
    ],
)
def test_what_the_logs_say_becomes_a_finding(name: str, line: str, finding: str) -> None:
    rules = load_toolchain(name, SEARCH).findings
    assert [rule.id for rule in rules if rule.pattern and re.search(rule.pattern, line)] == [finding]
