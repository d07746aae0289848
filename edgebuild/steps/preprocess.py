"""Prepare an ONNX model for quantization: ``python -m edgebuild.steps.preprocess``.

Shapes are inferred and constants folded with ``onnxruntime.quantization.shape_inference.quant_pre_process``.
Ranges and quantization both refer to the tensors of the result, so it is a step of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.opsets import QUANTIZE_OPSET
from edgebuild.steps._onnx_file import (
    input_of,
    load_onnx,
    name_nodes,
    opset_of,
    read_metadata,
    refuse_reduced,
    remove_unused_domains,
    save_onnx,
    write_metadata,
)
from edgebuild.steps._ort import disable_telemetry
from edgebuild.steps._step import fail, run_step

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> None:
    """Read the arguments and prepare the model."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.preprocess", description=__doc__)
    parser.add_argument("--model", required=True, help="float ONNX model")
    parser.add_argument("--output", required=True, help="where to write the prepared model")
    arguments = parser.parse_args(argv)
    original = load_onnx(arguments.model)
    prepared = prepare(original, name=arguments.model)
    save_onnx(prepared, arguments.output)


def prepare(model: Any, *, name: str) -> Any:
    """Return the model with shapes inferred, constants folded, all nodes named and its metadata kept.

    Args:
        model: A float ``onnx.ModelProto``.
        name: What to call it in errors.

    Raises:
        StepFailure: ONNX Runtime cannot load or optimise the model.
    """
    disable_telemetry()
    from onnxruntime import InferenceSession
    from onnxruntime.quantization.shape_inference import quant_pre_process

    metadata = read_metadata(model)
    if opset_of(model) < QUANTIZE_OPSET:
        fail(f"{name}: has opset {opset_of(model)}, quantizing takes {QUANTIZE_OPSET} or more",
             hint=f"export it with opset {QUANTIZE_OPSET} or more")  # fmt: skip
    source, target = Path("preprocess-input.onnx"), Path("preprocess-output.onnx")
    source.write_bytes(model.SerializeToString(deterministic=True))
    refuse_reduced(model, name=name)
    input_of(model, name=name)
    try:
        # Loading it here first: the preparation itself logs a failure and carries on.
        InferenceSession(str(source), providers=["CPUExecutionProvider"])
        # Plain inference finds every type, which is what quantization needs, and every shape that is fixed;
        # symbolic inference takes seconds, and gives up on some heads of models with open dimensions.
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises bare exceptions of many kinds
        fail(f"{name}: ONNX Runtime cannot prepare it: {str(error).splitlines()[0]}",
             hint="check that the float model runs in ONNX Runtime")  # fmt: skip
    prepared = load_onnx(target)
    source.unlink()
    target.unlink()
    name_nodes(prepared)
    remove_unused_domains(prepared)
    write_metadata(prepared, metadata | read_metadata(prepared))
    return prepared


if __name__ == "__main__":
    run_step(main)
