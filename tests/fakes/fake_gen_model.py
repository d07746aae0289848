"""A strict fake of gen_model.py in MagicMind's samples: the common arguments and their values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.fakes.fake_common import Refused, digest, play, refuse_if, say, stamp
from tests.fakes.fake_files import Parser, image_size, open_onnx

PRECISIONS = (
    *("force_float32", "force_float16", "qint16_mixed_float16", "qint8_mixed_float16"),
    *("qint16_mixed_float32", "qint8_mixed_float32"),
)
ARCHES = ("mtp_220", "mtp_270", "mtp_290", "mtp_372", "tp_322", "mtp_592")
LAYOUTS = ("NCHW", "NHWC", "NCT", "NTC", "NCDHW", "NDHWC")
CHOICES: dict[str, tuple[str, ...]] = {
    "precision": PRECISIONS,
    "dynamic_shape": ("true", "false"),
    "type64to32_conversion": ("true", "false"),
    "conv_scale_fold": ("true", "false"),
    "computation_preference": ("auto", "fast", "high_precision"),
    "calibration_algo": ("linear", "eqnm"),
    "weight_quant_granularity": ("per_tensor", "per_axis"),
    "activation_quant_algo": ("symmetric", "asymmetric"),
}


def main() -> None:
    """Check everything, and write a model that says it is fake."""
    play("gen_model.py", "MagicMind's gen_model.py", generate)


def generate(mode: str) -> None:
    options = parse()
    check(options)
    if mode == "fail":
        raise error("MagicMind: INTERNAL: build model failed")
    say("Generate model done, model save to " + options.magicmind_model)
    if mode != "no-output":
        facts = {k: v for k, v in vars(options).items() if k not in {"onnx", "magicmind_model"}}
        body = stamp("gen_model.py", {**facts, "model": digest(options.onnx)})
        Path(options.magicmind_model).write_bytes(b"" if mode == "garbage" else body)


def parse() -> Any:
    parser = Parser("gen_model.py")
    for name in ("onnx", "magicmind_model"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--input_dims", type=int, nargs="+", action="append", required=True)
    parser.add_argument("--batch_size", type=int, nargs="+")
    parser.add_argument("--mlu_arch", nargs="+", choices=ARCHES)
    for name, values in CHOICES.items():
        parser.add_argument(f"--{name}", choices=values)
    for name in ("dim_range_min", "dim_range_max", "cluster_num"):
        parser.add_argument(f"--{name}", type=int, nargs="+", action="append")
    for name in ("means", "vars"):
        parser.add_argument(f"--{name}", type=float, nargs="+", action="append")
    for name in ("input_layout", "output_layout"):
        parser.add_argument(f"--{name}", nargs="+", choices=LAYOUTS)
    for name in ("image_dir", "build_config", "rpc_server", "toolchain_path", "plugin_path"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--device_id", type=int, default=0)
    return parser.parse_args(sys.argv[1:])


def error(text: str) -> Refused:
    return Refused(f"Traceback (most recent call last):\nAssertionError: {text}")


def check(options: Any) -> None:
    try:
        model = open_onnx(options.onnx)
    except ValueError as cause:
        raise error(str(cause)) from cause
    shape = tuple(options.input_dims[0])
    declared = next(iter(model.inputs.values()))
    fits = len(shape) == len(declared) and all(a in {0, b} for a, b in zip(declared, shape, strict=True))
    refuse_if(
        not fits, f"Traceback (most recent call last):\nAssertionError: {list(shape)} != {list(declared)}"
    )
    if options.batch_size and options.batch_size[0] != shape[0]:
        raise error(f"batch_size {options.batch_size[0]} does not fit input_dims {list(shape)}")
    if (options.mlu_arch or ["mtp_372"])[0] in {"mtp_220", "mtp_270"}:
        raise error(f"{options.mlu_arch[0]} is not supported by this MagicMind")
    if (options.precision or "").startswith("qint"):
        # The sample's calibrator reads *.jpg; with none it has no data, and calibrating fails.
        images = sorted(Path(options.image_dir or ".").glob("*.jpg"))
        if not images:
            raise error(f"there is no .jpg file in {options.image_dir}")
        for image in images:
            try:
                image_size(image)
            except ValueError as cause:
                raise error(str(cause)) from cause
