"""The fakes of the Dataflow Compiler, trtexec and QAIRT must be as strict as the real tools."""

from __future__ import annotations

import json
import math
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.environment.probe import probe_tool
from tests.fakes.install import install
from tests.fakes.tiny_onnx import tiny_onnx
from tests.unit.plans import toolchain

if TYPE_CHECKING:
    from pathlib import Path

PARSE = ["parser", "onnx", "m.onnx", "--net-name", "m", "--hw-arch", "hailo8l", "--har-path", "m.har", "-y"]
OPTIMIZE = [
    *("optimize", "m.har", "--hw-arch", "hailo8l", "--calib-set-path", "c.npy"),
    *("--model-script", "m.alls", "--output-har-path", "o.har"),
]
COMPILE = ["compiler", "o.har", "--hw-arch", "hailo8l", "--output-dir", "out"]
TRT = ["--onnx=m.onnx", "--saveEngine=out/m.engine"]
CONVERT = ["--input_network", "m.onnx", "--output_path", "m.dlc"]
QUANTIZE = [
    "--input_dlc",
    "m.dlc",
    "--input_list",
    "list.txt",
    "--output_dlc",
    "q.dlc",
    "--act_bitwidth",
    "8",
]
CONTEXT = [
    *("--model", "libQnnModelDlc.so", "--backend", "libQnnHtp.so", "--dlc_path", "m.dlc"),
    *("--binary_file", "m", "--output_dir", "out", "--config_file", "config.json"),
]
SIZE = 1 * 3 * 8 * 8 * 4


def npy(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    """Return a .npy file of zeros."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    data = bytes(math.prod(shape) * int(kind[2:]))
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


class Bench:
    """A scratch directory with a model, calibration data and the fakes."""

    def __init__(self, root: Path, **versions: Any) -> None:
        self.root = root
        self.variables = install(root / "tools", **versions)
        self.write("m.onnx", tiny_onnx())
        self.write("c.npy", npy((8, 8, 8, 3)))
        self.write("m.alls", b"normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])\n")
        self.write("0.bin", bytes(SIZE))
        self.write("list.txt", b"0.bin\n")
        extensions = {"shared_library_path": "libQnnHtpNetRunExtensions.so", "config_file_path": "htp.json"}
        self.write("config.json", json.dumps({"backend_extensions": extensions}).encode())
        self.write("htp.json", json.dumps({"devices": [{"dsp_arch": "v73"}]}).encode())

    def write(self, name: str, data: bytes) -> None:
        (self.root / name).write_bytes(data)

    def run(self, tool: str, *words: str, mode: str = "ok") -> subprocess.CompletedProcess[str]:
        settings = self.root / "tools" / "bin" / "fake.json"
        told = {**json.loads(settings.read_text(encoding="utf-8")), tool: mode}
        settings.write_text(json.dumps(told), encoding="utf-8")
        return subprocess.run(
            [str(self.root / "tools" / "bin" / tool), *words],
            cwd=self.root,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class TestHailo:
    def test_three_steps_lead_to_a_hef(self, bench: Bench) -> None:
        said = ""
        for words in (PARSE, OPTIMIZE, COMPILE):
            done = bench.run("hailo", *words)
            assert done.returncode == 0, done.stdout
            said = done.stdout
        assert "Successful Compilation" in said
        assert (bench.root / "out" / "m.hef").read_bytes().startswith(bytes.fromhex("01484546"))

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (["--hw-arch", "hailo9"], "invalid choice: 'hailo9'"),
            (["--precision", "int8"], "unrecognized arguments: --precision int8"),
            (["--hw"], "unrecognized arguments: --hw"),
        ],
    )
    def test_a_wrong_flag_is_caught(self, bench: Bench, change: list[str], text: str) -> None:
        done = bench.run("hailo", *PARSE, *change)
        assert done.returncode == 2
        assert text in done.stdout

    def test_a_question_on_standard_input_is_not_answered(self, bench: Bench) -> None:
        assert "EOFError" in bench.run("hailo", *PARSE[:-1]).stdout

    @pytest.mark.parametrize(
        ("file", "data", "text"),
        [
            ("c.npy", npy((8, 3, 8, 8)), "doesn't match network's input shape (8, 8, 3)"),
            ("c.npy", b"PK", "is no .npy file"),
            ("c.npy", npy((8, 8, 8, 3))[:-1], "is cut short"),
            ("m.alls", b"normalise([0], [255])\n", "AllocatorScriptParserException"),
            ("m.har", b"{}", "InvalidHARFile"),
        ],
    )
    def test_wrong_files_are_refused(self, bench: Bench, file: str, data: bytes, text: str) -> None:
        assert bench.run("hailo", *PARSE).returncode == 0
        bench.write(file, data)
        done = bench.run("hailo", *OPTIMIZE)
        assert done.returncode == 1
        assert text in done.stdout

    def test_what_is_not_optimized_is_not_compiled(self, bench: Bench) -> None:
        bench.run("hailo", *PARSE)
        done = bench.run("hailo", "compiler", "m.har", "--hw-arch", "hailo8l")
        assert "is parsed, expected optimized" in done.stdout

    @pytest.mark.parametrize("words", [PARSE, OPTIMIZE, COMPILE])
    def test_it_can_fail_and_can_leave_nothing(self, bench: Bench, words: list[str]) -> None:
        for step in (PARSE, OPTIMIZE, COMPILE)[: (PARSE, OPTIMIZE, COMPILE).index(words)]:
            bench.run("hailo", *step)
        assert bench.run("hailo", *words, mode="fail").returncode == 1
        assert bench.run("hailo", *words, mode="no-output").returncode == 0


class TestTrtexec:
    @pytest.mark.parametrize(
        ("version", "text"), [("8.6.1", "v8601"), ("10.16.0", "v101600"), ("11.2.1", "v110201")]
    )
    def test_it_says_its_version_as_the_real_one_does(self, tmp_path: Path, version: str, text: str) -> None:
        bench = Bench(tmp_path, trtexec=version)
        assert f"&&&& RUNNING TensorRT.trtexec [TensorRT {text}]" in bench.run("trtexec", "--help").stdout
        probed = probe_tool("tensorrt", toolchain("tensorrt").tools["trtexec"], bench.variables)
        assert probed.version == version

    def test_it_builds_an_engine(self, bench: Bench) -> None:
        done = bench.run("trtexec", *TRT, "--fp16", "--memPoolSize=workspace:2048")
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1].startswith("&&&& PASSED TensorRT.trtexec [TensorRT v100300]")
        assert b"written by a fake" in (bench.root / "out" / "m.engine").read_bytes()

    @pytest.mark.parametrize("flag", ["--fp16", "--int8", "--best", "--calib=cache"])
    def test_eleven_has_no_flags_for_precision(self, tmp_path: Path, flag: str) -> None:
        done = Bench(tmp_path, trtexec="11.4.1").run("trtexec", *TRT, flag)
        assert done.returncode == 1
        assert "Unknown option: " in done.stdout
        assert "&&&& FAILED TensorRT.trtexec [TensorRT v110401]" in done.stdout

    @pytest.mark.parametrize("flag", ["--half", "--int9", "--useDLACore=2", "--memPoolSize=2048", "--fp16=1"])
    def test_a_wrong_flag_is_caught(self, bench: Bench, flag: str) -> None:
        assert bench.run("trtexec", *TRT, flag).returncode == 1

    def test_a_quantized_model_needs_int8_before_eleven(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path)
        bench.write("m.onnx", tiny_onnx(op="DequantizeLinear"))
        assert "INT8 mode is not enabled" in bench.run("trtexec", *TRT, "--fp16").stdout
        assert bench.run("trtexec", *TRT, "--int8").returncode == 0

    def test_it_can_fail_and_can_leave_nothing(self, bench: Bench) -> None:
        assert "[E] Failed to parse onnx file" in bench.run("trtexec", *TRT, mode="fail").stdout
        assert bench.run("trtexec", *TRT, mode="no-output").returncode == 0
        assert not (bench.root / "out").exists()


class TestQairt:
    def test_three_steps_lead_to_a_context_binary(self, bench: Bench) -> None:
        assert "INFO_CONVERSION_SUCCESS" in bench.run("qairt-converter", *CONVERT).stdout
        assert "Quantization completed successfully" in bench.run("qairt-quantizer", *QUANTIZE).stdout
        done = bench.run("qnn-context-binary-generator", *CONTEXT)
        assert done.returncode == 0, done.stdout
        assert b"v73" in (bench.root / "out" / "m.bin").read_bytes()

    def test_v68_computes_nothing_in_floating_point(self, bench: Bench) -> None:
        bench.run("qairt-converter", *CONVERT)
        bench.run("qairt-quantizer", *QUANTIZE)
        htp = bench.root / "htp.json"
        htp.write_text(htp.read_text(encoding="utf-8").replace("v73", "v68"), encoding="utf-8")
        quantized = [*CONTEXT, "--dlc_path", "q.dlc"]
        assert bench.run("qnn-context-binary-generator", *quantized).returncode == 0
        done = bench.run("qnn-context-binary-generator", *CONTEXT)
        assert done.returncode != 0
        assert "floating-point type which is not supported" in done.stdout

    @pytest.mark.parametrize(
        ("tool", "words", "change", "text"),
        [
            ("qairt-converter", CONVERT, ["--int8"], "unrecognized arguments: --int8"),
            ("qairt-converter", CONVERT, ["--float_bitwidth", "8"], "invalid choice: '8'"),
            ("qairt-quantizer", QUANTIZE, ["--act_bitwidth", "7"], "invalid choice: '7'"),
            ("qairt-quantizer", QUANTIZE, ["--per_channel"], "unrecognized arguments: --per_channel"),
            ("qnn-context-binary-generator", CONTEXT, ["--backend", "libQnnGpu.so"], "invalid choice"),
            ("qnn-context-binary-generator", CONTEXT, ["--soc", "v73"], "unrecognized arguments"),
        ],
    )
    def test_a_wrong_flag_is_caught(
        self, bench: Bench, tool: str, words: list[str], change: list[str], text: str
    ) -> None:
        bench.run("qairt-converter", *CONVERT)
        done = bench.run(tool, *words, *change)
        assert done.returncode == 2
        assert text in done.stdout

    @pytest.mark.parametrize(
        ("tool", "words", "file", "data", "text"),
        [
            ("qairt-quantizer", QUANTIZE, "0.bin", bytes(SIZE - 4), f"expected {SIZE} for input shape"),
            (
                "qairt-quantizer",
                QUANTIZE,
                "list.txt",
                b"absent.bin\n",
                "Failed to open input file: absent.bin",
            ),
            ("qairt-quantizer", QUANTIZE, "list.txt", b"\n", "lists no input"),
            (
                "qnn-context-binary-generator",
                CONTEXT,
                "htp.json",
                b'{"devices": [{"dsp_arch": "v1"}]}',
                "Unknown",
            ),
            ("qnn-context-binary-generator", CONTEXT, "config.json", b"{}x", "Unable to read config.json"),
            ("qnn-context-binary-generator", CONTEXT, "m.dlc", b"", "Unable to load model m.dlc"),
            ("qairt-converter", CONVERT, "m.onnx", tiny_onnx(opset=23), "OPSET_NOT_SUPPORTED: 23"),
        ],
    )
    def test_wrong_files_are_refused(
        self, bench: Bench, tool: str, words: list[str], file: str, data: bytes, text: str
    ) -> None:
        bench.run("qairt-converter", *CONVERT)
        bench.write(file, data)
        done = bench.run(tool, *words)
        assert done.returncode == 1
        assert text in done.stdout

    @pytest.mark.parametrize(
        ("tool", "words"),
        [
            ("qairt-converter", CONVERT),
            ("qairt-quantizer", QUANTIZE),
            ("qnn-context-binary-generator", CONTEXT),
        ],
    )
    def test_it_can_fail_and_can_leave_nothing(self, bench: Bench, tool: str, words: list[str]) -> None:
        bench.run("qairt-converter", *CONVERT)
        assert bench.run(tool, *words, mode="fail").returncode == 1
        assert bench.run(tool, *words, mode="no-output").returncode == 0


@pytest.mark.parametrize("name", ["hailo", "tensorrt", "qualcomm"])
def test_no_fake_can_be_taken_for_the_real_tool_by_a_cache(bench: Bench, name: str) -> None:
    for tool in toolchain(name).tools.values():
        if tool.executable:
            probed = probe_tool(name, tool, bench.variables)
            assert probed.usable
            assert "fake" in probed.raw.lower()
