"""A strict fake of Axera's pulsar2: flags, configuration keys, values and texts of its documentation."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from tests.fakes.fake_common import Refused, digest, fits, parse_shape, play, refuse_if, say, stamp
from tests.fakes.fake_files import Parser, npy_header, open_onnx

CORES = {
    **dict.fromkeys(("AX650", "M76H"), ("NPU1", "NPU2", "NPU3")),
    **dict.fromkeys(("AX620E", "AX615"), ("NPU1", "NPU2")),
    "AX8860": ("NPU1", "NPU2", "NPU4"),
    **dict.fromkeys(("AX637", "M57"), ("NPU1",)),
}
HARDWARE = tuple(CORES)
TYPES = ("U8", "S8", "U16", "S16", "FP32")
FLOAT_OPERATORS = ("LeakyRelu", "Sigmoid", "Relu", "Add", "Mul", "Div", "Sub", "Concat", "Softmax")
LAYER_KEYS = {
    *("layer_name", "layer_names", "op_type", "op_types", "start_tensor_names", "end_tensor_names"),
    *("data_type", "output_data_type", "weight_data_type"),
}
CONFIG: dict[str, Any] = {
    **dict.fromkeys(("input", "output_dir", "output_name", "work_dir", "input_shapes"), str),
    "model_type": ("ONNX", "QuantAxModel", "QuantONNX"),
    "target_hardware": HARDWARE,
    "npu_mode": ("NPU1", "NPU2", "NPU3", "NPU4"),
    "onnx_opt": dict.fromkeys(("enable_onnxsim", "disable_onnx_optimization", "model_check"), bool),
    "quant": {
        "input_configs": list,
        "layer_configs": list,
        "calibration_method": ("MinMax", "Percentile", "MSE", "KL"),
        "conv_bias_data_type": ("S32", "FP32"),
        "refine_weight_threshold": float,
        **dict.fromkeys(("precision_analysis", "enable_smooth_quant"), bool),
    },
    **dict.fromkeys(("input_processors", "output_processors", "const_processors"), list),
    "quant_op_processors": list,
    "compiler": {
        "static_batch_sizes": list,
        **dict.fromkeys(("max_dynamic_batch_size", "ddr_bw_limit", "check"), int),
        "npu_perf": bool,
        "sub_configs": list,
    },
}
INPUT_CONFIG: dict[str, Any] = {
    "tensor_name": str,
    "calibration_dataset": str,
    "calibration_format": ("Image", "Numpy", "Binary", "NumpyObject"),
    "calibration_size": int,
    "calibration_mean": list,
    "calibration_std": list,
}
PROCESSOR: dict[str, Any] = {
    "tensor_name": str,
    **dict.fromkeys(("tensor_format", "src_format"), ("RGB", "BGR", "GRAY")),
    **dict.fromkeys(("tensor_layout", "src_layout"), ("NCHW", "NHWC")),
    "src_dtype": ("U8", "FP32"),
    **dict.fromkeys(("mean", "std", "csc_mat", "padding", "slicing", "src_extra_shapes"), list),
    "csc_mode": str,
}
UNSUPPORTED = (b"TopK", b"Mod", b"NonMaxSuppression", b"NonZero", b"Loop")


def main() -> None:
    """Check everything as pulsar2 would, and write the files that it leaves; they say that they are fake."""
    play("pulsar2", "Axera's pulsar2", run)


def run(mode: str) -> None:
    words = sys.argv[1:]
    if words[:1] == ["version"]:
        say("version: 5.1\ncommit: edgebuild-fake")
        return
    refuse_if(words[:1] != ["build"], "usage: pulsar2 {version,build,run} ...", 2)
    options = parse(words[1:])
    config = read_config(options.config)
    model = check_model(options)
    check_inputs(config, model.inputs, int(options.compiler_check or 0))
    if mode == "fail":
        raise failed("QuantError: 3", "calibration of /model.23/cv2.0 failed")
    say("QuantAxModel macs: 300,774,272\nmax_cycle = 450,182\nfuse 1 subgraph(s)")
    if mode != "no-output":
        write(options, config, empty=mode == "garbage")


def parse(words: list[str]) -> Any:
    parser = Parser("pulsar2 build")
    for name in ("input", "output_dir", "config"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("output_name", "work_dir", "input_shapes"):
        parser.add_argument(f"--{name}")
    for name in ("target_hardware", "npu_mode", "model_type"):
        parser.add_argument(f"--{name}", choices=CONFIG[name])
    parser.add_argument("--compiler.check", dest="compiler_check", choices=("0", "1", "2", "3"))
    parser.add_argument("--quant.calibration_method", choices=CONFIG["quant"]["calibration_method"])
    parser.add_argument("--quant.conv_bias_data_type", choices=CONFIG["quant"]["conv_bias_data_type"])
    parser.add_argument("--quant.highest_mix_precision")
    parser.add_argument("--quant.check")
    for name in ("enable_onnxsim", "disable_onnx_optimization", "model_check"):
        parser.add_argument(f"--onnx_opt.{name}", nargs="?", choices=("true", "false", "1", "0"))
    return parser.parse_args(words)


def failed(code: str, text: str) -> Refused:
    name = code.partition(":")[0]
    lines = ["Traceback (most recent call last):", '  File "/opt/pulsar2/yamain/command/build.py", line 1']
    return Refused(
        "\n".join([*lines, f'yamain.common.error.CodeException: (<ErrorCode.{code}>, {name}("{text}"))'])
    )


def read_config(path: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(
            f"Traceback (most recent call last):\ngoogle.protobuf.json_format.ParseError: {error}"
        ) from error
    check_keys(config, CONFIG, "BuildConfig")
    for entry in config.get("quant", {}).get("input_configs", []):
        check_keys(entry, INPUT_CONFIG, "InputQuantConfig")
    for entry in config.get("input_processors", []):
        check_keys(entry, PROCESSOR, "InputProcessor")
    for entry in config.get("quant", {}).get("layer_configs", []):
        check_layer(entry)
    return config


def check_keys(found: dict[str, Any], known: dict[str, Any], what: str) -> None:
    text = 'Traceback (most recent call last):\ngoogle.protobuf.json_format.ParseError: Message type "{}" {}'
    for key, value in found.items():
        rule = known.get(key)
        refuse_if(rule is None, text.format(what, f'has no field named "{key}"'))
        if isinstance(rule, dict):
            check_keys(value, rule, f"{what}.{key}")
        elif isinstance(rule, tuple):
            refuse_if(value not in rule, text.format(what, f"has no value {value!r} for {key}"))
        elif rule is not None:
            right = isinstance(value, int | float) if rule is float else type(value) is rule
            refuse_if(not right, text.format(what, f"wants {rule.__name__} for {key}"))


def check_layer(entry: dict[str, Any]) -> None:
    text = f"layer_configs: {entry}"
    unknown = set(entry) - LAYER_KEYS
    kinds = {key for key in entry if key.endswith("data_type")}
    if unknown or not kinds or any(entry[key] not in TYPES for key in kinds):
        raise failed("QuantError: 3", text)
    refuse_if(len(set(entry) - kinds) not in {1, 2}, text)
    operators = [entry["op_type"]] if "op_type" in entry else entry.get("op_types", [])
    if entry.get("data_type") == "FP32" and (
        any(name not in FLOAT_OPERATORS for name in operators)
        or "layer_name" in entry
        or "layer_names" in entry
    ):
        raise failed("QuantError: 3", f"FP32 is not possible for {text}")


def check_model(options: Any) -> Any:
    hardware = options.target_hardware or "AX650"
    if (options.npu_mode or "NPU1") not in CORES[hardware]:
        raise failed("NPUBackendError: 8", f"{hardware} has no {options.npu_mode}")
    try:
        model = open_onnx(options.input)
        shapes = parse_shape(options.input_shapes.replace("x", ",")) if options.input_shapes else {}
    except (OSError, ValueError) as error:
        raise failed("OnnxOptimizationError: 13", str(error)) from error
    wrong = fits(shapes, model) or ("opset 11 and more" if model.opset < 11 else "")
    if wrong:
        raise failed("OnnxOptimizationError: 13", wrong)
    kind = options.model_type or "ONNX"
    if model.quantized != (kind == "QuantONNX"):
        raise failed("QuantError: 3", f"model_type {kind} does not fit the model")
    if kind == "QuantONNX" and hardware not in {"AX650", "M76H"}:
        raise failed("QuantError: 3", f"model_type QuantONNX is not supported on {hardware}")
    data = Path(options.input).read_bytes()
    for name in UNSUPPORTED:
        # An operator's name is a field of one byte of tag and one of length.
        if bytes([0x22, len(name)]) + name in data:
            text = f"KeyError: 'dont support onnx.{name.decode()} opr in AXOPS'"
            raise Refused(f"Traceback (most recent call last):\n{text}")
    return model


def check_inputs(config: dict[str, Any], inputs: Any, check: int) -> None:
    del check
    entries = config.get("quant", {}).get("input_configs", [])
    if not entries:
        raise failed("QuantError: 3", "no calibration dataset")
    processors = {entry.get("tensor_name"): entry for entry in config.get("input_processors", [])}
    for entry in entries:
        name = entry.get("tensor_name")
        name = next(iter(inputs)) if name == "DEFAULT" else name
        if name not in inputs:
            raise failed("QuantError: 3", f"there is no input {name}")
        check_data(entry, inputs[name])
        if entry.get("calibration_format") == "Numpy":
            source = processors.get(name, {})
            plain = (source.get("src_dtype"), source.get("mean"), source.get("std"), source.get("src_layout"))
            if plain != ("FP32", [0, 0, 0], [1, 1, 1], "NCHW"):
                raise failed("QuantError: 3", f"Numpy data are not preprocessed for {name}: {plain}")


def check_data(entry: dict[str, Any], shape: tuple[int, ...]) -> None:
    path = str(entry.get("calibration_dataset"))
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            size = entry.get("calibration_size", 32)
            if not members or size > len(members):
                raise failed("QuantError: 3", f"{path} holds {len(members)} samples, not {size}")
            for member in members:
                stream = archive.extractfile(member)
                data = stream.read() if stream else b""
                if entry.get("calibration_format") == "Numpy" and npy_header(data) != ("<f4", shape):
                    kind, found = npy_header(data)
                    raise failed("QuantError: 3", f"{member.name} is {kind} {found}, the input {shape}")
    except (OSError, ValueError, tarfile.TarError) as error:
        raise failed("QuantError: 3", f"{path}: {error}") from error


def write(options: Any, config: dict[str, Any], *, empty: bool) -> None:
    folder = Path(options.output_dir)
    (folder / "quant").mkdir(parents=True, exist_ok=True)
    facts = {
        name: value for name, value in vars(options).items() if name not in {"output_dir", "input", "config"}
    }
    body = stamp("pulsar2", {**facts, "settings": config, "model": digest(options.input)})
    (folder / (options.output_name or "compiled.axmodel")).write_bytes(b"" if empty else body)
    (folder / "build_context.json").write_text("{}", encoding="utf-8")
    (folder / "quant" / "quant_axmodel.json").write_text("{}", encoding="utf-8")
