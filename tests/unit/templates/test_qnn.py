"""Qualcomm's HTP with ONNX Runtime, without it: the commands, and what the folder's programs decide."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.toolchain.load import load_toolchain
from tests.unit.vendor_bench import SEARCH, check_golden, program, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHIP: dict[str, Any] = {"htp_arch": 73, "soc_model": 43}

NOT_FINALIZED = """\
not compiled: [ONNXRuntimeError] : 11 : EP_FAIL : Failed to finalize QNN graph. Error: \
QNN_COMMON_ERROR_MEM_ALLOC: Memory allocation related error., Code: 1002"""

NOT_SELECTED = """\
not compiled: [ONNXRuntimeError] : 1 : FAIL : Node '/model.9/m/MaxPool_token_213' OpType:MaxPool with \
domain:com.ms.internal.nhwc was inserted using the NHWC format as requested by QNNExecutionProvider, but was \
not selected by that EP."""

ON_CPU = """\
not compiled: [ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to \
the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user."""


def swish(size: int) -> Any:
    """Return a model of one convolution with its activation, which makes maps of a size."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], name="/conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Sigmoid", ["c"], ["s"], name="/act/Sigmoid"),
        helper.make_node("Mul", ["c", "s"], ["out"], name="/act/Mul"),
    ]
    graph = helper.make_graph(
        nodes,
        "swish",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 2 * size, 2 * size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 2, size, size])],
        [helper.make_tensor("w", TensorProto.FLOAT, [2, 3, 3, 3], [0.1] * 54)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_the_commands_are_what_they_were(golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, "qnn", **CHIP)


def test_options_reach_the_program() -> None:
    step = render_step("qnn", "fp16", "context", htp_arch=75, soc_model=57, vtcm_mb=8, optimization=2)
    text = " ".join(step.argv)
    assert "--htp-arch 75 --soc-model 57 --optimization 2 --vtcm-mb 8 --output" in text


def test_what_stays_float_is_named_by_its_nodes() -> None:
    step = render_step("qnn", "int8", "quantizer", **CHIP)
    names = ["/model.23/cv2.0/cv2.0.2/Conv", "/model.23/cv3.0/cv3.0.2/Conv"]
    assert json.loads(step.files["scope.json"]) == {"nodes": names}
    assert "u8" in step.argv
    assert "u16" in render_step("qnn", "w8a16", "quantizer", **CHIP).argv


@pytest.mark.yolo
@pytest.mark.parametrize(
    ("size", "found"),
    [(10, ["/act/Sigmoid", "/act/Mul"]), (20, []), (6, ["/act/Sigmoid", "/act/Mul"]), (8, [])],
)
def test_products_of_maps_whose_size_goes_wrong_are_found(size: int, found: list[str]) -> None:
    assert program("qnn", "quantize").odd_products(swish(size)) == found


@pytest.mark.yolo
def test_only_one_context_counts_as_compiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx

    file = tmp_path / "model.onnx"
    onnx.save(swish(8), file)
    with pytest.raises(SystemExit):
        program("qnn", "context").check(file)
    assert "the result is not one context" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("quantized: 0 of 88 layers, with 24 images", "quantization-skipped"),
        ("quantized: 80 of 88 layers, with 24 images", None),
        ("in floating point for their size: 62 nodes, the first is /model.7/act/Sigmoid", "odd-maps"),
        (NOT_FINALIZED, "qnn-finalize"),
        (ON_CPU, "cpu-fallback"),
        (NOT_SELECTED, "htp-unsupported"),
    ],
)
def test_lines_of_the_logs_become_findings(line: str, found: str | None) -> None:
    rules = load_toolchain("qnn", SEARCH).findings
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == ([found] if found else [])
