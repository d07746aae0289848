"""A strict fake of the ``genoff.py`` in torch_mlu's examples: its arguments, checks and outputs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from tests.fakes.fake_common import Refused, digest, play, refuse_if, say, stamp

SUPPORT = ("resnet50", "mobilenet_v2", "ssd", "yolov2", "yolov3", "yolov4", "yolov4-tiny", "yolov5")
NUMBERS = {
    "core_number": 1,
    "channel_size": 3,
    "batch_size": 1,
    "in_height": 224,
    "in_width": 224,
    "half_input": 1,
    "fake_device": 1,
    "quantized_mode": 1,
    "input_format": 0,
    "autotune": 0,
    "autotune_time_limit": 120,
}
RANGES = {
    "core_number": range(1, 17),
    "half_input": range(2),
    "fake_device": range(2),
    "quantized_mode": range(1, 3),
    "input_format": range(4),
    "autotune": range(2),
}


class Parser(argparse.ArgumentParser):
    """Reports like genoff.py, which uses argparse as well."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"usage: genoff.py [-h] [-model MODEL] ...\ngenoff.py: error: {message}", 2)


def main() -> None:
    """Check the arguments and the weights, and write an offline model and its twin that say they are fake."""
    play("genoff.py", "torch_mlu's genoff.py", generate)


def generate(mode: str) -> None:
    options = parse(sys.argv[1:])
    weights = check(options)
    text = "Traceback (most recent call last):\nRuntimeError: CNML error: CNML_STATUS_INVALIDARG"
    refuse_if(mode == "fail", text)
    say(f"[genoff.py line:308] - INFO: Generate offline model: {options.model}")
    if mode == "no-output":
        return
    facts = {name: value for name, value in vars(options).items() if name not in {"mname", "modelzoo"}}
    body = stamp("genoff.py", {**facts, "weights": [digest(str(path)) for path in weights]})
    Path(f"{options.mname}.cambricon").write_bytes(b"" if mode == "garbage" else body)
    Path(f"{options.mname}.cambricon_twins").write_bytes(b"fake twins of\n" + body)


def parse(words: list[str]) -> argparse.Namespace:
    parser = Parser(prog="genoff.py", allow_abbrev=False)
    parser.add_argument("-model", default="")
    parser.add_argument("-mname", default="offline")
    parser.add_argument("-mcore", default="MLU270")
    parser.add_argument("-modelzoo")
    parser.add_argument("-autotune_config_path", default="config.ini")
    for name, default in NUMBERS.items():
        parser.add_argument(f"-{name}", type=int, default=default)
    return parser.parse_args(words)


def check(options: argparse.Namespace) -> list[Path]:
    """Return the weight files."""
    if options.model not in SUPPORT:
        raise Refused("AssertionError: The specified model is not currently supported.\n"
                      f"Support model list: {list(SUPPORT)}")  # fmt: skip
    if options.fake_device and options.autotune:
        raise Refused("AssertionError: Fake device is not supported for autotune!")
    if options.mcore not in {"MLU220", "MLU270"}:
        raise Refused(f"RuntimeError: unknown core version {options.mcore}")
    for name, allowed in RANGES.items():
        if getattr(options, name) not in allowed:
            raise Refused(f"RuntimeError: {name} {getattr(options, name)} is not supported")
    if options.modelzoo is None:
        raise Refused("Warning: please set environment variable TORCH_HOME such as $PWD/models/pytorch")
    weights = sorted(path for path in Path(options.modelzoo).glob("**/*") if path.is_file())
    if not weights:
        raise Refused(f"FileNotFoundError: no weights below {options.modelzoo}")
    return weights
