"""A strict fake of Huawei's amct_onnx: ``calibration`` only, with the checks that catch wrong data."""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path
from typing import NoReturn

from tests.fakes.fake_common import Refused, fits, mark_onnx, parse_shape, play, read_onnx, refuse_if, say

CONFIG_KEYS = {
    *("version", "activation_offset", "joint_quant", "do_fusion", "skip_layers", "skip_layer_types"),
    *("skip_fusion_layers", "common_config", "arq_quantize", "ifmr_quantize", "channel_wise", "quant_bits"),
    *("asymmetric", "search_range_start", "search_range_end", "search_step", "max_percentile"),
    *("min_percentile", "override_layer_types", "override_layer_configs", "layer_type", "layer_name"),
    *("calibration_config", "tensor_quantize", "input_index", "dst_type"),
}


class Parser(argparse.ArgumentParser):
    """Reports like the tool's own parser, which is argparse as well."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"usage: amct_onnx calibration ...\namct_onnx calibration: error: {message}", 2)


def main() -> None:
    """Check the model and the calibration data, and write two ONNX files that are marked as fake."""
    play("amct_onnx", "Huawei's AMCT for ONNX", calibrate)


def calibrate(mode: str) -> None:
    options = parse(sys.argv[1:])
    files = check(options)
    text = "Traceback (most recent call last):\nRuntimeError: do calibration inference failed"
    refuse_if(mode == "fail", text)
    for file in files[: options.batch_num]:
        say(f"INFO - [AMCT]:[Utils]: calibrate with {file.name}")
    for kind in ("deploy", "fake_quant"):
        path = Path(f"{options.save_path}_{kind}_model.onnx")
        if mode != "no-output":
            path.parent.mkdir(parents=True, exist_ok=True)
            data = mark_onnx(Path(options.model).read_bytes(), kind)
            path.write_bytes(bytes(64) if mode == "garbage" else data)
        say(f"INFO - [AMCT]:[Utils]: The model file is saved in {path}")


def parse(words: list[str]) -> argparse.Namespace:
    if words[:1] != ["calibration"]:
        raise Refused(
            "usage: amct_onnx {calibration} ...\namct_onnx: error: the fake knows calibration only", 2
        )
    parser = Parser(prog="amct_onnx calibration", add_help=False, allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--save_path", required=True)
    parser.add_argument("--input_shape", required=True)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--data_types", "--data_type", dest="data_types", required=True, choices=["float32"])
    parser.add_argument("--batch_num", type=int)
    parser.add_argument("--calibration_config")
    parser.add_argument("--evaluator")
    return parser.parse_args(words[1:])


def check(options: argparse.Namespace) -> list[Path]:
    """Return the calibration files."""
    try:
        model, shapes = read_onnx(options.model), parse_shape(options.input_shape)
    except (OSError, ValueError) as error:
        raise Refused(f"ValueError: {options.model} or {options.input_shape}: {error}") from error
    wrong = fits(shapes, model)
    if wrong:
        raise Refused(f"ValueError: {wrong}")
    files = sorted(Path(options.data_dir).glob("*.bin"))
    if not files:
        raise Refused(f"RuntimeError: there is no .bin file in {options.data_dir}")
    size = math.prod(next(iter(shapes.values()))) * 4
    for file in files:
        if file.stat().st_size != size:
            raise Refused(
                f"[ERROR] AMCT: input image size[{file.stat().st_size}] is not equal to "
                f"model input size[{size}] ({file.name})"
            )
    if options.batch_num is not None and not 0 < options.batch_num <= len(files):
        raise Refused(f"ValueError: batch_num {options.batch_num} does not fit {len(files)} files")
    check_config(options.calibration_config)
    return files


def check_config(path: str | None) -> None:
    if path is None:
        return
    if not Path(path).is_file():
        raise Refused(f"FileNotFoundError: {path}")
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', Path(path).read_text(encoding="utf-8"))
    for line in text.splitlines():
        key = re.match(r"\s*(\w+)\s*:", line)
        if key and key.group(1) not in CONFIG_KEYS:
            raise Refused(f"google.protobuf.text_format.ParseError: no field named {key.group(1)!r}")
    if text.count("{") != text.count("}"):
        raise Refused("google.protobuf.text_format.ParseError: unbalanced braces")
