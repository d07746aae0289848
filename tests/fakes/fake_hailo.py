"""A strict fake of Hailo's Dataflow Compiler: ``hailo parser onnx``, ``optimize`` and ``compiler``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import NoReturn

from tests.fakes.fake_common import Refused, digest, play, read_onnx, refuse_if, say, stamp
from tests.fakes.fake_files import npy_header

ARCHITECTURES = (
    *("hailo8", "hailo8l", "hailo8r"),
    *("hailo10h", "hailo10p", "hailo12l", "hailo15h", "hailo15l", "hailo15m"),
)
MAGIC = bytes.fromhex("01484546")
COMMANDS = {
    "normalization": r"\w+ = normalization\(\[[\d., ]+\], \[[\d., ]+\]\)",
    "change_output_activation": r"change_output_activation\(\w+, \w+\)",
    "model_optimization_flavor": r"model_optimization_flavor\(optimization_level=[0-4]\)",
    "nms_postprocess": r'nms_postprocess\("[^"]+", meta_arch=\w+, engine=\w+\)',
    "allocator_param": r"allocator_param\(.+\)",
}
"""Lines of a model script that the fake knows, by the word that says which one it is."""


class Parser(argparse.ArgumentParser):
    """Reports like the tool's own parser, which is argparse as well."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"usage: {self.prog} [-h] ...\n{self.prog}: error: {message}", 2)


def main() -> None:
    """Check the command line and the files of one of the three steps, and write what the next one reads."""
    play("hailo", "Hailo's Dataflow Compiler", run)


def run(mode: str) -> None:
    steps = {"parser": parse_onnx, "optimize": optimize, "compiler": compile_hef}
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    refuse_if(word not in steps, f"usage: hailo [-h] ...\nhailo: error: invalid choice: {word!r}", 2)
    say(f"[info] Running `hailo {word}`")
    steps[word](sys.argv[2:], mode)


def parse_onnx(words: list[str], mode: str) -> None:
    refuse_if(
        words[:1] != ["onnx"], "usage: hailo parser [-h] ...\nhailo parser: error: the fake knows onnx", 2
    )
    parser = new_parser("hailo parser onnx")
    parser.add_argument("model")
    parser.add_argument("--net-name")
    parser.add_argument("--har-path")
    parser.add_argument("--start-node-names", nargs="+", default=[])
    parser.add_argument("--end-node-names", nargs="+", default=[])
    parser.add_argument("--tensor-shapes", nargs="+")
    parser.add_argument("-y", action="store_true")
    options = parser.parse_args(words[1:])
    name = options.net_name or Path(options.model).stem
    say(f"[info] Translation started on ONNX model {name}")
    try:
        model = read_onnx(options.model)
    except (OSError, ValueError) as error:
        raise Refused(f"Traceback (most recent call last):\n{type(error).__name__}: {error}") from error
    if mode == "fail" or model.quantized:
        say("Parsing failed with recommendations for end node names: ['/model.23/cv2.0/cv2.0.2/Conv'].")
        raise Refused("Traceback (most recent call last):\nhailo_sdk_client: UnsupportedModelError")
    refuse_if(not options.y, "EOFError: EOF when reading a line")
    shape = next(iter(model.inputs.values()))
    har = {"stage": "parsed", "name": name, "shape": list(shape), "arch": options.hw_arch}
    say(f"[info] Translation completed on ONNX model {name} (completion time: 00:00:00.10)")
    write_har(options.har_path or f"{name}.har", {**har, "model": digest(options.model)}, mode)


def optimize(words: list[str], mode: str) -> None:
    parser = new_parser("hailo optimize")
    parser.add_argument("har")
    parser.add_argument("--calib-set-path")
    parser.add_argument("--use-random-calib-set", action="store_true")
    parser.add_argument("--model-script")
    parser.add_argument("--output-har-path")
    options = parser.parse_args(words)
    har = read_har(options.har, "parsed", options.hw_arch)
    lines = check_script(options.model_script)
    refuse_if(
        bool(options.calib_set_path) == options.use_random_calib_set,
        "hailo optimize: error: one of --calib-set-path and --use-random-calib-set is needed", 2,
    )  # fmt: skip
    say("[info] Starting Model Optimization")
    if options.calib_set_path:
        check_calibration(options.calib_set_path, har, any("normalization(" in line for line in lines))
    refuse_if(mode == "fail", "BackendValueError: Unsupported NaN values were found in params")
    say("[info] Model Optimization is done")
    facts = {**har, "stage": "optimized", "script": lines}
    write_har(options.output_har_path or f"{har['name']}_optimized.har", facts, mode)


def compile_hef(words: list[str], mode: str) -> None:
    parser = new_parser("hailo compiler")
    parser.add_argument("har")
    parser.add_argument("--output-dir", default=".")
    parser.add_argument("--output-har-path")
    parser.add_argument("--model-script")
    options = parser.parse_args(words)
    har = read_har(options.har, "optimized", options.hw_arch)
    check_script(options.model_script)
    say("[info] Compiling network")
    refuse_if(mode == "fail", "[error] Mapping Failed (allocation time: 13s)\nNo successful assignments")
    path = Path(options.output_dir) / f"{har['name']}.hef"
    if mode != "no-output":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((bytes(4) if mode == "garbage" else MAGIC) + stamp("hailo", {"har": har}))
    say("[info] Successful Mapping (allocation time: 5s)")
    say("[info] Successful Compilation (compilation time: 0s)")
    say(f"[info] Saved HEF to: {path}")


def new_parser(name: str) -> Parser:
    parser = Parser(prog=name, add_help=False, allow_abbrev=False)
    parser.add_argument("--hw-arch", choices=ARCHITECTURES, default="hailo8")
    return parser


def read_har(path: str, stage: str, architecture: str) -> dict[str, object]:
    try:
        har = dict(json.loads(Path(path).read_text(encoding="utf-8"))["har"])
    except (OSError, ValueError, KeyError) as error:
        raise Refused(f"Traceback (most recent call last):\nInvalidHARFile: {path}: {error}") from error
    text = f"InvalidHARFile: {path} is {har['stage']}, expected {stage}"
    refuse_if(har["stage"] != stage, text)
    refuse_if(har["arch"] != architecture, f"InvalidArguments: {path} was made for {har['arch']}")
    return har


def write_har(path: str, facts: dict[str, object], mode: str) -> None:
    if mode != "no-output":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"" if mode == "garbage" else stamp("hailo", {"har": facts}))
    say(f"[info] Saved HAR to: {path}")


def check_script(path: str | None) -> list[str]:
    """Return the lines of a model script."""
    if path is None:
        return []
    refuse_if(not Path(path).is_file(), f"FileNotFoundError: {path}")
    lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    for line in lines:
        rule = next((rule for word, rule in COMMANDS.items() if word in line), "")
        refuse_if(not re.fullmatch(rule, line.strip()), f"AllocatorScriptParserException: {line.strip()}")
    return lines


def check_calibration(path: str, har: dict[str, object], normalized: bool) -> None:  # noqa: FBT001 - a fact
    """Refuse data that are not (images, height, width, channels) of the model's size."""
    try:
        kind, shape = npy_header(Path(path).read_bytes())
    except OSError as error:
        raise Refused(f"FileNotFoundError: {path}") from error
    except ValueError as error:
        raise Refused(f"ValueError: {path} {error}") from error
    wanted = har["shape"]
    assert isinstance(wanted, list)
    _, channels, height, width = wanted
    if len(shape) != 4 or shape[1:] != (height, width, channels):
        raise Refused(
            f"BadInputsShape: Data shape {shape} for layer {har['name']}/input_layer1 doesn't match "
            f"network's input shape {(height, width, channels)}"
        )
    say(f"[info] Using dataset with {shape[0]} entries for calibration")
    if kind != "|u1" and normalized:
        say("[info] The calibration set seems to not be normalized, because the values range is [(0.0, 1.0)]")
    if shape[0] < 1024:
        say(
            "[warning] Reducing optimization level to 0 (the accuracy won't be optimized and compression "
            "won't be used) because there's less data than the recommended amount (1024), and there's no "
            "available GPU"
        )
