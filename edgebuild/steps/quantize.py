"""Quantize a prepared ONNX model with measured ranges: ``python -m edgebuild.steps.quantize``.

The result is in QDQ format: QuantizeLinear and DequantizeLinear around the quantized operators. What stays
float is named by groups found in the graph (see ``_groups``), by patterns of node names, or by ``op:Type``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.opsets import QUANTIZE_OPSET, least_opset
from edgebuild.steps import _groups
from edgebuild.steps._head import METADATA
from edgebuild.steps._mixing import mixing_nodes
from edgebuild.steps._onnx_file import (
    check_model,
    load_onnx,
    name_nodes,
    opset_of,
    read_metadata,
    save_onnx,
    write_metadata,
)
from edgebuild.steps._ort import disable_telemetry, import_onnxruntime
from edgebuild.steps._selection import select_nodes
from edgebuild.steps._step import fail, read_json, report_finding, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCHEMA = 1

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How to quantize.

    Attributes:
        activation: Type of the activations: u8, s8, u16 or s16. Signed ones are symmetric around zero.
        weight: Type of the weights: s8 (symmetric) or u8.
        per_channel: One scale per output channel of a weight instead of one per weight.
        reduce_range: Use 7 of 8 bits of the weights, for x86 processors without VNNI.
        naive: Quantize everything that can be; for comparison only.
        pairs: Weights and biases stay float, weights with a Q/DQ pair; one pair for each consumer.
    """

    activation: str
    weight: str
    per_channel: bool
    reduce_range: bool
    naive: bool
    pairs: bool = False


def main(argv: Sequence[str]) -> None:
    """Read the arguments, quantize, and write the model and the report."""
    arguments = _parse(argv)
    settings = Settings(
        activation=arguments.activation, weight=arguments.weight, per_channel=arguments.per_channel,
        reduce_range=arguments.reduce_range, naive=arguments.naive, pairs=arguments.pairs,
    )  # fmt: skip
    model = load_onnx(arguments.model)
    refuse_opset(model, settings)
    name_nodes(model)
    keep = () if settings.naive else keep_entries(arguments)
    groups = _groups.find_groups(model)
    kept = select_nodes(model, groups, keep)
    apart = settings.naive or read_metadata(model).get(METADATA) == "normalised"
    mixing = frozenset() if apart else frozenset(mixing_nodes(model))
    quantized = quantize(model, read_ranges(arguments.ranges, model), settings, kept)
    refuse_mixed_scales(quantized, mixing)
    save_onnx(quantized, arguments.output)
    try_to_load(arguments.output)
    sizes = {"before": Path(arguments.model).stat().st_size, "after": Path(arguments.output).stat().st_size}
    report = {"schema": SCHEMA, "settings": asdict(settings), "keep_float": list(keep), "bytes": sizes}
    gaps = () if settings.naive else _groups.find_gaps(model, groups)
    for gap in gaps:
        report_finding(
            "quantize-groups", gap, hint="name nodes or types in quantize.keep_float", level="note"
        )
    report |= {"gaps": list(gaps)}
    report |= {"groups": groups, "nodes": count_nodes(quantized, kept), "kept_float": sorted(kept)}
    write_json(arguments.report, report)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.quantize", description=__doc__)
    parser.add_argument("--model", required=True, help="prepared ONNX model")
    parser.add_argument("--ranges", required=True, help="ranges of its activations")
    parser.add_argument("--activation", choices=("u8", "s8", "u16", "s16"), default="u8")
    parser.add_argument("--weight", choices=("s8", "u8"), default="s8")
    parser.add_argument("--per-channel", action="store_true", help="one scale per output channel")
    parser.add_argument("--reduce-range", action="store_true", help="7-bit weights, for x86 without VNNI")
    parser.add_argument("--pairs", action="store_true", help="float weights with a pair, float biases")
    parser.add_argument("--naive", action="store_true", help="quantize everything; --keep-float is ignored")
    parser.add_argument("--keep-float", nargs="*", default=[], metavar="GROUP|GLOB|op:TYPE")
    parser.add_argument("--choice", help="what a search chose to keep float, in place of --keep-float")
    parser.add_argument("--output", required=True, help="where to write the quantized model")
    parser.add_argument("--report", required=True, help="where to write what was done")
    return parser.parse_args(argv)


def keep_entries(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return what stays float: as given, or as a search chose it.

    Raises:
        StepFailure: The file is not a search's choice.
    """
    if not arguments.choice:
        return tuple(arguments.keep_float)
    try:
        return tuple(str(entry) for entry in read_json(arguments.choice)["keep_float"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{arguments.choice}: not a search's choice ({error!r})", hint="run the search step again")


def read_ranges(path: str, model: Any) -> dict[str, tuple[float, float]]:
    """Read the ranges that the ranges step wrote and check that they are of this model.

    Raises:
        StepFailure: The file is not a ranges file, or names tensors that the model does not have.
    """
    try:
        ranges = {name: (float(low), float(high)) for name, (low, high) in read_json(path)["tensors"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fail(f"{path}: not a ranges file ({error!r})", hint="run the ranges step again")
    known = {name for node in model.graph.node for name in (*node.input, *node.output)}
    strange = sorted(ranges.keys() - known)
    if strange:
        fail(f"{path}: the ranges are of another model (it has no tensor {strange[0]})",
             hint="run the ranges step on the same prepared model")  # fmt: skip
    return ranges


def quantize(
    model: Any, ranges: Mapping[str, tuple[float, float]], settings: Settings, kept: Iterable[str]
) -> Any:
    """Return the model in QDQ format.

    Args:
        model: A prepared ``onnx.ModelProto`` whose nodes all have names.
        ranges: Lowest and highest value by activation.
        settings: Types and granularity.
        kept: Names of the nodes that stay float.

    Raises:
        StepFailure: The ranges of an activation are missing.
    """
    disable_telemetry()
    import numpy as np
    import onnx
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import QuantType
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    types = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8, "u16": QuantType.QUInt16, "s16": QuantType.QInt16}
    bounds = {
        name: tuple(np.array(bound, dtype=np.float32) for bound in ranges[name]) for name in sorted(ranges)
    }
    source = onnx.shape_inference.infer_shapes(model)
    weight, activation = types[settings.weight], types[settings.activation]
    quantizer = QDQQuantizer(
        source, settings.per_channel, settings.reduce_range, weight, activation,
        TensorsData(CalibrationMethod.MinMax, bounds), [], sorted(kept),
        sorted(QLinearOpsRegistry.keys() | QDQRegistry.keys()),
        {
            "ActivationSymmetric": settings.activation.startswith("s"),
            "WeightSymmetric": settings.weight.startswith("s"),
            "AddQDQPairToWeight": settings.pairs,
            "DedicatedQDQPair": settings.pairs,
            "QuantizeBias": not settings.pairs,
        },
    )  # fmt: skip
    try:
        quantizer.quantize_model()
    except ValueError as error:
        fail(f"the model cannot be quantized: {str(error).splitlines()[0]}",
             hint="run preprocess, ranges and quantize on the same model")  # fmt: skip
    quantizer.model.topological_sort()
    quantized = quantizer.model.model
    write_metadata(quantized, read_metadata(model))
    check_model(quantized, name="quantized model")
    return quantized


def refuse_mixed_scales(quantized: Any, mixing: frozenset[str]) -> None:
    """Make sure that no tensor which holds both coordinates and probabilities has been given one scale.

    Args:
        quantized: The model in QDQ format.
        mixing: Names of the nodes that compute such tensors.

    Raises:
        StepFailure: One is quantized.
    """
    producer = {name: node.name for node in quantized.graph.node for name in node.output}
    readers = (node for node in quantized.graph.node if node.op_type == _QUANTIZE)
    spoiled = sorted({producer.get(node.input[0], "") for node in readers} & mixing)
    if spoiled:
        fail(f"node {spoiled[0]} joins box coordinates and scores: one scale would destroy the scores",
             hint="add decode to keep_float (--naive quantizes it all the same, for comparison)")  # fmt: skip


def refuse_opset(model: Any, settings: Settings) -> None:
    """Refuse a model whose operators cannot say what the settings ask for.

    Raises:
        StepFailure: Its opset is too low.
    """
    least = least_opset(per_channel=settings.per_channel, activation=settings.activation)
    if opset_of(model) < least:
        how = " per channel" if least > QUANTIZE_OPSET else ""
        hint = f"export it with opset {least} or more" + (
            ", or set quantize.per_channel: false" if how else ""
        )
        fail(f"the model has opset {opset_of(model)}, quantizing{how} takes {least} or more", hint=hint)


def try_to_load(path: str) -> None:
    """Load the model in ONNX Runtime.

    Raises:
        StepFailure: It does not load.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises bare exceptions of many kinds
        fail(f"{path}: ONNX Runtime cannot load the quantized model ({str(error).splitlines()[0]})",
             hint="keep more of it float")  # fmt: skip


def count_nodes(quantized: Any, kept: frozenset[str]) -> dict[str, Any]:
    """Count the quantized and the float nodes: quantized is what reads only dequantized tensors.

    Args:
        quantized: The model in QDQ format.
        kept: Names of the nodes that were to stay float.

    Returns:
        The two totals and the counts by operator type.
    """
    producer = {name: node.op_type for node in quantized.graph.node for name in node.output}
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for node in quantized.graph.node:
        if node.op_type not in {_QUANTIZE, _DEQUANTIZE, "Constant"}:
            sources = {producer[name] for name in node.input if name in producer} - {"Constant"}
            counts[sources == {_DEQUANTIZE} and node.name not in kept][node.op_type] += 1
    return {
        "quantized": counts[True].total(),
        "float": counts[False].total(),
        "quantized_by_type": dict(counts[True]),
        "float_by_type": dict(counts[False]),
    }


if __name__ == "__main__":
    run_step(main)
