"""Measure what quantizing one block does to a model: ``python -m edgebuild.steps.sensitivity``.

The block alone is quantized, the rest stays float. The error is taken where data enters ``decode``: behind
it, boxes and scores are mixed, and the selection of the best would hide it.
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from edgebuild.steps import _groups
from edgebuild.steps._blocks import entry_tensors
from edgebuild.steps._onnx_file import input_of, load_onnx, name_nodes, shape_of
from edgebuild.steps._ort import import_onnxruntime, session_options
from edgebuild.steps._selection import select_nodes
from edgebuild.steps._step import fail, read_json, run_step, write_json
from edgebuild.steps.quantize import Settings, quantize, read_ranges

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

SCHEMA = 1

SILENT = 200.0
"""Decibels that stand for "no error at all"."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure and write the block's noise."""
    arguments = _parse(argv)
    settings = Settings(
        activation=arguments.activation, weight=arguments.weight, per_channel=arguments.per_channel,
        reduce_range=arguments.reduce_range, naive=False, pairs=arguments.pairs,
    )  # fmt: skip
    model = load_onnx(arguments.model)
    name_nodes(model)
    block = set(read_json(arguments.block))
    always = select_nodes(model, _groups.find_groups(model), arguments.keep_float)
    kept = {node.name for node in model.graph.node} - block | always
    images = open_images(arguments.tensors, arguments.images, model)
    places = entry_tensors(model)
    quantized = quantize(model, read_ranges(arguments.ranges, model), settings, kept)
    values = compare(run(model, places, images), run(quantized, places, images))
    noise = math.fsum(values) / len(values)
    decibels = min(SILENT, -10 * math.log10(noise)) if noise > 0 else SILENT
    document = {"schema": SCHEMA, "images": len(images), "noise": noise, "sqnr_db": round(decibels, 3)}
    write_json(arguments.output, document)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.sensitivity", description=__doc__)
    parser.add_argument("--model", required=True, help="prepared ONNX model")
    parser.add_argument("--ranges", required=True, help="ranges of its activations")
    parser.add_argument("--tensors", required=True, help="calibration tensors, .npy of shape (N, 3, H, W)")
    parser.add_argument("--images", type=int, default=8, help="how many of them to use")
    parser.add_argument("--block", required=True, help="file with the names of the block's nodes")
    parser.add_argument("--activation", choices=("u8", "s8", "u16", "s16"), default="u8")
    parser.add_argument("--weight", choices=("s8", "u8"), default="s8")
    parser.add_argument("--per-channel", action="store_true")
    parser.add_argument("--reduce-range", action="store_true")
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--keep-float", nargs="*", default=[], metavar="GROUP|GLOB|op:TYPE")
    parser.add_argument("--output", required=True, help="where to write the result")
    return parser.parse_args(argv)


def open_images(path: str, count: int, model: Any) -> list[npt.NDArray[np.float32]]:
    """Return evenly spread calibration images as batches that the model takes."""
    import numpy as np

    tensors = np.load(path, mmap_mode="r", allow_pickle=False)
    batch = shape_of(input_of(model, name="model"))[0]
    width = batch if isinstance(batch, int) else 1
    step = max(1, len(tensors) // max(1, count))
    chosen = [np.ascontiguousarray(tensors[index]) for index in range(0, len(tensors), step)][:count]
    chosen += [chosen[-1]] * (-len(chosen) % width)
    return [np.stack(chosen[start : start + width]) for start in range(0, len(chosen), width)]


def run(
    model: Any, places: Sequence[tuple[str, int]], images: Sequence[npt.NDArray[np.float32]]
) -> list[list[npt.NDArray[np.float32]]]:
    """Return the tensors at some places of a graph, per place and batch.

    Args:
        model: An ``onnx.ModelProto``, quantized or not.
        places: (node, index of its input) pairs; the model's outputs when there are none.
        images: Batches.
    """
    import onnx

    wanted = [value.name for value in model.graph.output]
    if places:
        inputs = {node.name: list(node.input) for node in model.graph.node}
        wanted = [inputs[name][index] for name, index in places]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted))
    onnxruntime = import_onnxruntime()
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    names = list(dict.fromkeys(wanted))
    rows = [dict(zip(names, session.run(names, {name: batch}), strict=True)) for batch in images]
    return [[row[one] for row in rows] for one in wanted]


def compare(
    reference: Sequence[Sequence[npt.NDArray[np.float32]]], other: Sequence[Sequence[npt.NDArray[np.float32]]]
) -> list[float]:
    """Return the power of the error in units of the signal's power, per place.

    Raises:
        StepFailure: A result is not a number.
    """
    import numpy as np

    found = []
    for right, wrong in zip(reference, other, strict=True):
        signal = sum(float(np.sum(np.square(one, dtype=np.float64))) for one in right)
        pairs = zip(right, wrong, strict=True)
        error = sum(float(np.sum(np.square(a.astype(np.float64) - b))) for a, b in pairs)
        if not math.isfinite(error):
            fail("the quantized block gives infinities or NaN", hint="keep it float")
        found.append(error / signal if signal else 0.0)
    return found or [0.0]


if __name__ == "__main__":
    run_step(main)
