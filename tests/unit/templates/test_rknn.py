"""Rockchip without its toolkit: the commands, and what the folder's program decides by itself."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.toolchain.load import load_toolchain
from tests.unit.vendor_bench import SEARCH, check_golden, program, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """\
custom_quantize_layers: {}
quantize_parameters:
    /model.0/conv/Conv_output_0:
        qtype: asym
        dtype: int8
    boxes0:
        qtype: asym
        dtype: int8
"""

TABLE = """\
\x1b[36mD\x1b[0m RKNN: [10:26:56.189] 0    InputOperator      INT8     CPU    \\             (1,3,320,320)  0/0/0                 0   InputOperator:images
D RKNN: [10:26:56.189] 1    ConvExSwish        INT8     NPU    (1,3,320,320),(16,3,3,3),(16)  (1,16,160,160) 60708/230400/230400   602 Conv:/model.0/conv/Conv
D RKNN: [10:26:56.189] 2    Conv               FLOAT16  NPU    (1,64,10,10),(4,64,1,1),(4)    (1,4,10,10)    634/224/634           13  Conv:/model.23/cv2.0/cv2.0.2/Conv
D RKNN: [10:26:56.189] 3    Conv               INT8     NPU    (1,64,10,10),(4,64,1,1),(4)    (1,4,10,10)    634/224/634           13  Conv:/model.23/cv3.0/cv3.0.2/Conv
D RKNN: [10:26:56.189] 4    Reshape            FLOAT16  CPU    (1,8,1,2100),(3)               (1,8,2100)     0/0/0                 32  Reshape:output0-rs
D RKNN: [10:26:56.189] 5    OutputOperator     FLOAT16  CPU    (1,8,2100)                     \\              0/0/0                 32  OutputOperator:output0
D RKNN: [10:26:56.367] Total Internal Memory Size: 4200KB
D RKNN: [10:26:56.367] Total Weight Memory Size: 5261.94KB
"""  # noqa: E501 - as the compiler prints it


def convert() -> Any:
    return program("rknn", "convert")


def test_the_commands_are_what_they_were(golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, "rknn")


def test_layers_that_stay_float_are_named_by_their_tensors() -> None:
    wanted = json.loads(render_step("rknn", "int8", "hybrid").files["float.json"])
    assert wanted == {
        "tensors": ["boxes0", "scores0"],
        "layers": {
            "/model.23/cv2.0/cv2.0.2/Conv": "/model.23/cv2.0/cv2.0.2/Conv_output_0",
            "/model.23/cv3.0/cv3.0.2/Conv": "/model.23/cv3.0/cv3.0.2/Conv_output_0",
        },
    }


def test_options_reach_the_program() -> None:
    step = render_step(
        "rknn",
        "int8",
        "hybrid",
        target_platform="rk3566",
        quantized_algorithm="kl_divergence",
        quantized_method="group64",
        compress_weight=True,
        optimization_level=1,
    )
    text = " ".join(step.argv)
    assert "--target-platform rk3566 --optimization-level 1 --compress-weight --calibration" in text
    assert text.endswith(
        "--quantized-dtype w8a8 --quantized-algorithm kl_divergence --quantized-method group64"
    )


def test_no_two_recipes_write_a_file_of_the_same_name() -> None:
    chain = load_toolchain("rknn", SEARCH)
    names = [recipe.artifact.partition(".") for recipe in chain.recipes.values()]
    paths = [
        next(output.path for output in chain.steps[step].outputs if output.role == role)
        for step, _, role in names
    ]
    assert sorted(paths) == ["model-fp16.rknn", "model-int8.rknn"]


def test_tensors_that_stay_float_are_written_into_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {"tensors": ["boxes0", "scores0"], "layers": {"a": "boxes0", "b": "scores0"}}
    text = convert().keep_float(CONFIG, wanted)
    assert text.startswith('custom_quantize_layers:\n    "boxes0": float16\nquantize_parameters:\n')
    assert capsys.readouterr().out.splitlines() == [
        "not in the toolkit's model: b",
        "to keep in float: 2 tensors, 1 of them in the toolkit's model",
    ]


def test_nothing_to_keep_leaves_the_settings_alone() -> None:
    assert convert().keep_float(CONFIG, {"tensors": [], "layers": {}}) == CONFIG


def test_settings_in_another_form_are_an_error() -> None:
    with pytest.raises(SystemExit):
        convert().keep_float("quantize_parameters:\n", {"tensors": [], "layers": {}})


def test_what_the_compiler_prints_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = convert()
    table = found.Table()
    for line in found.readable(io.BytesIO(TABLE.encode())):
        table.read(line)
    assert table.summary().splitlines() == [
        "NPU operators = 3",
        "CPU operators = 1",
        "NPU cycles = 231668",
        "Memory = 9461.94 KiB",
    ]
    table.report({"/model.23/cv3.0/cv3.0.2/Conv": "scores0"}, quantized=True)
    assert capsys.readouterr().out.splitlines() == [
        "on the CPU: Reshape output0-rs",
        "quantized: 2 of 3 layers",
        "quantized although it should stay float: /model.23/cv3.0/cv3.0.2/Conv",
    ]


def test_the_log_is_made_fit_to_read() -> None:
    raw = (
        b"I Loading :   0%|   | 0/183\rI Loading : 100%|###| 183/183\n"
        b"\x1b[1;33mW\x1b[0m RKNN: [10:26:55.485] LayoutMatchManager\n"
        b"W RKNN: [10:26:55.486] LayoutMatchManager\n"
        b"W RKNN: [10:26:55.726] Warning: Tensor x need parameter qtype, type is set to float16\n\n"
    )
    lines = list(convert().readable(io.BytesIO(raw)))
    assert lines == ["I Loading : 100%|###| 183/183", "W RKNN: LayoutMatchManager"]


class FakeToolkit:
    """The toolkit's object, with a model loaded."""

    def __init__(self) -> None:
        self.given: Any = None

    def inference(self, inputs: list[Any], data_format: str) -> list[Any]:
        assert data_format == "nhwc"
        (self.given,) = inputs
        return [np.ones((1, 8, 21), dtype=np.float16)]


def test_the_simulator_gets_what_a_device_gives() -> None:
    fake = FakeToolkit()
    images = (np.arange(3 * 2 * 4, dtype=np.float32) / np.float32(255)).reshape(1, 3, 2, 4)
    (output,) = program("rknn", "runtime").Model(fake)(images)
    assert (fake.given.dtype, fake.given.shape) == (np.uint8, (1, 2, 4, 3))
    assert fake.given[0, 0, 1].tolist() == [1, 9, 17]
    assert (output.dtype, output.shape) == (np.float32, (1, 8, 21))


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("on the CPU: Reshape output0-rs", "cpu-fallback"),
        ("quantized: 0 of 88 layers", "quantization-skipped"),
        ("not in the toolkit's model: /model.23/cv2.0/Conv", "float-layer-lost"),
        ("quantized although it should stay float: /a", "float-layer-quantized"),
        ("W build: found outlier value, this may affect quantization accuracy", "rknn-outlier"),
        ("E RKNN: Unkown op target: 0", "rknn-op-target"),
        ("E RKNN: failed to allocate", "rknn-error"),
        ("rknn: load_onnx failed: it returned -1", "rknn-failed"),
    ],
)
def test_what_the_log_says_becomes_a_finding(line: str, finding: str) -> None:
    rules = load_toolchain("rknn", SEARCH).findings
    assert [rule.id for rule in rules if rule.pattern and re.search(rule.pattern, line)] == [finding]
