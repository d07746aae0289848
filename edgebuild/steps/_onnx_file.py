"""ONNX files: reading with errors a person can act on, and writing equal models as equal bytes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import StepFailure, fail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VOLATILE_METADATA = frozenset({"date"})
"""Metadata that differs between two exports of the same weights."""

LARGEST = 2**31 - 1
"""Most bytes of an ONNX file: it is one protobuf message."""

_SMALLER = "more than that needs weights in other files, which is not supported: use a smaller model"

_QUANTIZED = frozenset(
    {
        "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "MatMulNBits",
        "QGemm", "QLinearConv", "QLinearMatMul", "QuantizeLinear",
    }
)  # fmt: skip
"""Operators that only quantized models have."""

_HOST_ARGUMENTS = frozenset(
    {"data", "model", "name", "project", "save_dir", "pretrained", "device", "workers"}
)
"""Arguments in Ultralytics' ``args`` metadata that name places or hardware of the exporting machine."""


def load_onnx(path: str | Path, *, check: bool = True) -> Any:
    """Read an ONNX model.

    Args:
        path: The file.
        check: Also verify the model against the ONNX standard.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        StepFailure: The file is missing, cut short, empty, too large or no valid ONNX model, or keeps its
            weights in another file.
    """
    import onnx

    try:
        size = Path(path).stat().st_size
        if size > LARGEST:
            fail(
                f"{path}: holds {size / 1e9:.1f} GB, an ONNX file at most {LARGEST / 1e9:.1f}", hint=_SMALLER
            )
        model = onnx.load(path, load_external_data=False)
    except StepFailure:
        raise
    except FileNotFoundError:
        fail(f"{path}: no such file", hint="the step was given a path that does not exist")
    except Exception as error:  # noqa: BLE001 - protobuf, ONNX and the file system each have their own
        fail(
            f"{path}: not an ONNX model ({_first_line(error)})",
            hint="the file may be cut short; export it again",
        )
    if not model.graph.node or not model.graph.output:
        fail(
            f"{path}: not an ONNX model (it has no graph)", hint="the file may be cut short; export it again"
        )
    refuse_external_data(model, name=path)
    if check:
        check_model(model, name=path)
    return model


def refuse_external_data(model: Any, *, name: str | Path) -> None:
    """Make sure that a model's weights are inside of its file: another one is no input of any step.

    Raises:
        StepFailure: They are not; it names the file.
    """
    from onnx import TensorProto

    outside = [tensor for tensor in _tensors(model.graph) if tensor.data_location == TensorProto.EXTERNAL]
    if not outside:
        return
    said = [{entry.key: entry.value for entry in tensor.external_data} for tensor in outside]
    size = sum(int(entry.get("length", 0)) for entry in said)
    # The file as a whole must fit: what is outside and what is inside.
    fits = size + model.ByteSize() <= LARGEST
    hint = "write it as one file: onnx.save(onnx.load('model.onnx'), 'one.onnx')" if fits else _SMALLER
    fail(
        f"{name}: keeps {size / 1e9:.3g} GB of weights in another file, {said[0].get('location', '?')}",
        hint=hint,
    )


def refuse_reduced(model: Any, *, name: str | Path) -> None:
    """Make sure that a model is a 32-bit float model: everything here starts from one, and compares with it.

    Raises:
        StepFailure: It is quantized already, or holds 16-bit floats.
    """
    from onnx import TensorProto

    done = next((node for node in model.graph.node if node.op_type in _QUANTIZED), None)
    if done is not None:
        fail(f"{name}: is quantized already ({done.op_type} at node {done.name or done.output[0]})",
             hint="give the float model that it was made from")  # fmt: skip
    half = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
    values = [*model.graph.input, *model.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in _tensors(model.graph)}
    found = [tensor for tensor, kind in types.items() if kind in half]
    if found:
        what = f"{len(found)} of its tensors are {half[types[found[0]]]}, such as {found[0]}"
        fail(f"{name}: is a model in half precision: {what}", hint="export it again without half")


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield the tensors that a graph stores, those of Constant nodes included."""
    yield from graph.initializer
    for node in graph.node:
        for part in node.attribute:
            if part.HasField("t"):
                yield part.t


def check_model(model: Any, *, name: str | Path) -> None:
    """Verify a model against the ONNX standard.

    Raises:
        StepFailure: It does not conform.
    """
    import onnx

    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        fail(f"{name}: not a valid ONNX model ({_first_line(error)})", hint="export it again")


def save_onnx(model: Any, path: str | Path) -> None:
    """Write a model so that equal models are equal bytes: metadata sorted, serialisation deterministic.

    Raises:
        StepFailure: The model does not conform to the ONNX standard.
    """
    check_model(model, name=path)
    write_metadata(model, read_metadata(model))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(model.SerializeToString(deterministic=True))


def read_metadata(model: Any) -> dict[str, str]:
    """Return the model's key-value metadata; of equal keys the last one counts."""
    return {entry.key: entry.value for entry in model.metadata_props}


def write_metadata(model: Any, metadata: Mapping[str, str]) -> None:
    """Replace the model's key-value metadata, sorted by key."""
    del model.metadata_props[:]
    for key in sorted(metadata):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, metadata[key]


def remove_host_traces(model: Any) -> None:
    """Remove what depends on when and where the model was exported, not on what it computes.

    These are the ``date``, a dataset path in ``description`` and in ``args``, and the source positions which
    exporters attach to nodes.
    """
    metadata = {key: value for key, value in read_metadata(model).items() if key not in _VOLATILE_METADATA}
    if "description" in metadata:
        metadata["description"] = metadata["description"].partition(" trained on ")[0].strip()
    if "args" in metadata:
        metadata["args"] = _without_host_arguments(metadata["args"])
    write_metadata(model, metadata)
    model.ClearField("doc_string")
    model.graph.ClearField("doc_string")
    for node in model.graph.node:
        node.ClearField("doc_string")
        if hasattr(node, "metadata_props"):
            del node.metadata_props[:]


def _without_host_arguments(text: str) -> str:
    try:
        arguments = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    if not isinstance(arguments, dict):
        return text
    kept = {key: value for key, value in arguments.items() if key not in _HOST_ARGUMENTS}
    return repr(dict(sorted(kept.items())))


def name_nodes(model: Any) -> None:
    """Give every unnamed or ambiguously named node a name of its own, so that it can be referred to."""
    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.name or node.op_type}_{index}"
        taken.add(node.name)


def remove_unused_domains(model: Any) -> None:
    """Drop imported operator sets that no node uses; ONNX Runtime adds all it knows when it saves a model."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def input_of(model: Any, *, name: str | Path) -> Any:
    """Return the one input of a model that is not a weight.

    Raises:
        StepFailure: There is not exactly one.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        fail(f"{name}: needs exactly one input, has {len(inputs)} ({names})",
             hint="a model with several inputs cannot be calibrated by images")  # fmt: skip
    return inputs[0]


def shape_of(value: Any) -> list[int | str]:
    """Return a value's shape; a dimension that is not fixed is its name, or ``"?"``."""
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in value.type.tensor_type.shape.dim
    ]


def dtype_of(value: Any) -> str:
    """Return a value's element type as NumPy calls it, such as ``float32``."""
    import onnx

    return str(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name)


def opset_of(model: Any) -> int:
    """Return the version of the standard operator set that a model uses."""
    return max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
