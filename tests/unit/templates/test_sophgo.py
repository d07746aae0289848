"""Sophgo: what TPU-MLIR's three tools are told, and that their strict fakes notice what is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.environment.probe import probe_tool
from edgebuild.toolchain.load import load_toolchain, resolve_options
from tests.fakes.tiny_onnx import tiny_onnx
from tests.unit.vendor_bench import IMAGES, IMGSZ, SEARCH, VendorBench, check_golden, render_step

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo  # calibration images are written with OpenCV

SOPHGO = load_toolchain("sophgo", SEARCH)
MAGIC = bytes.fromhex(SOPHGO.steps["deploy"].outputs[0].magic)


@pytest.fixture
def bench(tmp_path: Path) -> VendorBench:
    return VendorBench(tmp_path, "sophgo")


def calibrated(bench: VendorBench, **options: Any) -> VendorBench:
    """Run the first two steps of ``int8``."""
    done = bench.step("int8", "transform", **options)
    assert done.returncode == 0, done.stdout + done.stderr
    bench.pass_on("transform", "mlir", "mlir")
    done = bench.step("int8", "calibrate")
    assert done.returncode == 0, done.stdout + done.stderr
    bench.pass_on("calibrate", "table", "table")
    return bench


def test_the_commands_are_what_they_were(golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, "sophgo")


def test_layers_that_stay_float_are_named_as_tpu_mlir_names_them() -> None:
    step = render_step("sophgo", "int8", "deploy", float_type="F16")
    assert step.files["qtable.txt"].splitlines() == [
        "# op_name   quantize_mode",
        "/model.23/cv2.0/cv2.0.2/Conv_output_0_Conv F16",
        "/model.23/cv3.0/cv3.0.2/Conv_output_0_Conv F16",
    ]


def test_three_tools_in_a_row_make_one_model(bench: VendorBench) -> None:
    calibrated(bench, verify=True)
    done = bench.step("int8", "deploy", verify=True, asymmetric=True, num_core=2, float_type="BF16")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (bench.root / "out" / "model.bmodel").read_bytes().startswith(MAGIC)


@pytest.mark.parametrize("recipe", ["fp16", "fp32"])
def test_float_needs_no_calibration(bench: VendorBench, recipe: str) -> None:
    assert bench.step(recipe, "import").returncode == 0
    bench.pass_on("import", "mlir", "mlir")
    done = bench.step(recipe, "deploy_float", chip="bm1688")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_mlir_is_nothing_without_the_file_of_its_weights(bench: VendorBench) -> None:
    assert bench.step("int8", "transform").returncode == 0
    assert sorted(path.name for path in (bench.root / "out" / "mlir").iterdir()) == [
        "model.mlir",
        "model_top_f32_all_weight.npz",
    ]
    bench.pass_on("transform", "mlir", "mlir")
    (bench.root / "in" / "mlir" / "mlir" / "model_top_f32_all_weight.npz").unlink()
    done = bench.step("int8", "calibrate")
    assert done.returncode == 1
    assert "cannot open model_top_f32_all_weight.npz" in done.stdout
    assert not (bench.root / "out" / "model_cali_table").exists()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"--keep_aspect_ratio": "--keep_ratio"}, "unrecognized arguments: --keep_ratio"),
        ({"rgb": "RGB"}, "invalid choice: 'RGB'"),
        ({"[[1,3,32,64]]": "[[1,3,64,64]]"}, "[1, 3, 64, 64] != [1, 3, 32, 64]"),
        ({"model.mlir": "model.txt"}, "your mlir file should endswith .mlir"),
        ({"0,0,0": "0"}, "ValueError: --mean"),
        ({"in/model/model.onnx": "absent.onnx"}, "No such file"),
    ],
)
def test_the_fake_import_notices_what_is_wrong(bench: VendorBench, change: dict[str, str], text: str) -> None:
    done = bench.step("fp16", "import", change=change)
    assert done.returncode != 0
    assert text in done.stdout
    assert not (bench.root / "out" / "mlir").exists()


@pytest.mark.parametrize("op", ["Mod", "DequantizeLinear"])
def test_the_fake_import_notices_operators(bench: VendorBench, op: str) -> None:
    bench.model(tiny_onnx(shape=(1, 3, *IMGSZ), op=op))
    done = bench.step("fp16", "import")
    assert "RuntimeError: Op not support:{" in done.stdout


def test_the_fake_calibration_reads_the_images(bench: VendorBench) -> None:
    assert bench.step("int8", "transform").returncode == 0
    bench.pass_on("transform", "mlir", "mlir")
    for change, text in (
        ({"--input_num": "--num"}, "unrecognized arguments: --num"),
        ({str(IMAGES): str(IMAGES + 1)}, f"holds {IMAGES} inputs, {IMAGES + 1} are asked for"),
        ({"in/calibration/calibration": "in/mlir/mlir"}, "holds 0 inputs"),
    ):
        done = bench.step("int8", "calibrate", change=change)
        assert done.returncode != 0
        assert text in done.stdout
    assert "invalid choice: 'minmax'" in bench.step("int8", "calibrate", "--cali_method", "minmax").stdout
    image = bench.root / "in" / "calibration" / "calibration" / "000003.png"
    image.write_bytes(image.read_bytes()[:16] + bytes(8) + image.read_bytes()[24:])
    assert "000003.png is 0x0, which is no resized image" in bench.step("int8", "calibrate").stdout
    image.write_bytes(b"no image")
    assert "000003.png is no PNG image" in bench.step("int8", "calibrate").stdout


def test_the_fake_compiler_notices_what_is_wrong(bench: VendorBench) -> None:
    calibrated(bench)

    def said(**change: str) -> subprocess.CompletedProcess[str]:
        return bench.step("int8", "deploy", change={k.replace("__", "--"): v for k, v in change.items()})

    assert "invalid choice: 'bm1690x'" in said(bm1684x="bm1690x").stdout
    assert "invalid choice: 'int8'" in said(INT8="int8").stdout
    assert "unrecognized arguments: --quant INT8" in said(__quantize="--quant").stdout
    assert "AssertionError: calibration table" in said(__calibration_table="--excepts").stdout
    assert "quantize table: " in said(F32="float").stdout
    assert "bm1684 has no F16" in said(bm1684x="bm1684", INT8="F16").stdout
    assert not (bench.root / "out" / "model.bmodel").exists()


def test_the_fakes_fail_as_the_tools_do(bench: VendorBench) -> None:
    assert "Op not support" in bench.step("fp16", "import", mode="fail").stdout
    assert bench.step("fp16", "import", mode="no-output").returncode == 0
    assert not (bench.root / "out" / "mlir" / "model.mlir").exists()
    calibrated(bench)
    done = bench.step("int8", "deploy", mode="fail")
    assert done.returncode == 1
    assert "RuntimeError: [!Error]: npz_tool.py compare" in done.stdout
    assert bench.step("int8", "deploy", mode="garbage").returncode == 0
    assert not (bench.root / "out" / "model.bmodel").read_bytes().startswith(MAGIC)


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("RuntimeError: Op not support:{'Mod', 'Size'}", "unsupported-operator"),
        ("RuntimeError: [!Error]: npz_tool.py compare a.npz b.npz --tolerance 0.8,0.5", "tolerance"),
        ("RuntimeError: [!Error]: tpuc-opt --shape-infer", "tpu-mlir-error"),
    ],
)
def test_what_tpu_mlir_says_is_explained(line: str, finding: str) -> None:
    assert [rule.id for rule in SOPHGO.findings if re.search(rule.pattern, line)] == [finding]


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("fp16", {"chip": "bm1684"}, "does not go with recipe 'fp16'"),
        ("int8", {"chip": "BM1684X"}, "the values are bm1684x"),
        ("fp16", {"verify": True}, "recipe 'fp16' has no option 'verify'"),
        ("int8", {"tolerance": "85%"}, "tolerance"),
    ],
)
def test_a_wrong_option_is_refused_before_the_tools_see_it(
    recipe: str, options: dict[str, Any], message: str
) -> None:
    chosen = SOPHGO.recipes[recipe]
    _, problems = resolve_options(SOPHGO, options, lambda name: ("m.yaml", 1, 1, name), recipe=chosen)
    assert len(problems) == 1
    assert message in str(problems[0])


@pytest.mark.parametrize("tool", ["model_transform", "run_calibration", "model_deploy"])
def test_the_version_is_what_the_tool_prints_first(bench: VendorBench, tool: str) -> None:
    probed = probe_tool("sophgo", SOPHGO.tools[tool], bench.environ)
    assert (probed.version, probed.usable) == ("1.21.1", True)
    assert "fake" in probed.raw.lower()
