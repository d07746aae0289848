"""Strict fakes of TPU-MLIR's three tools: arguments and texts of its sources, and its trap with weights."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fakes.fake_common import Refused, digest, play, refuse_if, say, stamp
from tests.fakes.fake_files import Parser, image_size, list_images, open_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

CHIPS = (
    "bm1688",
    "bm1684x",
    "bm1684",
    "bm1690",
    "mars3",
    "sg2380",
    "cv183x",
    "cv182x",
    "cv181x",
    "cv180x",
    "cv186x",
)
QUANTIZE = (
    "F32",
    "BF16",
    "F16",
    "INT8",
    "INT4",
    "W8F16",
    "W8BF16",
    "W4F16",
    "W4BF16",
    "F8E4M3",
    "F8E5M2",
    "QDQ",
)
_METHODS = ("kl", "mse", "max", "percentile9999", "aciq_gauss", "aciq_laplace")
METHODS = (*_METHODS, *(f"use_{name}" for name in _METHODS))
WEIGHTS = "{}_top_f32_all_weight.npz"
MAGIC = bytes.fromhex("eeaa55ff")
UNSUPPORTED = ("Mod", "Size", "NonMaxSuppression", "Loop")


def main() -> None:
    """Play the tool that was called."""
    tool = Path(sys.argv[0]).name
    bodies: dict[str, Callable[[str], None]] = {
        "model_transform.py": transform,
        "run_calibration.py": calibrate,
        "model_deploy.py": deploy,
    }
    play(tool, f"TPU-MLIR's {tool}", bodies[tool])


def started() -> bool:
    """Print the version, as every tool does first; return whether that was all."""
    say("TPU-MLIR v1.21.1-edgebuild-fake")
    return sys.argv[1:] == ["--help"]


def error(text: str) -> Refused:
    return Refused(f"Traceback (most recent call last):\nRuntimeError: {text}")


def transform(mode: str) -> None:
    if started():
        return
    parser = Parser("model_transform.py")
    for name in ("model_name", "model_def", "mlir"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("input_shapes", "output_names", "test_input", "test_result", "excepts", "mean", "scale"):
        parser.add_argument(f"--{name}", default="")
    for name in ("tolerance", "resize_dims", "pad_value"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--pixel_format", default="bgr", choices=("rgb", "bgr", "gray", "rgba"))
    parser.add_argument("--channel_format", default="nchw", choices=("nchw", "nhwc", "none"))
    parser.add_argument("--pad_type", default="center", choices=("normal", "center"))
    for name in ("keep_aspect_ratio", "dynamic", "not_inference", "debug", "cache_skip"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args(sys.argv[1:])
    shape = check_import(options)
    refuse_if(mode == "fail", "Traceback (most recent call last):\nRuntimeError: Op not support:{'Mod'}")
    if mode == "no-output":
        say(f"Mlir file generated:{options.mlir}")
        return
    facts = {name: getattr(options, name) for name in ("input_shapes", "mean", "scale", "pixel_format")}
    weights = WEIGHTS.format(options.model_name)
    about = json.dumps({"shape": shape, "weights": weights, "model": digest(options.model_def), **facts})
    Path(options.mlir).write_text(
        "" if mode == "garbage" else f"module @model // fake {about}\n", encoding="utf-8"
    )
    Path(weights).write_bytes(b"PK\x05\x06" + bytes(18))
    say(f"Mlir file generated:{options.mlir}")
    if options.test_input:
        Path(f"{options.model_name}_in_f32.npz").write_bytes(b"PK\x05\x06" + bytes(18))
        Path(options.test_result).write_bytes(b"PK\x05\x06" + bytes(18))


def check_import(options: Any) -> list[int]:
    """Return the shape of the input."""
    if not options.mlir.endswith(".mlir"):
        raise error(f"your mlir file should endswith .mlir, not:{options.mlir}")
    try:
        model = open_onnx(options.model_def)
        shapes = json.loads(options.input_shapes)
    except ValueError as cause:
        raise error(str(cause)) from cause
    declared = next(iter(model.inputs.values()))
    fits = len(shapes[0]) == len(declared) and all(
        d in {0, s} for d, s in zip(declared, shapes[0], strict=True)
    )
    refuse_if(
        not fits, f"Traceback (most recent call last):\nAssertionError: {shapes[0]} != {list(declared)}"
    )
    data = Path(options.model_def).read_bytes()
    missing = {name for name in UNSUPPORTED if bytes([0x22, len(name)]) + name.encode() in data}
    if missing or model.quantized:
        raise error(f"Op not support:{missing or {'QuantizeLinear'}}")
    for name in ("mean", "scale"):
        refuse_if(not re.fullmatch(r"[\d.]+(,[\d.]+){2}", getattr(options, name)), f"ValueError: --{name}")
    if options.test_input:
        refuse_if(not Path(options.test_input).is_file(), f"test_input {options.test_input} not exist!")
        refuse_if(not options.test_result, "AssertionError")
    found: list[int] = shapes[0]
    return found


def read_mlir(path: str) -> dict[str, Any]:
    """Return what a fake import wrote; the file of its weights must lie here, as for the real tool."""
    if not Path(path).is_file():
        raise error(f"{path} does not exist")
    about: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8").partition("fake ")[2] or "{}")
    if not about or not Path(about["weights"]).is_file():
        raise error(f"[!Error]: cannot open {about.get('weights', 'the weights')}")
    return about


def calibrate(mode: str) -> None:
    if started():
        return
    parser = Parser("run_calibration.py")
    parser.add_argument("mlir_file")
    for name in ("dataset", "data_list", "quantize_table"):
        parser.add_argument(f"--{name}")
    for name in ("input_num", "tune_num", "histogram_bin_num", "inference_num"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--cali_method", choices=METHODS)
    parser.add_argument("--chip", "--processor", choices=CHIPS)
    parser.add_argument("--debug_cmd")
    parser.add_argument("-o", "--calibration_table", required=True)
    options = parser.parse_args(sys.argv[1:])
    about = read_mlir(options.mlir_file)
    images = list_images(options.dataset or "")
    if not images or options.input_num > len(images):
        raise error(f"{options.dataset} holds {len(images)} inputs, {options.input_num} are asked for")
    for image in images:
        try:
            width, height = image_size(image)
        except ValueError as cause:
            raise error(str(cause)) from cause
        if [height, width] != about["shape"][2:]:
            raise error(f"{image.name} is {width}x{height}, which is no resized image")
    refuse_if(
        mode == "fail", "Traceback (most recent call last):\nRuntimeError: [!Error]: tpuc-opt --shape-infer"
    )
    if mode != "no-output":
        text = f"# fake table of {len(images)} images\n# op_name threshold min max\nimages 1.0 0.0 1.0\n"
        Path(options.calibration_table).write_text("" if mode == "garbage" else text, encoding="utf-8")


def deploy(mode: str) -> None:
    if started():
        return
    parser = Parser("model_deploy.py")
    parser.add_argument("--mlir", required=True)
    parser.add_argument("--chip", "--processor", required=True, choices=CHIPS)
    parser.add_argument("--quantize", default="F32", choices=QUANTIZE)
    parser.add_argument("--model", required=True)
    for name in (
        "calibration_table",
        "quantize_table",
        "test_input",
        "test_reference",
        "tolerance",
        "excepts",
    ):
        parser.add_argument(f"--{name}")
    for name in ("quant_input_list", "quant_output_list", "customization_format"):
        parser.add_argument(f"--{name}")
    for name in (
        "asymmetric",
        "quant_input",
        "quant_output",
        "ignore_f16_overflow",
        "skip_validation",
        "debug",
    ):
        parser.add_argument(f"--{name}", action="store_true")
    for name in ("fuse_preprocess", "aligned_input", "compare_all", "dynamic", "disable_layer_group"):
        parser.add_argument(f"--{name}", action="store_true")
    for name in ("num_device", "num_core"):
        parser.add_argument(f"--{name}", type=int, default=1)
    parser.add_argument("--opt", type=int, choices=(1, 2))
    options = parser.parse_args(sys.argv[1:])
    check_deploy(options)
    text = "npz_tool.py compare model_tpu_outputs.npz model_top_outputs.npz --tolerance 0.8,0.5"
    if mode == "fail":
        raise error(f"[!Error]: {text}")
    if mode != "no-output":
        facts = {
            name: value for name, value in vars(options).items() if name not in {"model", "calibration_table"}
        }
        body = stamp("model_deploy.py", {**facts, "mlir": digest(options.mlir)})
        Path(options.model).write_bytes((b"\x00" * 4 if mode == "garbage" else MAGIC) + bytes(60) + body)


def check_deploy(options: Any) -> None:
    read_mlir(options.mlir)
    if options.quantize == "F16" and options.chip == "bm1684":
        raise error("[!Error]: bm1684 has no F16")
    if options.quantize == "INT8":
        table = Path(options.calibration_table or "")
        text = table.read_text(encoding="utf-8") if table.is_file() else ""
        refuse_if(
            "threshold" not in text, "Traceback (most recent call last):\nAssertionError: calibration table"
        )
    for name in ("test_input", "test_reference"):
        path = getattr(options, name)
        refuse_if(
            path and not Path(path).is_file(),
            f"Traceback (most recent call last):\nFileNotFoundError: {path}",
        )
    if options.quantize_table:
        lines = Path(options.quantize_table).read_text(encoding="utf-8").splitlines()
        for line in lines:
            if line.strip() and not line.startswith("#"):
                modes = ("F32", "F16", "BF16", "INT8", "W8F16", "W8BF16")
                if len(line.split()) != 2 or line.split()[1] not in modes:
                    raise error(f"quantize table: {line!r}")
