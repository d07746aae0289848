"""End a YOLO model earlier, and say how to go on from there: the graph's part of ``head``.

What an output of the cut graph means is guessed from its size and place. A guess is only a proposal: the head
step runs both models and takes the first that gives the same result.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING, Any

from edgebuild.steps._groups import find_groups
from edgebuild.steps._onnx_file import dtype_of, read_metadata, shape_of, write_metadata
from edgebuild.steps._step import fail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PARTS = {"detect": 2, "segment": 3, "pose": 3, "obb": 3}
"""Last convolutions per scale: boxes, scores, and what else the task has."""

_EXTRA = {"segment": "masks", "pose": "keypoints", "obb": "angle"}

_LAYOUTS = {
    "box": "[batch, 4*bins, height, width]: distances to the sides of the box",
    "score": "[batch, classes, height, width]: class scores before the sigmoid",
    "masks": "[batch, masks, height, width]: mask coefficients",
    "keypoints": "[batch, keypoints, height, width]: keypoints before their decoding",
    "angle": "[batch, 1, height, width]: angle of the box",
}

METADATA = "head"
"""Key of the model's metadata that says how its head ends."""


def cut(model: Any, info: Mapping[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Return the model that ends at its last convolutions, and what its outputs may mean.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.
        info: Its description (model.json).

    Returns:
        The model, and proposals for ``head``, the likeliest first.

    Raises:
        StepFailure: The last convolutions are not those of a head that is known.
    """
    shorter = _copy(model)
    shapes = _shapes(shorter)
    tensors = _last_tensors(shorter)
    if info["task"] == "classify":
        _end_at(shorter, [(tensors[-1], "logits")], shapes)
        return shorter, [{"kind": "cut", "task": "classify"}]
    scales = _scales(tensors, shapes, info)
    names: list[tuple[str, str]] = []
    for stride, found in scales:
        names += [(tensor, f"{part}_{stride}") for tensor, part in zip(found, "abc", strict=False)]
    rest = [value.name for value in model.graph.output][1:]
    proposals = list(_proposals(scales, shapes, info, read_metadata(model), rest=len(rest)))
    if not proposals:
        fail("the last convolutions do not look like a YOLO head", hint="use `head: full`")
    _end_at(shorter, [*names, *((name, name) for name in rest)], shapes)
    return shorter, proposals


def order_outputs(model: Any, head: Mapping[str, Any]) -> dict[str, Any]:
    """Put the outputs of a cut model in order: per scale box, score and extra, then the rest.

    Returns:
        The same head, with the new places.
    """
    scales, rest = head.get("scales", []), head.get("rest", [])
    words = ("box", "score", "extra")
    order = [scale[word] for scale in scales for word in words if word in scale] + rest
    outputs = [type(value).FromString(value.SerializeToString()) for value in model.graph.output]
    if order:
        del model.graph.output[:]
        model.graph.output.extend(outputs[place] for place in order)
    places = {old: new for new, old in enumerate(order)}
    moved = [scale | {word: places[scale[word]] for word in words if word in scale} for scale in scales]
    return dict(head) | ({"scales": moved, "rest": [places[old] for old in rest]} if scales else {})


def name_outputs(model: Any, head: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the outputs of a cut model names that say what they are; return their description."""
    outputs = list(model.graph.output)
    parts: dict[int, tuple[str, str]] = {}
    for scale in head.get("scales", ()):
        for part in ("box", "score", "extra"):
            if part in scale:
                word = part if part != "extra" else _EXTRA[head["task"]]
                parts[scale[part]] = (f"{word}_{scale['stride']}", _LAYOUTS[word])
    if head["task"] == "classify":
        parts[0] = ("logits", "[batch, classes]: logits, before the softmax")
    described = []
    for index, value in enumerate(outputs):
        name, layout = parts.get(index, (value.name, ""))
        rename(model, value.name, name)
        described.append({"name": name, "shape": shape_of(value), "dtype": dtype_of(value), "layout": layout})
    return described


def normalise(model: Any, info: Mapping[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Return the model with boxes and keypoints divided by the image size, before they meet the scores.

    Args:
        model: An ``onnx.ModelProto``.
        info: Its description (model.json).

    Raises:
        StepFailure: It selects its detections itself, or its last concatenation is not known.
    """
    changed = _copy(model)
    task = info["task"]
    head: dict[str, Any] = {"kind": "normalised", "task": task, "imgsz": list(info["imgsz"])}
    if task == "classify":
        return changed, [head]  # probabilities already
    if info.get("end2end"):
        fail("an end-to-end model returns class numbers beside its boxes: no head of it is 0 to 1",
             hint="use `head: cut`, or export it without its selection")  # fmt: skip
    shapes = _shapes(changed)
    height, width = info["imgsz"]
    node, index = _box_input(changed, shapes)
    _divide(changed, node, index, [width, height, width, height], (1, 4, 1))
    head["classes"] = len(info["names"])
    if task == "pose":
        node, index, count, size = _keypoint_input(changed, shapes)
        _divide(changed, node, index, [width, height], (1, 1, 2, 1))
        head["keypoints"] = {"shape": [count, size]}
    return changed, [head]


def mark(model: Any, kind: str) -> None:
    """Write into the model's metadata how its head ends."""
    write_metadata(model, read_metadata(model) | {METADATA: kind})


def rename(model: Any, old: str, new: str) -> None:
    """Rename a tensor everywhere."""
    for value in (*model.graph.output, *model.graph.value_info):
        if value.name == old:
            value.name = new
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def _copy(model: Any) -> Any:
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _shapes(model: Any) -> dict[str, list[int | str]]:
    import onnx

    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {value.name: shape_of(value) for value in (*graph.value_info, *graph.output)}


def _last_tensors(model: Any) -> list[str]:
    """Return what the last weighted nodes before the first output write, in the order of the graph."""
    alone = _copy(model)
    del alone.graph.output[1:]
    last = set(find_groups(alone)["last"])
    tensors = [node.output[0] for node in alone.graph.node if node.name in last]
    if not tensors:
        fail("no last convolution is found", hint="use `head: full`")
    return tensors


def _scales(
    tensors: Sequence[str], shapes: Mapping[str, Sequence[int | str]], info: Mapping[str, Any]
) -> list[tuple[int, list[str]]]:
    """Return (stride, tensors) per scale, the finest first."""
    found: dict[int, list[str]] = {}
    for tensor in tensors:
        shape = shapes.get(tensor, [])
        if len(shape) != 4 or not all(isinstance(side, int) for side in shape):
            fail(f"the shape of {tensor} is not known", hint="export with fixed shapes, or use `head: full`")
        found.setdefault(int(info["imgsz"][0]) // int(shape[2]), []).append(tensor)
    wanted = PARTS[info["task"]]
    odd = next((stride for stride, names in found.items() if len(names) != wanted), None)
    if odd is not None:
        what = f"{len(found[odd])} last convolutions at stride {odd}, task {info['task']} has {wanted}"
        fail(f"the model has {what}", hint="use `head: full`")
    return sorted(found.items())


def _proposals(
    scales: Sequence[tuple[int, Sequence[str]]],
    shapes: Mapping[str, Sequence[int | str]],
    info: Mapping[str, Any],
    metadata: Mapping[str, str],
    *,
    rest: int,
) -> Iterator[dict[str, Any]]:
    """Yield what the outputs may mean, for every order of the parts and every form of the head."""
    task, parts = info["task"], PARTS[info["task"]]
    for order in permutations(range(parts)):
        channels = [int(shapes[scales[0][1][place]][1]) for place in order]
        if channels[0] % 4 or (info["names"] and channels[1] != len(info["names"])):
            continue
        head = {
            "kind": "cut", "task": task, "imgsz": list(info["imgsz"]), "classes": channels[1],
            "reg_max": channels[0] // 4, "end2end": bool(info.get("end2end")),
            "scales": [
                {"stride": stride, **_places(at * parts, order)} for at, (stride, _) in enumerate(scales)
            ],
            "rest": [parts * len(scales) + index for index in range(rest)],
        }  # fmt: skip
        for boxes, extra in product(_box_forms(info), _extra_forms(task, channels, metadata)):
            yield head | boxes | extra


def _places(start: int, order: Sequence[int]) -> dict[str, int]:
    return {part: start + at for part, at in zip(("box", "score", "extra"), order, strict=False)}


def _box_forms(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not info.get("end2end"):
        return [{"boxes": "xywh"}]
    rows = info["outputs"][0]["shape"][1]
    return [{"boxes": form, "max_detections": rows} for form in ("xyxy", "xywh")]


def _extra_forms(task: str, channels: Sequence[int], metadata: Mapping[str, str]) -> list[dict[str, Any]]:
    if task == "obb":
        return [{"angle": "sigmoid"}, {"angle": "raw"}]
    if task != "pose":
        return [{}]
    widths = [width for width in (3, 2) if channels[2] % width == 0]
    if metadata.get("kpt_shape", "").replace(" ", "").endswith(",2]"):
        widths.reverse()
    return [
        {"keypoints": {"shape": [channels[2] // width, width], "factor": factor, "offset": offset}}
        for width in widths
        for factor, offset in ((2.0, -0.5), (1.0, 0.0))
    ]


def _end_at(model: Any, outputs: Sequence[tuple[str, str]], shapes: Mapping[str, Any]) -> None:
    """End the graph at some tensors and drop what nothing needs any more."""
    import onnx

    dtype = model.graph.output[0].type.tensor_type.elem_type
    del model.graph.output[:]
    for tensor, _ in outputs:
        shape = [None if size == "?" else size for size in shapes[tensor]]
        model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, dtype, shape))
    needed, kept = {tensor for tensor, _ in outputs}, []
    for node in reversed(model.graph.node):  # nodes stand in the order of execution
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    kept.reverse()
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    values = [value for value in model.graph.value_info if value.name in needed]
    for field, items in (("node", kept), ("initializer", weights), ("value_info", values)):
        copies = [type(item).FromString(item.SerializeToString()) for item in items]
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(copies)


def _producer(model: Any, tensor: str) -> Any:
    return next((node for node in model.graph.node if tensor in node.output), None)


def _box_input(model: Any, shapes: Mapping[str, Sequence[int | str]]) -> tuple[Any, int]:
    """Return the concatenation, and which of its inputs, where the boxes join the rest."""
    tensor = model.graph.output[0].name
    while True:
        node = _producer(model, tensor)
        if node is None or node.op_type != "Concat":
            fail("the boxes are not found in front of the last concatenation", hint="use `head: cut`")
        tensor = node.input[0]
        if list(shapes.get(tensor, []))[1:2] == [4]:
            return node, 0


def _keypoint_input(model: Any, shapes: Mapping[str, Sequence[int | str]]) -> tuple[Any, int, int, int]:
    """Return where the x and y of keypoints are read, how many keypoints there are, and values of each."""
    joined = _producer(model, model.graph.output[0].name)
    reshape = _producer(model, joined.input[len(joined.input) - 1])
    node, index = reshape, 0
    if reshape is None or reshape.op_type != "Reshape":
        fail("the keypoints are not found in front of the last concatenation", hint="use `head: cut`")
    count, size = (int(side) for side in shapes[reshape.input[0]][1:3])
    inner = _producer(model, reshape.input[0])
    if size > 2 and inner is not None and inner.op_type == "Concat":
        node = inner
    if list(shapes[node.input[index]])[1:3] != [count, 2]:
        fail("the keypoints are not found in front of the last concatenation", hint="use `head: cut`")
    return node, index, count, size


def _divide(model: Any, node: Any, index: int, sizes: Sequence[int], shape: tuple[int, ...]) -> None:
    """Divide an input of a node by sizes in pixels."""
    import numpy as np
    import onnx

    tensor = node.input[index]
    factors = (np.float32(1) / np.array(sizes, dtype=np.float32)).reshape(shape)
    name = f"{tensor}_normalised"
    model.graph.initializer.append(onnx.numpy_helper.from_array(factors, f"{name}_factors"))
    node.input[index] = name
    place = next(at for at, other in enumerate(model.graph.node) if other is node or other == node)
    label = f"{node.name}_normalise"
    model.graph.node.insert(
        place, onnx.helper.make_node("Mul", [tensor, f"{name}_factors"], [name], name=label)
    )
