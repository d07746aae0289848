"""Look at an ONNX model before a compiler gets it: ``python -m edgebuild.steps.limits``.

A compile can take an hour to say what a look says at once. Everything that does not fit is said together; a
model that fits goes on as it is.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._onnx_file import input_of, load_onnx, opset_of, shape_of
from edgebuild.steps._step import fail, run_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMED = 3
"""Nodes that are named per operator."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments, look, and pass the model on."""
    arguments = _parse(argv)
    model = load_onnx(arguments.model, check=False)
    faults = [*graph_faults(model, arguments), *size_faults(Path(arguments.model), arguments.size_mb)]
    if faults:
        said = "; ".join(text for text, _ in faults)
        hints = dict.fromkeys(hint for _, hint in faults if hint)
        fail(f"{arguments.toolchain} cannot take this model: {said}", hint="; ".join(hints))
    output = Path(arguments.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.model, output)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.limits", description=__doc__)
    parser.add_argument("--model", required=True, help="ONNX model")
    parser.add_argument("--toolchain", required=True, help="whose limits they are")
    parser.add_argument("--opset", nargs=2, type=int, metavar=("LEAST", "GREATEST"), help="0: no greatest")
    parser.add_argument("--static", action="store_true", help="no open dimensions")
    parser.add_argument("--refuse", nargs="+", default=[], metavar="OPERATOR")
    parser.add_argument("--refuse-hint", default="", help="what to do about such an operator")
    parser.add_argument("--size-mb", type=float, default=0.0, help="greatest size of the file")
    parser.add_argument("--output", required=True, help="where the model goes on")
    return parser.parse_args(argv)


def graph_faults(model: Any, limits: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield what of a graph does not fit, and what to do about it."""
    opset = opset_of(model)
    if limits.opset and not limits.opset[0] <= opset <= (limits.opset[1] or opset):
        least, greatest = limits.opset
        span = f"{least} to {greatest}" if greatest else f"{least} and more"
        nearest = min(max(opset, least), greatest or opset)
        yield f"it has opset {opset}, not {span}", f"export it with opset {nearest} (model.export.opset)"
    shape = shape_of(input_of(model, name="the model"))
    if limits.static and not all(isinstance(size, int) for size in shape):
        yield f"its input {shape} has open dimensions", "set model.export.dynamic to false"
    refused = set(limits.refuse)
    found: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type in refused:
            found.setdefault(node.op_type, []).append(node.name or node.output[0])
    for kind, names in sorted(found.items()):
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"it has {kind} ({', '.join(names[:NAMED])}{more})", limits.refuse_hint


def size_faults(path: Path, most: float) -> Iterator[tuple[str, str]]:
    """Yield that a file is too large; 1 MB is 1,000,000 bytes."""
    size = path.stat().st_size / 1e6
    if most and size > most:
        yield f"it is {size:.1f} MB, at most {most:g} MB fit", "use a smaller model"


if __name__ == "__main__":
    run_step(main)
