"""The fakes must be as strict as the real tools, or tests against them prove nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebuild.environment.probe import probe_tool
from edgebuild.render import render_text
from edgebuild.toolchain.load import load_toolchain
from tests.fakes.fake_common import read_onnx
from tests.fakes.install import TOOLS, install
from tests.fakes.tiny_onnx import tiny_onnx

if TYPE_CHECKING:
    from collections.abc import Mapping

    Flags = Mapping[str, str | None]

REPOSITORY = Path(__file__).resolve().parents[2]

ATC = {
    "framework": "5",
    "model": "m.onnx",
    "output": "out/model",
    "soc_version": "Ascend310P3",
    "input_format": "NCHW",
    "input_shape": "images:1,3,8,8",
    "log": "error",
}
AMCT = [
    *("calibration", "--model", "m.onnx", "--save_path", "out/model", "--input_shape", "images:1,3,8,8"),
    *("--data_dir", "data", "--data_types", "float32", "--batch_num", "2"),
]
CNCC = ["--model=m.onnx", "--output=out/m.cambricon", "--arch=mlu270", "--quantize=int8", "--enable_parallel"]
GENOFF = ["-model", "yolov5", "-mname", "out/m", "-mcore", "MLU270", "-modelzoo", "data", "-batch_size", "4"]
SIZE = 1 * 3 * 8 * 8 * 4


class Bench:
    """A scratch directory with a model, calibration data and the fakes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tools = root / "tools"
        install(self.tools)
        (root / "m.onnx").write_bytes(tiny_onnx())
        (root / "out").mkdir()
        (root / "data").mkdir()
        for index in range(2):
            (root / "data" / f"{index}.bin").write_bytes(bytes(SIZE))

    def run(self, tool: str, *words: str, mode: str = "ok") -> subprocess.CompletedProcess[str]:
        (self.tools / "bin" / "fake.json").write_text(json.dumps({tool: mode}), encoding="utf-8")
        return subprocess.run(
            [str(self.tools / "bin" / tool), *words],
            cwd=self.root,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

    def atc(self, flags: Flags | None = None, *, mode: str = "ok") -> subprocess.CompletedProcess[str]:
        words = [f"--{name}={value}" for name, value in {**ATC, **(flags or {})}.items() if value is not None]
        return self.run("atc", *words, mode=mode)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_the_first_line_says_that_it_is_a_fake(bench: Bench, tool: str) -> None:
    assert bench.run(tool).stdout.splitlines()[0].startswith(f"FAKE {tool}: ")


def test_atc_compiles_what_the_documentation_allows(bench: Bench) -> None:
    done = bench.atc()
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "ATC run success, welcome to the next use."
    model = (bench.root / "out" / "model.om").read_bytes()
    assert model.startswith(b"IMOD")
    assert b"written by a fake" in model


def test_atc_gives_equal_bytes_for_equal_work_only(bench: Bench) -> None:
    path = bench.root / "out" / "model.om"
    seen = []
    variants: list[Flags] = [{}, {}, {"output_type": "FP16"}]
    for options in variants:
        bench.atc(options)
        seen.append(path.read_bytes())
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ({"framework": None}, "E10007: [--framework] is required"),
        ({"model": None}, "E10054: The requied parameter [--model]"),
        ({"model": "absent.onnx"}, "E10001: "),
        ({"precision_mode": "force_int8"}, "Valid values are: force_fp16"),
        ({"precision_mode_v2": "int8"}, "E10001: Value [int8] for parameter [--precision_mode_v2]"),
        ({"precision_mode": "force_fp16", "precision_mode_v2": "fp16"}, "E10001: "),
        ({"soc_version": "Ascend310P"}, "E10001: Value [Ascend310P]"),
        ({"input_shape": "images:1,3,9,9"}, "does not fit the model's [1, 3, 8, 8]"),
        ({"input_shape": "pictures:1,3,8,8"}, "input pictures does not exist"),
        ({"input_shape": "1,3,8,8"}, "is not name:n,c,h,w"),
        ({"insert_op_conf": "absent.cfg"}, "no such AIPP configuration"),
        ({"precision_mode_v2": "mixed_bfloat16"}, "Ascend310P3 has no such type"),
        ({"output_type": "INT4"}, "E10001: "),
        ({"quantize": "int8"}, "unknown command line flag 'quantize'"),
    ],
)
def test_atc_refuses(bench: Bench, flags: Flags, code: str) -> None:
    done = bench.atc(flags)
    assert done.returncode == 255
    assert "ATC run failed, Please check the detail log" in done.stdout
    assert code in done.stdout
    assert not (bench.root / "out" / "model.om").exists()


@pytest.mark.parametrize(
    "change",
    [
        ("", ""),
        ("RGB888_U8", "BGR888_U8"),
        ("static", "fixed"),
        ("mean_chn_0: 0", "mean_chn_0: 0.5"),
        ("csc_switch", "csc"),
        ("size_w: 8", "size_w: 16"),
        ("}", ""),
    ],
)
def test_atc_reads_the_aipp_configuration(bench: Bench, change: tuple[str, str]) -> None:
    text = _aipp().replace(*change) if change[0] else _aipp()
    (bench.root / "aipp.cfg").write_text(text, encoding="utf-8")
    done = bench.atc({"insert_op_conf": "aipp.cfg"})
    assert (done.returncode == 0) is (text == _aipp()), done.stdout
    assert ("[--insert_op_conf] is invalid" in done.stdout) is (text != _aipp())


def _aipp() -> str:
    template = load_toolchain("ascend", [REPOSITORY / "templates"]).folder / "aipp.cfg.j2"
    return render_text(template.read_text("utf-8"), "a", {"options": {"aipp": "rgb"}, "imgsz": [8, 8]})


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"not an onnx file", "does not start with ir_version"),
        (tiny_onnx()[:-20], "E10001: "),
        (tiny_onnx(opset=20), "E19010: No parser is registered"),
        (tiny_onnx(op="DequantizeLinear"), "QuantizeLinear"),
    ],
)
def test_atc_refuses_models(bench: Bench, content: bytes, code: str) -> None:
    (bench.root / "m.onnx").write_bytes(content)
    done = bench.atc()
    assert done.returncode == 255
    assert code in done.stdout


@pytest.mark.parametrize(
    "flags",
    [{"precision_mode": "force_fp32"}, {"precision_mode_v2": "origin"}, {"dynamic_batch_size": "1,2"}],
)
def test_atc_restricts_what_amct_quantized(bench: Bench, flags: Flags) -> None:
    assert bench.run("amct_onnx", *AMCT).returncode == 0
    quantized = bench.atc({**flags, "model": "out/model_deploy_model.onnx"})
    assert quantized.returncode == 255
    assert "a quantized model" in quantized.stdout
    assert bench.atc({"model": "out/model_deploy_model.onnx"}).returncode == 0


def test_amct_leaves_two_models_that_still_read_as_onnx(bench: Bench) -> None:
    done = bench.run("amct_onnx", *AMCT)
    assert done.returncode == 0, done.stdout
    for kind in ("deploy", "fake_quant"):
        path = bench.root / "out" / f"model_{kind}_model.onnx"
        assert f"The model file is saved in out/model_{kind}_model.onnx" in done.stdout
        assert read_onnx(str(path)).inputs == {"images": (1, 3, 8, 8)}
        assert read_onnx(str(path)).amct


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (["--data_types", "uint8"], "invalid choice: 'uint8'"),
        (["--batch_num", "3"], "batch_num 3 does not fit 2 files"),
        (["--input_shape", "images:4,3,8,8"], "does not fit the model's"),
        (["--data_dir", "out"], "there is no .bin file in out"),
        (["--calibration_config", "absent.cfg"], "FileNotFoundError: absent.cfg"),
        (["--precision", "int8"], "unrecognized arguments"),
    ],
)
def test_amct_refuses(bench: Bench, change: list[str], text: str) -> None:
    done = bench.run("amct_onnx", *AMCT, *change)
    assert done.returncode != 0
    assert text in done.stdout


def test_amct_refuses_calibration_data_of_another_size(bench: Bench) -> None:
    (bench.root / "data" / "1.bin").write_bytes(bytes(SIZE - 4))
    done = bench.run("amct_onnx", *AMCT)
    assert done.returncode == 1
    assert f"input image size[{SIZE - 4}] is not equal to model input size[{SIZE}]" in done.stdout


@pytest.mark.parametrize(
    ("config", "good"),
    [('version: 1\nskip_layers: "/head/Conv: 0"\n', True), ("skip_layer: 1\n", False), ("a {\n", False)],
)
def test_amct_reads_its_configuration(bench: Bench, config: str, *, good: bool) -> None:
    (bench.root / "amct.cfg").write_text(config, encoding="utf-8")
    done = bench.run("amct_onnx", *AMCT, "--calibration_config", "amct.cfg")
    assert (done.returncode == 0) is good, done.stdout


def test_cncc_takes_the_line_of_the_template_and_nothing_else(bench: Bench) -> None:
    assert bench.run("cncc", *CNCC).returncode == 0
    assert b'"fake": "cncc"' in (bench.root / "out" / "m.cambricon").read_bytes()
    assert "unknown argument: '--batch=4'" in bench.run("cncc", *CNCC, "--batch=4").stdout
    assert "--arch is missing" in bench.run("cncc", *CNCC[:2]).stdout
    assert "invalid value 'mlu370'" in bench.run("cncc", *CNCC, "--arch=mlu370").stdout


def test_cncc_can_behave_as_the_compiler_it_really_is(bench: Bench) -> None:
    done = bench.run("cncc", *CNCC, mode="c-compiler")
    assert done.returncode == 1
    assert "unknown argument: '--model=m.onnx'" in done.stdout
    assert "cncc v" in bench.run("cncc", "--version", mode="c-compiler").stdout


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (["-model", "yolo11"], "The specified model is not currently supported"),
        (["-modelzoo", "absent"], "no weights below absent"),
        (["-core_number", "17"], "core_number 17 is not supported"),
        (["-autotune", "1"], "Fake device is not supported for autotune"),
        (["--precision", "int8"], "unrecognized arguments"),
    ],
)
def test_genoff_refuses(bench: Bench, change: list[str], text: str) -> None:
    done = bench.run("genoff.py", *GENOFF, *change)
    assert done.returncode != 0
    assert text in done.stdout


def test_genoff_leaves_a_model_and_its_twin(bench: Bench) -> None:
    assert bench.run("genoff.py", *GENOFF).returncode == 0
    assert (bench.root / "out" / "m.cambricon").stat().st_size
    assert (bench.root / "out" / "m.cambricon_twins").stat().st_size


@pytest.mark.parametrize(
    ("mode", "code", "left"),
    [("fail", 255, False), ("no-output", 0, False), ("garbage", 0, True), ("killed", -9, False)],
)
def test_a_fake_misbehaves_as_told(bench: Bench, mode: str, code: int, *, left: bool) -> None:
    done = bench.atc(mode=mode)
    assert done.returncode == code
    model = bench.root / "out" / "model.om"
    assert model.exists() is left
    assert not (left and model.read_bytes().startswith(b"IMOD"))


def test_a_fake_refuses_a_mode_it_does_not_know(bench: Bench) -> None:
    assert "there is no mode 'explode'" in bench.atc(mode="explode").stderr


@pytest.mark.parametrize(("tool", "words"), [("amct_onnx", AMCT), ("cncc", CNCC), ("genoff.py", GENOFF)])
def test_every_fake_can_fail_and_can_leave_nothing(bench: Bench, tool: str, words: list[str]) -> None:
    assert bench.run(tool, *words, mode="fail").returncode == 1
    assert bench.run(tool, *words, mode="no-output").returncode == 0
    assert not list((bench.root / "out").iterdir())


def test_no_fake_can_be_taken_for_the_real_tool_by_a_cache(bench: Bench) -> None:
    environ = install(bench.tools)
    for name in ("ascend", "cambricon"):
        for tool in load_toolchain(name, [REPOSITORY / "templates"]).tools.values():
            probed = probe_tool(name, tool, environ)
            assert probed.usable
            assert probed.version
            assert "fake" in probed.raw.lower()
