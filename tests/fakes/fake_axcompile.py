"""A strict fake of Axelera's axcompile: documented arguments and configuration, and its exit code of 0."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.fakes.fake_common import Refused, digest, play, refuse_if, say, stamp
from tests.fakes.fake_files import Parser, image_size, list_images, open_onnx

BOOLEANS = (
    *("quantize_dw_channel_wise", "quantization_debug", "remove_io_quantization", "run_graph_cleaner"),
    *("double_buffer", "input_dmabuf", "output_dmabuf", "enable_icr", "validate_operators"),
    *("output_axm_format", "remove_output_dir", "elf_in_ddr", "page_memory"),
)
CONFIG: dict[str, Any] = {
    "compiler_mode": ("quantize_and_lower", "quantize_only", "lower_only"),
    "quantization_scheme": (
        *("per_tensor_histogram", "per_tensor_min_max"),
        "hybrid_per_tensor_per_channel",
    ),
    "multicore_mode": ("multiprocess", "multithread", "batch", "cooperative", "pipeline"),
    "aipu_cores_used": (1, 4),
    "onnx_opset_version": (17, 99),
    "resources_used": (0.0, 1.0),
    "mvm_utilization_limit": (0.125, 1.0),
    "tiling_depth": (1, 99),
    "frequency": (20_000_000, 800_000_000),
    **dict.fromkeys(BOOLEANS, bool),
}


def main() -> None:
    """Check everything, and leave a compiled model that says it is fake."""
    play("axcompile", "Axelera's axcompile", compile_model)


def compile_model(mode: str) -> None:
    options = parse()
    output = Path(options.output)
    try:
        config = check(options)
    except ValueError as error:
        report(output, "INITIALIZE_CLI_ERROR", str(error))
        raise Refused(f"ERROR: INITIALIZE_CLI_ERROR: {error}") from error
    try:
        check_graph(options)
    except ValueError as error:
        report(output, "ONNX_GRAPH_CLEANER_ERROR", str(error))
        raise Refused(f"ERROR: ONNX_GRAPH_CLEANER_ERROR: {error}") from error
    if mode == "no-output":
        # The child dies, the parent does not notice.
        say("Process Process-1:\nTraceback (most recent call last):\nRuntimeError: LowerTIR")
        return
    if mode == "fail":
        say("ERROR: TOP_LEVEL_LOWER_ERROR: the model does not fit into the memory that it may use")
        report(output, "TOP_LEVEL_LOWER_ERROR", "does not fit")
        return
    write(options, config, damaged=mode == "garbage")


def parse() -> Any:
    parser = Parser("axcompile")
    parser.add_argument("-i", "--input", required=True)
    parser.add_argument("-o", "--output", required=True)
    for name in ("conf", "generate-config", "imageset", "transform", "cli-args", "input-shape"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--input-data-layout", choices=("NCHW", "NHWC"))
    parser.add_argument("--color-format", default="RGB", choices=("RGB", "BGR", "GRAY"))
    parser.add_argument("--imreader-backend", default="PIL", choices=("PIL", "OPENCV"))
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    parser.add_argument("--dataset-len", type=int)
    for name in ("quantize-only", "overwrite"):
        parser.add_argument(f"--{name}", action="store_true")
    return parser.parse_args(sys.argv[1:])


def check(options: Any) -> dict[str, Any]:
    """Check arguments, configuration and calibration data, and return the configuration."""
    if Path(options.output).is_absolute():
        raise ValueError(f"{options.output}: an absolute output path leaves artifacts that do not load")
    if Path(options.output).is_dir() and any(Path(options.output).iterdir()) and not options.overwrite:
        raise ValueError(f"{options.output} is not empty; use --overwrite")
    config: dict[str, Any] = {}
    if options.conf:
        config = json.loads(Path(options.conf).read_text(encoding="utf-8"))
    for name, value in config.items():
        check_value(name, value)
    if not options.imageset:
        say("WARNING: no --imageset: calibrating with random data")
        return config
    check_images(options)
    return config


def check_images(options: Any) -> None:
    if not options.transform or not Path(options.transform.partition(":")[0]).is_file():
        raise ValueError(f"--transform {options.transform} does not exist")
    source = Path(options.transform).read_text(encoding="utf-8")
    if "def get_preprocess_transform(image" not in source:
        raise ValueError(f"{options.transform} defines no get_preprocess_transform")
    images = list_images(options.imageset)
    if not images or (options.dataset_len or 0) > len(images):
        raise ValueError(f"{options.imageset} holds {len(images)} images, not {options.dataset_len}")
    shape = [int(side) for side in options.input_shape.split(",")]
    for image in images:
        width, height = image_size(image)
        if [height, width] != (shape[2:] if options.input_data_layout == "NCHW" else shape[1:3]):
            raise ValueError(f"{image.name} is {width}x{height}, and the transform does not resize")


def check_value(name: str, value: Any) -> None:
    rule = CONFIG.get(name)
    if rule is None:
        raise ValueError(f"CompilerConfig has no property {name!r}")
    if rule is bool:
        good = isinstance(value, bool)
    elif isinstance(rule[0], str):
        good = value in rule
    else:
        good = isinstance(value, int | float) and not isinstance(value, bool) and rule[0] <= value <= rule[1]
    if name == "resources_used":
        good = good and value * 4 in {1, 2, 3, 4}
    if not good:
        raise ValueError(f"{value!r} is not a value of {name}")


def check_graph(options: Any) -> None:
    model = open_onnx(options.input)
    if not re.fullmatch(r"\d+(,\d+){3}", options.input_shape or ""):
        raise ValueError(f"--input-shape {options.input_shape} is not N,C,H,W")
    shape = tuple(int(side) for side in options.input_shape.split(","))
    declared = next(iter(model.inputs.values()))
    if not all(side in {0, given} for side, given in zip(declared, shape, strict=True)):
        raise ValueError(f"--input-shape {list(shape)} does not fit {list(declared)}")
    if not 14 <= model.opset <= 17:
        raise ValueError(f"opset {model.opset} is not supported (14 to 17)")
    if model.quantized:
        raise ValueError("the model is quantized already")


def report(output: Path, status: str, message: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"status": status, "message": message}, indent=2)
    (output / "compilation_report.json").write_text(text, encoding="utf-8")
    (output / "compilation_log.txt").write_text(message + "\n", encoding="utf-8")


def write(options: Any, config: dict[str, Any], *, damaged: bool) -> None:
    output = Path(options.output)
    model = output / "compiled_model"
    model.mkdir(parents=True, exist_ok=True)
    facts = {name: value for name, value in vars(options).items() if name not in {"input", "output", "conf"}}
    body = stamp("axcompile", {**facts, "config": config, "model": digest(options.input)})
    (model / "model.json").write_bytes(body)
    if not damaged:
        (model / "manifest.json").write_text('{"fake": "axcompile"}', encoding="utf-8")
        (model / "kernel_function.c").write_text("/* fake */\n", encoding="utf-8")
    report(output, "SUCCEEDED", "")
    say("INFO: compilation finished")
    refuse_if(options.quantize_only, "the fake compiles always")
