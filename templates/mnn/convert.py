"""Convert an ONNX model to MNN, quantize it where settings are given, and load the result.

Runs in this toolchain's own Python environment. MNN's command line fetches credentials and sends statistics;
this program calls the compiled converter below it, which does neither. The converter answers True whatever
happens, so the result is loaded and run once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import _tools

# Whoever imports MNN's tools in this process gets no statistics either.
sys.modules["MNN.tools.utils.log"] = None  # type: ignore[assignment]

FLOAT = "float.mnn"
IDENTIFIER = 36
"""Characters of a UUID."""


def main() -> None:
    """Read the arguments, convert, quantize, and prove that the result runs."""
    options, more = _parse()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    target = options.output if options.settings is None else Path(FLOAT)
    convert(options, more, target)
    if options.settings is not None:
        quantize(target, options)
    identify(options.output)
    check(options.output)
    print(f"written: {options.output.name}", flush=True)


def convert(options: argparse.Namespace, more: list[str], target: Path) -> None:
    """Call MNN's converter."""
    words = ["-f", "ONNX", "--modelFile", options.model, "--MNNModel", str(target), "--bizCode", "edgebuild"]
    words += ["--fp16"] if options.fp16 else []
    words += ["--weightQuantBits", options.weight_bits] if options.weight_bits else []
    print("mnnconvert", *words, *more, flush=True)
    _tools.mnnconvert(["mnnconvert", *words, *more])
    if not target.is_file():
        print("Convert Failed: nothing was written")
        sys.exit(1)


def quantize(source: Path, options: argparse.Namespace) -> None:
    """Call MNN's quantizer, with the names of the operations that stay float."""
    import MNN.expr

    settings = json.loads(options.settings.read_text(encoding="utf-8"))
    there = set(MNN.expr.load_as_dict(str(source)))
    kept = [name for name in settings["skip_quant_op_names"] if name]
    for name in kept:
        if name not in there:
            print(f"not in the converted model: {name}")
    settings["skip_quant_op_names"] = [name for name in kept if name in there]
    settings["path"] = f"{options.calibration}/"
    Path("quantize.json").write_text(json.dumps(settings), encoding="utf-8")
    print(f"kept in float: {len(settings['skip_quant_op_names'])} operations", flush=True)
    _tools.mnnquant(["mnnquant", str(source), str(options.output), "quantize.json"])
    if not options.output.is_file():
        print("Quantization Failed: nothing was written")
        sys.exit(1)


def identify(model: Path) -> None:
    """Replace the random identifier that MNN writes by one of the content: equal work, equal bytes."""
    import MNN

    content, old = model.read_bytes(), MNN.get_model_uuid(str(model)).encode()
    if len(old) == IDENTIFIER and content.count(old) == 1:
        digest = hashlib.sha256(content.replace(old, b"")).hexdigest()[:32]
        new = "-".join([digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]])
        model.write_bytes(content.replace(old, new.encode()))


def check(model: Path) -> None:
    """Load the model and run it once."""
    import MNN

    interpreter: Any = MNN.Interpreter(str(model))
    session = interpreter.createSession({"backend": "CPU", "numThread": 1})
    code = interpreter.runSession(session)
    if code:
        print(f"MNN cannot run it: {code}")
        sys.exit(1)
    outputs = {name: tensor.getShape() for name, tensor in interpreter.getSessionOutputAll(session).items()}
    print(f"MNN {MNN.version()}: outputs {outputs}")


def _parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="the ONNX file")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument("--fp16", action="store_true", help="weights in FP16")
    parser.add_argument("--weight-bits", choices=("4", "8"), help="bits of the weights")
    parser.add_argument("--settings", type=Path, help="settings of the quantizer; without it: no calibration")
    parser.add_argument("--calibration", help="folder of images")
    return parser.parse_known_args()  # the rest is MNN's


if __name__ == "__main__":
    main()
