"""Compare a quantized model with the float one, block by block: ``python -m edgebuild.steps.compare``.

Both models run on the same few calibration images. What leaves a block (see ``_blocks``) is read in both, in
the quantized one as what its integers stand for, and compared: cosine, signal to quantization noise, greatest
error. Errors add up on the way, so the interesting block is the first one whose noise is too loud: what is
behind it suffers from it. The rows of an output that hold coordinates are judged apart from those that hold
scores: next to hundreds of pixels, lost scores would not show. Of a head that selects its boxes itself, what
it selects from is compared: one other choice puts all rows behind it in another place.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgebuild.steps._blocks import find_blocks
from edgebuild.steps._onnx_file import input_of, load_onnx, name_nodes, shape_of
from edgebuild.steps._ort import import_onnxruntime, session_options
from edgebuild.steps._step import fail, progress, run_step, write_json
from edgebuild.steps.ranges import open_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]
    Pick = Callable[[Array], Array]

SCHEMA = 1

DIVERGED_DB = 10.0
"""Signal to noise, in dB, below which a block counts as diverged: noise of a third of the signal's size."""

MOST_DB = 120.0
"""What equal tensors are given: float32 has no more to tell."""

COORDINATES = 16.0
"""Greatest value above which a row of an output holds pixels, not scores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """Something that is compared.

    Attributes:
        label: The block, or the output.
        kind: The block's kind, ``output``, or ``candidates``: what an output's rows are selected from.
        tensor: The tensor's name in the float model.
    """

    label: str
    kind: str
    tensor: str


@dataclass(kw_only=True, slots=True)
class Sums:
    """What is added up over the images for one tensor; all of it in double precision."""

    reference: float = 0.0
    other: float = 0.0
    product: float = 0.0
    noise: float = 0.0
    max_error: float = 0.0
    max_value: float = 0.0

    def add(self, reference: Array, other: Array) -> None:
        """Add one image's values."""
        import numpy as np

        ours, theirs = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
        gap = ours - theirs
        self.reference += float(ours @ ours)
        self.other += float(theirs @ theirs)
        self.product += float(ours @ theirs)
        self.noise += float(gap @ gap)
        self.max_error = max(self.max_error, float(np.abs(gap).max(initial=0)))
        self.max_value = max(self.max_value, float(np.abs(ours).max(initial=0)))

    def row(self) -> dict[str, float]:
        """Return the figures: cosine, SQNR in dB, greatest error and greatest value."""
        lengths = math.sqrt(self.reference * self.other)
        cosine = self.product / lengths if lengths else float(self.reference == self.other)
        loud = self.reference > 0
        ratio = 10 * math.log10(self.reference / self.noise) if loud and self.noise else MOST_DB
        sqnr = ratio if loud or not self.noise else -MOST_DB
        return {
            "cosine": round(cosine, 6),
            "sqnr_db": round(max(-MOST_DB, min(MOST_DB, sqnr)), 2),
            "max_error": float(f"{self.max_error:.5g}"),
            "max_value": float(f"{self.max_value:.5g}"),
        }


@dataclass(kw_only=True, slots=True)
class Entry:
    """One row of the result while it is being made."""

    watched: Watched
    label: str
    pick: Pick | None = None
    sums: Sums = field(default_factory=Sums)


def main(argv: Sequence[str]) -> None:
    """Read the arguments, compare, and write the result."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.compare", description=__doc__)
    parser.add_argument("--model", required=True, help="prepared float ONNX model")
    parser.add_argument("--quantized", required=True, help="the same model in QDQ format")
    parser.add_argument("--tensors", required=True, help="calibration tensors, .npy of shape (N, 3, H, W)")
    parser.add_argument("--images", type=int, default=8, help="how many of them")
    parser.add_argument("--output", required=True, help="where to write the comparison")
    arguments = parser.parse_args(argv)
    model, quantized = load_onnx(arguments.model), load_onnx(arguments.quantized, check=False)
    name_nodes(model)
    tensors = open_tensors(arguments.tensors, model, name=arguments.model, images=None)
    write_json(arguments.output, compare(model, quantized, tensors[: arguments.images]))


def compare(model: Any, quantized: Any, tensors: Array) -> dict[str, Any]:
    """Return the comparison as a document.

    Args:
        model: The prepared float ``onnx.ModelProto``, all nodes named.
        quantized: What the quantize step made of it.
        tensors: Images, (N, 3, H, W).

    Raises:
        StepFailure: Nothing of one model is found in the other, or one does not run.
    """
    counterparts = dequantized(quantized)
    watched = [one for one in boundaries(model) if one.tensor in counterparts]
    if not any(one.kind != "output" for one in watched):
        fail("the quantized model has none of the float model's tensors",
             hint="compare a model with what the quantize step made of it")  # fmt: skip
    names = [one.tensor for one in watched]
    entries: list[Entry] = []
    pairs = zip(
        _run(model, names, tensors), _run(quantized, [counterparts[name] for name in names], tensors),
        strict=True,
    )  # fmt: skip
    for done, (ours, theirs) in enumerate(pairs, start=1):
        entries = entries or list(_entries(watched, ours))
        found = {name: (a, b) for name, a, b in zip(names, ours, theirs, strict=True)}
        for entry in entries:
            a, b = found[entry.watched.tensor]
            entry.sums.add(*((entry.pick(a), entry.pick(b)) if entry.pick else (a, b)))
        progress(done, len(tensors), "batches compared")
    rows = list(_worst(entries))
    first = next((row["label"] for row in rows if row["sqnr_db"] < DIVERGED_DB), None)
    return {
        "schema": SCHEMA,
        "images": len(tensors),
        "diverged_db": DIVERGED_DB,
        "first": first,
        "blocks": rows,
    }


def boundaries(model: Any) -> list[Watched]:
    """Return what leaves each block, in the order of the graph, and then the outputs."""
    readers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.name)
    outputs = [value.name for value in model.graph.output]
    selected, candidates = _selection(model)
    by_name = {node.name: node for node in model.graph.node}
    found = []
    for block in find_blocks(model):
        own = set(block.nodes)
        made = [name for node in block.nodes for name in by_name[node].output if name]
        leaving = [name for name in made if readers.get(name, set()) - own or name in outputs]
        found += [
            Watched(label=block.label, kind=block.kind, tensor=name)
            for name in leaving
            if name not in selected
        ]
    for name in outputs:
        if name in selected:
            found += [Watched(label=name, kind="candidates", tensor=one) for one in candidates]
        else:
            found.append(Watched(label=name, kind="output", tensor=name))
    return found


def _selection(model: Any) -> tuple[set[str], list[str]]:
    """Return the tensors whose rows follow a choice of the best, and those that the rows are taken from."""
    selected: set[str] = set()
    candidates: list[str] = []
    for node in model.graph.node:  # nodes stand in the order of execution
        chosen = node.op_type == "TopK" or (node.op_type.startswith("Gather") and node.input[1] in selected)
        candidates += [node.input[0]] if chosen and node.input[0] not in selected else []
        if node.op_type == "TopK" or selected & set(node.input):
            selected.update(node.output)
    return selected, list(dict.fromkeys(candidates))


def dequantized(quantized: Any) -> dict[str, str]:
    """Return where the quantized model has each tensor: behind its quantization, or else as it is."""
    found = {name: name for node in quantized.graph.node for name in node.output if name}
    source = {
        node.output[0]: node.input[0] for node in quantized.graph.node if node.op_type == "QuantizeLinear"
    }
    for node in quantized.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in source:
            found[source[node.input[0]]] = node.output[0]
    # The quantizer renames a graph's output that it quantizes; the output itself is what counts.
    return found | {value.name: value.name for value in quantized.graph.output}


def _run(model: Any, names: Sequence[str], tensors: Array) -> Iterator[list[Array]]:
    """Yield the named tensors for batch after batch."""
    import numpy as np
    import onnx

    onnxruntime = import_onnxruntime()
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {value.name for value in copy.graph.output}
    copy.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in present
    )
    options = session_options(2)
    try:
        session = onnxruntime.InferenceSession(
            copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises bare exceptions of many kinds
        fail(f"ONNX Runtime cannot run the model: {str(error).splitlines()[0]}",
             hint="compare what the preprocess and quantize steps wrote")  # fmt: skip
    value = input_of(model, name="model")
    batch = shape_of(value)[0]
    width = batch if isinstance(batch, int) else 1
    for start in range(0, len(tensors), width):
        images = np.ascontiguousarray(tensors[start : start + width])
        missing = width - len(images)
        images = np.concatenate([images, *[images[-1:]] * missing]) if missing else images
        yield session.run(list(names), {value.name: images})


def _entries(watched: Sequence[Watched], values: Sequence[Array]) -> Iterator[Entry]:
    """Yield what is compared, an output's coordinates and scores apart; values are the first batch's."""
    import numpy as np

    for one, value in zip(watched, values, strict=True):
        if value.dtype.kind != "f":
            continue
        if one.kind == "candidates":
            name = "coordinates" if np.abs(value).max(initial=0) > COORDINATES else "scores"
            yield Entry(watched=one, label=f"{one.label}, {name}")
            continue
        if one.kind != "output" or value.ndim != 3:
            yield Entry(watched=one, label=one.label)
            continue
        large = np.abs(value).max(axis=(0, 2)) > COORDINATES
        if large.all() or not large.any():
            yield Entry(watched=one, label=one.label)
            continue
        for name, rows in (("coordinates", large), ("scores", ~large)):
            yield Entry(watched=one, label=f"{one.label}, {name}", pick=_rows(rows))


def _rows(chosen: npt.NDArray[np.bool_]) -> Pick:
    return lambda values: values[:, chosen]


def _worst(entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Yield one row per block: of several tensors that leave it, the noisiest."""
    rows: dict[str, dict[str, Any]] = {}
    for entry in entries:
        row: dict[str, Any] = {
            "label": entry.label,
            "kind": entry.watched.kind,
            "tensor": entry.watched.tensor,
        }
        row |= entry.sums.row()
        known = rows.get(entry.label)
        if known is None or row["sqnr_db"] < known["sqnr_db"]:
            rows[entry.label] = row  # a block keeps the place of its first tensor
    yield from rows.values()


if __name__ == "__main__":
    run_step(main)
