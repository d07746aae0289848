"""Strict fakes of Qualcomm's qairt-converter, qairt-quantizer and qnn-context-binary-generator."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from tests.fakes.fake_common import Refused, digest, play, read_onnx, refuse_if, say, stamp

CALIBRATIONS = ("min-max", "sqnr", "entropy", "mse", "percentile")
ARCHITECTURES = ("v68", "v69", "v73", "v75", "v79", "v81")


class Parser(argparse.ArgumentParser):
    """Reports like the tools' own parsers."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"usage: {self.prog} [-h] ...\n{self.prog}: error: {message}", 2)


def main() -> None:
    """Play the tool whose name the launcher has."""
    tool = Path(sys.argv[0]).name
    parts = {
        "qairt-converter": convert,
        "qairt-quantizer": quantize,
        "qnn-context-binary-generator": generate,
    }
    play(tool, f"Qualcomm's {tool}", parts[tool])


def convert(mode: str) -> None:
    parser = Parser(prog="qairt-converter", add_help=False, allow_abbrev=False)
    parser.add_argument("--input_network", required=True)
    parser.add_argument("--output_path")
    parser.add_argument("--source_model_input_shape", nargs=2, action="append")
    parser.add_argument("--quantization_overrides")
    parser.add_argument("--float_bitwidth", choices=["16", "32"], default="32")
    parser.add_argument("--dry_run", action="store_true")
    options = parser.parse_args()
    try:
        model = read_onnx(options.input_network)
    except (OSError, ValueError) as error:
        raise Refused(f"ERROR - ERROR_ONNX_MODEL_PARSING: {options.input_network}: {error}") from error
    refuse_if(model.opset > 22, f"ERROR - ERROR_ONNX_OPSET_NOT_SUPPORTED: {model.opset}")
    refuse_if(mode == "fail", "ERROR - Tensors {'output0'} occur in value_info but also in model IO")
    facts = {
        "stage": "quantized" if model.quantized else "float",
        "graph": Path(options.output_path).stem,
        "bits": options.float_bitwidth,
        "inputs": {name: list(shape) for name, shape in model.inputs.items()},
        "model": digest(options.input_network),
    }
    write_dlc(options.output_path, facts, mode)
    say("2026-01-01 00:00:00,000 - 235 - INFO - INFO_CONVERSION_SUCCESS: Conversion completed successfully")


def quantize(mode: str) -> None:
    parser = Parser(prog="qairt-quantizer", add_help=False, allow_abbrev=False)
    parser.add_argument("--input_dlc", required=True)
    parser.add_argument("--output_dlc")
    parser.add_argument("--input_list", required=True)
    parser.add_argument("--act_bitwidth", choices=["8", "16"], default="8")
    parser.add_argument("--weights_bitwidth", choices=["4", "8"], default="8")
    parser.add_argument("--bias_bitwidth", choices=["8", "32"], default="8")
    parser.add_argument("--act_quantizer_calibration", choices=CALIBRATIONS, default="min-max")
    parser.add_argument("--use_per_channel_quantization", action="store_true")
    options = parser.parse_args()
    dlc = read_dlc(options.input_dlc)
    refuse_if(dlc["stage"] != "float", f"ERROR - {options.input_dlc} is quantized already")
    check_list(options.input_list, dlc["inputs"])
    refuse_if(mode == "fail", "ERROR - [QNN_CPU] Quantization failed")
    settings = {name: value for name, value in vars(options).items() if "dlc" not in name}
    write_dlc(options.output_dlc, {**dlc, "stage": "quantized", **settings, "input_list": ""}, mode)
    say("2026-01-01 00:00:00,000 - 235 - INFO - Quantization completed successfully")


def generate(mode: str) -> None:
    parser = Parser(prog="qnn-context-binary-generator", add_help=False, allow_abbrev=False)
    parser.add_argument("--model", required=True, choices=["libQnnModelDlc.so"])
    parser.add_argument("--backend", required=True, choices=["libQnnHtp.so"])
    parser.add_argument("--dlc_path", required=True)
    parser.add_argument("--binary_file", required=True)
    parser.add_argument("--output_dir", default="./output")
    parser.add_argument("--config_file")
    parser.add_argument("--log_level", choices=["error", "warn", "info", "debug", "verbose"])
    options = parser.parse_args()
    dlc = read_dlc(options.dlc_path)
    device = check_config(options.config_file, dlc["graph"])
    without = [one for one in device if one["dsp_arch"] == "v68" and dlc["stage"] == "float"]
    refuse_if(bool(without), "[ ERROR ] images: floating-point type which is not supported on v68")
    refuse_if(
        mode == "fail",
        "1.0ms [ ERROR ] fa_alloc.cc:2425::ERROR:graph requires estimated allocation of 2741569 KB, limit is "
        "2097152 KB\nGraph Finalize failure",
    )
    path = Path(options.output_dir) / f"{options.binary_file}.bin"
    if mode != "no-output":
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"dlc": digest(options.dlc_path), "device": device}
        path.write_bytes(b"" if mode == "garbage" else stamp("qnn-context-binary-generator", facts))


def check_list(path: str, inputs: dict[str, list[int]]) -> None:
    """Refuse a list whose files are missing or have another size than the input, as raw float32."""
    refuse_if(not Path(path).is_file(), f"ERROR - Could not open {path}")
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    files = [line for line in lines if line.strip()]
    refuse_if(not files, f"ERROR - {path} lists no input")
    (shape,) = inputs.values()
    size = math.prod(shape) * 4
    for line in files:
        file = Path(line.rpartition(":=")[2].strip())
        refuse_if(not file.is_file(), f"ERROR - Failed to open input file: {file}")
        found = file.stat().st_size
        refuse_if(found != size, f"ERROR - {file} has {found} bytes, expected {size} for input shape {shape}")


def check_config(path: str | None, graph: str) -> list[dict[str, Any]]:
    """Check the two configuration files, the second of which the first one names; return the devices."""
    if path is None:
        return []
    extensions = read_json(path, {"backend_extensions"})["backend_extensions"]
    refuse_if(
        set(extensions) != {"shared_library_path", "config_file_path"}
        or extensions["shared_library_path"] != "libQnnHtpNetRunExtensions.so",
        f"[ ERROR ] Error parsing backend extensions of {path}",
    )
    config = read_json(extensions["config_file_path"], {"graphs", "devices", "context"})
    devices = config.get("devices", [])
    for device in devices:
        known = set(device) <= {"dsp_arch", "soc_id", "soc_model", "cores"}
        refuse_if(
            not known or device.get("dsp_arch") not in ARCHITECTURES, f"[ ERROR ] Unknown device {device}"
        )
    for entry in config.get("graphs", []):
        wrong = entry.get("graph_names") != [graph] or not re.fullmatch(r"\d+", str(entry.get("vtcm_mb", 0)))
        refuse_if(wrong, f"[ ERROR ] Graph configuration {entry} fits no graph of the model ({graph})")
    return list(devices)


def read_json(path: str, keys: set[str]) -> dict[str, Any]:
    try:
        document = dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise Refused(f"[ ERROR ] Unable to read {path}: {error}") from error
    refuse_if(not set(document) <= keys, f"[ ERROR ] Unknown key in {path}: {sorted(set(document) - keys)}")
    return document


def read_dlc(path: str) -> dict[str, Any]:
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8"))["dlc"])
    except (OSError, ValueError, KeyError) as error:
        raise Refused(f"ERROR - Unable to load model {path}: {error}") from error


def write_dlc(path: str, facts: dict[str, Any], mode: str) -> None:
    if mode != "no-output":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"" if mode == "garbage" else stamp("qairt", {"dlc": facts}))
