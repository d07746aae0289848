"""A strict fake of ``cncc`` as the template calls it; in mode ``c-compiler`` it behaves as the public one."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fakes.fake_common import Refused, digest, play, read_onnx, refuse_if, say, stamp

VALUES = {"arch": ("mlu220", "mlu270"), "quantize": ("int8", "int16")}
FLAGS = ("model", "output", "arch", "quantize")


def main() -> None:
    """Check the line and write a file that says it is fake."""
    play("cncc", "Cambricon's cncc", compile_model)


def compile_model(mode: str) -> None:
    words = sys.argv[1:]
    if words == ["--version"]:
        say("cncc v2.16.0 clang version 3.8.0")
        return
    text = f"cncc: error: unknown argument: '{' '.join(words[:1])}'\ncncc: error: no input files"
    refuse_if(mode == "c-compiler", text)
    flags = parse(words)
    try:
        read_onnx(flags["model"])
    except (OSError, ValueError) as error:
        raise Refused(f"cncc: error: {flags['model']}: {error}") from error
    refuse_if(mode == "fail", "cncc: error: unsupported option in the model")
    if mode != "no-output":
        facts = {name: value for name, value in flags.items() if name not in {"model", "output"}}
        body = stamp("cncc", {**facts, "model": digest(flags["model"])})
        Path(flags["output"]).write_bytes(b"" if mode == "garbage" else body)


def parse(words: list[str]) -> dict[str, str]:
    flags: dict[str, str] = {}
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if word == "--enable_parallel":
            flags["enable_parallel"] = "1"
        elif word.startswith("--") and name in FLAGS and value:
            flags[name] = value
        else:
            raise Refused(f"cncc: error: unknown argument: '{word}'")
    for name in FLAGS:
        if name not in flags:
            raise Refused(f"cncc: error: --{name} is missing")
    for name, known in VALUES.items():
        if flags[name] not in known:
            raise Refused(f"cncc: error: invalid value '{flags[name]}' in '--{name}'")
    return flags
