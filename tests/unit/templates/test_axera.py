"""Axera: what pulsar2 is told, and that its strict fake notices what is wrong."""

from __future__ import annotations

import json
import re
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.environment.probe import probe_tool
from edgebuild.toolchain.load import load_toolchain, resolve_options
from tests.fakes.tiny_onnx import tiny_onnx
from tests.unit.vendor_bench import IMAGES, IMGSZ, SEARCH, VendorBench, check_golden, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AXERA = load_toolchain("axera", SEARCH)


@pytest.fixture
def bench(tmp_path: Path) -> VendorBench:
    return VendorBench(tmp_path, "axera")


def config(recipe: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        render_step("axera", recipe, "compile", **options).files["config.json"]
    )
    return found


def test_the_commands_are_what_they_were(golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, "axera")


def test_layers_that_stay_float_get_16_bits() -> None:
    found = config("int8", wide_type="S16", float_operators=["Sigmoid", "Concat"])["quant"]["layer_configs"]
    assert found == [
        {"layer_names": ["/model.23/cv2.0/cv2.0.2/Conv", "/model.23/cv3.0/cv3.0.2/Conv"], "data_type": "S16"},
        {"op_types": ["Sigmoid", "Concat"], "data_type": "FP32"},
    ]
    assert config("int16")["quant"]["layer_configs"] == [
        {"start_tensor_names": ["DEFAULT"], "end_tensor_names": ["DEFAULT"], "data_type": "U16"}
    ]
    assert "layer_configs" not in config("qdq")["quant"]


def test_the_method_follows_the_manifest_unless_it_is_set() -> None:
    assert config("int8")["quant"]["calibration_method"] == "MinMax"
    assert config("int8", calibration_method="MSE")["quant"]["calibration_method"] == "MSE"


@pytest.mark.parametrize("recipe", ["int8", "int16"])
def test_the_fake_takes_what_is_rendered(bench: VendorBench, recipe: str) -> None:
    done = bench.step(
        recipe, "compile", npu_mode="NPU3", conv_bias_data_type="FP32", smooth_quant=True, check=3
    )
    assert done.returncode == 0, done.stdout
    assert "fuse 1 subgraph(s)" in done.stdout
    written = json.loads((bench.root / "out" / "model.axmodel").read_text(encoding="utf-8"))
    assert written["target_hardware"] == "AX650"
    assert len(written["settings"]["quant"]["input_configs"]) == 1


def test_the_fake_takes_qdq_for_two_chips_only(bench: VendorBench) -> None:
    quantized = tiny_onnx(shape=(1, 3, *IMGSZ), op="DequantizeLinear")
    bench.model(quantized)
    assert bench.step("qdq", "compile").returncode == 0
    done = bench.step("qdq", "compile", change={"AX650": "AX620E"})
    assert "QuantONNX is not supported on AX620E" in done.stdout
    assert "CodeException: (<ErrorCode.QuantError: 3>" in bench.step("int8", "compile").stdout


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"--target_hardware": "--target"}, "unrecognized arguments: --target"),
        ({"AX650": "AX650N"}, "invalid choice: 'AX650N'"),
        ({"in/model/model.onnx": "in/model/absent.onnx"}, "ErrorCode.OnnxOptimizationError: 13"),
        ({"images:1x3x32x64": "images:1x3x64x64"}, "does not fit the model's [1, 3, 32, 64]"),
        ({"calibration.tar": "calibration.zip"}, "No such file or directory"),
        ({'"Numpy"': '"Npy"'}, "has no value 'Npy' for calibration_format"),
        ({'"FP32",\n      "mean"': '"U8",\n      "mean"'}, "Numpy data are not preprocessed for images"),
        ({'"calibration_method"': '"method"'}, 'has no field named "method"'),
        ({'"MinMax"': '"minmax"'}, "has no value 'minmax' for calibration_method"),
        ({'"U16"': '"FP32"'}, "FP32 is not possible for"),
        ({'"U16"': '"INT16"'}, "ErrorCode.QuantError: 3"),
        ({'"calibration_size": -1': f'"calibration_size": {IMAGES + 1}'}, f"holds {IMAGES} samples"),
    ],
)
def test_the_fake_notices_what_is_wrong(bench: VendorBench, change: dict[str, str], text: str) -> None:
    done = bench.step("int8", "compile", change=change)
    assert done.returncode != 0
    assert text in done.stdout
    assert not (bench.root / "out" / "model.axmodel").exists()


def test_the_fake_notices_calibration_data_of_another_shape(bench: VendorBench) -> None:
    bench.calibration(2)
    assert (
        "000000.npy is <f4 (2, 3, 32, 64), the input (1, 3, 32, 64)" in bench.step("int8", "compile").stdout
    )
    archive = bench.root / "in" / "calibration" / "calibration" / "calibration.tar"
    with tarfile.open(archive, "w") as empty:
        empty.add(bench.root / "in" / "model" / "model.onnx", arcname="a.npy")
    assert "is no .npy file" in bench.step("int8", "compile").stdout


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"opset": 10}, "opset 11 and more"),
        ({"op": "TopK"}, "dont support onnx.TopK opr in AXOPS"),
        ({"shape": (1, 3, 64, 64)}, "does not fit"),
    ],
)
def test_the_fake_notices_models_that_pulsar2_does_not_take(
    bench: VendorBench, given: dict[str, Any], text: str
) -> None:
    bench.model(tiny_onnx(**{"shape": (1, 3, *IMGSZ), **given}))
    assert text in bench.step("int8", "compile").stdout


@pytest.mark.parametrize(
    ("chip", "good"),
    [
        ("AX650", ["NPU1", "NPU2", "NPU3"]),
        ("AX620E", ["NPU1", "NPU2"]),
        ("AX8860", ["NPU1", "NPU2", "NPU4"]),
        ("M57", ["NPU1"]),
    ],
)
def test_a_chip_has_the_cores_that_the_documentation_lists(
    bench: VendorBench, chip: str, good: list[str]
) -> None:
    for mode in ("NPU1", "NPU2", "NPU3", "NPU4"):
        options: dict[str, Any] = {"target_hardware": chip, "npu_mode": mode}
        found = [
            rule.id
            for rule in AXERA.findings
            if rule.options and all(options[name] in values for name, values in rule.options)
        ]
        assert found == ([] if mode in good else ["npu-mode"])
        assert (bench.step("int8", "compile", **options).returncode == 0) is (mode in good)


def test_the_fake_fails_as_pulsar2_does(bench: VendorBench) -> None:
    done = bench.step("int8", "compile", mode="fail")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith(
        "yamain.common.error.CodeException: (<ErrorCode.QuantError: 3>"
    )
    assert bench.step("int8", "compile", mode="no-output").returncode == 0
    assert not (bench.root / "out" / "model.axmodel").exists()
    assert bench.step("int8", "compile", change={"AX650": "AX620E"}, npu_mode="NPU3").returncode == 1


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("KeyError: 'dont support onnx.GatherElements opr in AXOPS'", "unsupported-operator"),
        ("dont support TopK opr in AXOPS/ONNXOPS/CUSTOM_OPS", "unsupported-operator"),
        ("op name: /model.23/Mod, Mod, {'fmod': 0} get opr failed.", "unsupported-operator"),
        (
            "yamain.common.error.CodeException: (<ErrorCode.QuantError: 3>, QuantError('x'))",
            "pulsar2-quantization",
        ),
        ("yamain.common.error.CodeException: (<ErrorCode.NPUBackendError: 8>, x)", "pulsar2-backend"),
        (
            "yamain.common.error.CodeException: (<ErrorCode.OnnxOptimizationError: 13>, x)",
            "pulsar2-front-end",
        ),
        ("yamain.common.error.CodeException: (<ErrorCode.UnknownError: 1>, x)", "pulsar2-error"),
    ],
)
def test_what_pulsar2_says_is_explained(line: str, finding: str) -> None:
    rules = [rule for rule in AXERA.findings if rule.pattern]
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == [finding]


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("int8", {"target_hardware": "AX650N"}, "an AX650N or AX8850 is AX650"),
        ("qdq", {"target_hardware": "AX620E"}, "does not go with recipe 'qdq'"),
        ("int8", {"float_operators": ["Conv"]}, "Conv"),
        ("int8", {"wide_type": "FP32"}, "a convolution cannot be FP32"),
        ("qdq", {"calibration_method": "KL"}, "recipe 'qdq' has no option 'calibration_method'"),
    ],
)
def test_a_wrong_option_is_refused_before_pulsar2_sees_it(
    recipe: str, options: dict[str, Any], message: str
) -> None:
    chosen = AXERA.recipes[recipe]
    _, problems = resolve_options(AXERA, options, lambda name: ("m.yaml", 1, 1, name), recipe=chosen)
    assert len(problems) == 1
    assert message in str(problems[0])


def test_the_version_is_read_from_the_tool(bench: VendorBench) -> None:
    probed = probe_tool("axera", AXERA.tools["pulsar2"], bench.environ)
    assert (probed.version, probed.usable) == ("5.1", True)
    assert "fake" in probed.raw.lower()


@pytest.mark.parametrize(
    ("text", "version"), [("version: 4.0\ncommit: 1234", "4.0"), ("version: 7.0-lite", "7.0")]
)
def test_versions_are_spelled_in_several_ways(text: str, version: str) -> None:
    probe = AXERA.tools["pulsar2"].version
    assert probe
    match = re.search(probe.regex, text)
    assert match
    assert match.group(1) == version
