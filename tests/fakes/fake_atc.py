"""A strict fake of Huawei's ATC: its flags, values, messages and exit codes, after the public sources."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.fake_common import (
    Refused,
    digest,
    fits,
    parse_shape,
    play,
    read_onnx,
    refuse_if,
    say,
    stamp,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FAILED = "ATC run failed, Please check the detail log, Try 'atc --help' for more information"

ERROR = 255
"""Its main returns -1."""

VALUES: dict[str, tuple[str, ...]] = {
    "precision_mode": (
        "force_fp16",
        "force_fp32",
        "cube_fp16in_fp32out",
        "allow_mix_precision",
        "allow_fp32_to_fp16",
        "must_keep_origin_dtype",
        "allow_mix_precision_fp16",
        "allow_mix_precision_bf16",
        "allow_fp32_to_bf16",
    ),
    "precision_mode_v2": (
        "fp16",
        "origin",
        "cube_fp16in_fp32out",
        "mixed_float16",
        "mixed_bfloat16",
        "cube_hif8",
        "mixed_hif8",
    ),
    "op_select_implmode": (
        "high_performance",
        "high_precision",
        "high_performance_for_all",
        "high_precision_for_all",
    ),
    "input_format": ("NCHW", "NCDHW", "ND"),
    "log": ("debug", "info", "warning", "error", "null"),
    "framework": ("0", "1", "3", "5"),
    "mode": ("0", "1", "3", "5", "6"),
    "enable_small_channel": ("0", "1"),
    "display_model_info": ("0", "1"),
    "deterministic": ("0", "1"),
    "op_compiler_cache_mode": ("disable", "enable", "force"),
}
"""Flags with a closed set of values."""

FLAGS = {
    *VALUES,
    *("model", "output", "soc_version", "input_shape", "output_type", "out_nodes", "insert_op_conf"),
    *("dynamic_batch_size", "dynamic_image_size", "dynamic_dims", "compression_optimize_conf"),
    *("input_fp16_nodes", "keep_dtype", "modify_mixlist", "fusion_switch_file", "aicore_num"),
    *("external_weight", "status_check", "oo_level", "host_env_os", "host_env_cpu", "check_report"),
    *("op_compiler_cache_dir", "op_precision_mode"),
}
HIGH_PRECISION = {
    "precision_mode": ("force_fp32", "must_keep_origin_dtype"),
    "precision_mode_v2": ("origin",),
    "op_select_implmode": ("high_precision", "high_precision_for_all"),
}
ELSEWHERE = {
    "precision_mode": ("allow_mix_precision_bf16", "allow_fp32_to_bf16"),
    "precision_mode_v2": ("mixed_bfloat16", "cube_hif8", "mixed_hif8"),
}
"""Values for types that the 310 and the 310P do not have."""

AIPP = {
    "aipp_mode": r"static|dynamic",
    "related_input_rank": r"\d+",
    "input_format": r"YUV420SP_U8|XRGB8888_U8|RGB888_U8|YUV400_U8",
    **dict.fromkeys(("src_image_size_w", "src_image_size_h"), r"\d{1,4}"),
    **dict.fromkeys(("csc_switch", "rbuv_swap_switch", "ax_swap_switch", "crop", "padding"), r"true|false"),
    **dict.fromkeys([f"mean_chn_{i}" for i in range(4)], r"\d{1,3}"),
    **dict.fromkeys([f"{kind}_{i}" for kind in ("min_chn", "var_reci_chn") for i in range(4)], r"[\d.]+"),
}
"""Keys of a static AIPP configuration and what they take: means are whole numbers."""

DYNAMIC = ("dynamic_batch_size", "dynamic_image_size", "dynamic_dims")


def main() -> None:
    """Check the command line and the model as ATC would, and write a file that says it is fake."""
    play("atc", "Huawei's ATC", compile_model, on_refusal=FAILED)


def compile_model(mode: str) -> None:
    say("ATC start working now, please wait for a moment.")
    flags = parse(sys.argv[1:])
    check_required(flags)
    check_flags(flags)
    check_model(flags)
    refuse_if(mode == "fail", "EZ3003: No supported Ops kernel and engine are found for [/fake/Op].", ERROR)
    if mode != "no-output":
        write(flags, bytes(4) if mode == "garbage" else b"IMOD")
    say("ATC run success, welcome to the next use.")


def parse(words: list[str]) -> dict[str, str]:
    flags: dict[str, str] = {}
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        refuse_if(not word.startswith("--") or not equals, f"E10001: [{word}] is not --name=value.", ERROR)
        refuse_if(name not in FLAGS, f"ERROR: unknown command line flag '{name}'", ERROR)
        flags[name] = value
    return flags


def check_required(flags: Mapping[str, str]) -> None:
    values = "0(Caffe) or 1(MindSpore) or 3(TensorFlow) or 5(Onnx)"
    text = f"E10007: [--framework] is required. The value must be [{values}]."
    refuse_if("framework" not in flags, text, ERROR)
    text = "E10054: The requied parameter [--model] for ATC is empty."
    refuse_if(not flags.get("model"), text, ERROR)
    for name in ("output", "soc_version"):
        refuse_if(not flags.get(name), f"E10001: parameter [--{name}] is required.", ERROR)


def check_flags(flags: Mapping[str, str]) -> None:
    for name, known in VALUES.items():
        if name in flags and flags[name] not in known:
            raise invalid(name, flags[name], f"Valid values are: {', '.join(known)}")
    if not re.fullmatch(r"Ascend(?!310P$)\d+\w*", flags["soc_version"]):
        raise invalid("soc_version", flags["soc_version"], "it is no known chip")
    if "precision_mode" in flags and "precision_mode_v2" in flags:
        raise invalid("precision_mode_v2", flags["precision_mode_v2"], "--precision_mode is set as well")
    kind = flags.get("output_type", "FP32")
    if not re.fullmatch(r"(FP32|FP16|UINT8|INT8)|[^:;]+:\d+:(FP32|FP16|UINT8|INT8)(;.*)?", kind):
        raise invalid("output_type", kind, "Valid values are: FP32, FP16, UINT8, INT8")
    if re.match(r"Ascend310(P|$)", flags["soc_version"]):
        for name, values in ELSEWHERE.items():
            if flags.get(name) in values:
                raise invalid(name, flags[name], f"{flags['soc_version']} has no such type")


def check_model(flags: Mapping[str, str]) -> None:
    try:
        model = read_onnx(flags["model"])
        shapes = parse_shape(flags["input_shape"]) if "input_shape" in flags else {}
    except (OSError, ValueError) as error:
        raise invalid("model", flags["model"], f"{error}") from error
    operator = f"ai.onnx::{model.opset}::"
    text = "E19010: No parser is registered for Op [/fake/{0}, optype [{1}{0}]]."
    refuse_if(model.opset > 18, text.format("Div", operator), ERROR)
    refuse_if(model.quantized, text.format("QuantizeLinear", operator), ERROR)
    if model.amct:
        check_quantized(flags)
    if wrong := fits(shapes, model):
        raise invalid("input_shape", flags["input_shape"], wrong)
    if "insert_op_conf" in flags:
        check_aipp(flags["insert_op_conf"], (shapes or model.inputs).values())


def check_quantized(flags: Mapping[str, str]) -> None:
    """Apply the vendor's restrictions on models that AMCT quantized."""
    for name in DYNAMIC:
        if name in flags:
            raise invalid(name, flags[name], "a quantized model has static shapes only")
    for name, values in HIGH_PRECISION.items():
        if flags.get(name) in values:
            raise invalid(name, flags[name], "a quantized model takes no high-precision mode")


def check_aipp(path: str, shapes: Iterable[tuple[int, ...]]) -> None:
    """Refuse an AIPP configuration with unknown keys or values, or for images that do not fit the input."""
    text = Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    found = re.fullmatch(r"\s*aipp_op\s*\{(.*)\}\s*", text, re.DOTALL)
    if found is None:
        raise invalid("insert_op_conf", path, "no such AIPP configuration")
    settings = dict(re.findall(r"(\w+)\s*:\s*(\S+)", found.group(1)))
    for key, value in settings.items():
        if key not in AIPP or not re.fullmatch(AIPP[key], value):
            raise invalid("insert_op_conf", path, f"{key}: {value}")
    if not {"aipp_mode", "input_format"} <= set(settings):
        raise invalid("insert_op_conf", path, "aipp_mode and input_format are needed")
    size = tuple(int(settings.get(f"src_image_size_{side}", 0)) for side in "hw")
    if size != (0, 0) and size != next(iter(shapes))[2:]:
        raise invalid("insert_op_conf", path, f"images of {size} do not fit the input")


def invalid(name: str, value: str, reason: str) -> Refused:
    return Refused(f"E10001: Value [{value}] for parameter [--{name}] is invalid. Reason: {reason}.", ERROR)


def write(flags: Mapping[str, str], magic: bytes) -> None:
    facts = {name: value for name, value in flags.items() if name not in {"model", "output", "log"}}
    body = stamp("atc", {**facts, "model": digest(flags["model"])})
    path = Path(flags["output"] + ".om")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((magic + bytes(252))[:256] + body)
