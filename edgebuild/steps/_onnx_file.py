"""ONNX files: reading with errors a person can act on, and writing equal models as equal bytes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import fail

if TYPE_CHECKING:
    from collections.abc import Mapping

_VOLATILE_METADATA = frozenset({"date"})
"""Metadata that differs between two exports of the same weights."""

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
        StepFailure: The file is missing, cut short, empty or no valid ONNX model.
    """
    import onnx

    try:
        model = onnx.load(path)
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
    if check:
        check_model(model, name=path)
    return model


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
