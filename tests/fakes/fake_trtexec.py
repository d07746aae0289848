"""A strict fake of NVIDIA's trtexec, of the version that ``fake.json`` or the installation names."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tests.fakes.fake_common import Refused, digest, play, read_onnx, refuse_if, say, stamp

PRECISION = ("fp16", "bf16", "int8", "fp8", "int4", "best", "calib")
"""Flags that version 11 removed."""

VALUES = {
    "onnx": r".+",
    "saveEngine": r".+",
    "calib": r".+",
    "shapes": r"[^,:]+:\d+(x\d+)*(,[^,:]+:\d+(x\d+)*)*",
    "minShapes": r"[^,:]+:\d+(x\d+)*(,[^,:]+:\d+(x\d+)*)*",
    "optShapes": r"[^,:]+:\d+(x\d+)*(,[^,:]+:\d+(x\d+)*)*",
    "maxShapes": r"[^,:]+:\d+(x\d+)*(,[^,:]+:\d+(x\d+)*)*",
    "memPoolSize": r"(workspace|dlaSRAM|dlaLocalDRAM|dlaGlobalDRAM|tacticSharedMem):\d+(\.\d+)?[BKMG]?",
    "useDLACore": r"[01]",
    "duration": r"\d+",
    "warmUp": r"\d+",
    "iterations": r"\d+",
    "exportTimes": r".+",
}
SWITCHES = {"allowGPUFallback", "verbose", "fp16", "bf16", "int8", "fp8", "int4", "best"}


def main() -> None:
    """Check the command line and the model as trtexec would, and write a file that says it is fake."""
    play("trtexec", "NVIDIA's trtexec", build)


def build(mode: str) -> None:
    release = version()
    line = f"TensorRT.trtexec [TensorRT v{encoded(release)}] [b0] # trtexec {' '.join(sys.argv[1:])}"
    say(f"&&&& RUNNING {line}")
    if sys.argv[1:] in (["--help"], ["--version"]):
        say("=== Model Options ===")
        return
    try:
        work(release, mode)
    except Refused as refused:
        say(f"{refused}\n&&&& FAILED {line}")
        sys.exit(1)
    say("[01/01/2026-00:00:00] [I] Throughput: 100 qps")
    say(f"&&&& PASSED {line}")


def work(release: tuple[int, ...], mode: str) -> None:
    flags = parse(release[0])
    refuse_if("onnx" not in flags, "[01/01/2026-00:00:00] [E] Model missing or format not recognized")
    try:
        model = read_onnx(flags["onnx"])
    except (OSError, ValueError) as error:
        raise failed(f"{error}") from error
    data = Path(flags["onnx"]).read_bytes()
    if model.quantized:
        # The graph of this fake's tests is too small for a parser: names say what ONNX Runtime wrote.
        refuse_if(
            b"bias_quantized" in data, failed_text("only activation types allowed as input to this layer.")
        )
        text = "[W] [TRT] Calibrator won't be used in explicit quantization mode."
        say(f"[01/01/2026-00:00:00] {text}")
        refuse_if(
            release[0] < 11 and "int8" not in flags,
            failed_text("Network has QDQ layers but INT8 mode is not enabled"),
        )
    refuse_if(mode == "fail", failed_text("Error Code 4: Internal Error (Invalid Node - /fake/Op)"))
    if mode != "no-output" and "saveEngine" in flags:
        path = Path(flags["saveEngine"])
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {name: value for name, value in flags.items() if name not in {"onnx", "saveEngine"}}
        facts |= {"version": encoded(release), "model": digest(flags["onnx"])}
        path.write_bytes(b"" if mode == "garbage" else stamp("trtexec", facts))


def parse(major: int) -> dict[str, str]:
    flags: dict[str, str] = {}
    for word in sys.argv[1:]:
        name, _, value = word.removeprefix("--").partition("=")
        known = name in SWITCHES if "=" not in word else name in VALUES
        removed = major >= 11 and name in PRECISION
        refuse_if(
            not word.startswith("--") or not known or removed,
            f"[01/01/2026-00:00:00] [E] Unknown option: --{name} {value}",
        )
        if name in VALUES:
            text = f"[01/01/2026-00:00:00] [E] Invalid value for --{name}: {value}"
            refuse_if(not re.fullmatch(VALUES[name], value), text)
        flags[name] = value
    refuse_if(
        "allowGPUFallback" in flags and "useDLACore" not in flags, "[E] --allowGPUFallback needs a DLA core"
    )
    return flags


def failed_text(reason: str) -> str:
    return f"[01/01/2026-00:00:00] [E] [TRT] {reason}\n[01/01/2026-00:00:00] [E] Failed to parse onnx file"


def failed(reason: str) -> Refused:
    return Refused(failed_text(reason))


def version() -> tuple[int, ...]:
    """Return the version this fake plays: ``versions`` in ``fake.json`` beside it, else 10.3.0."""
    settings = Path(sys.argv[0]).absolute().parent / "fake.json"
    told = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    return tuple(int(part) for part in str(told.get("trtexec-version", "10.3.0")).split("."))


def encoded(release: tuple[int, ...]) -> str:
    """Return a version as the real tool writes it: v100300 from 10 on, v8601 before."""
    major, minor, patch = release
    return f"{major}{minor:02}{patch:02}" if major >= 10 else f"{major}{minor}{patch:02}"
