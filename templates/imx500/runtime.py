"""Run the quantized ONNX on this CPU, as the compression toolkit's own operators compute it.

The toolkit's quantizers are operators in Python: an image takes seconds. Weights are quantized once here,
with those operators, and activations with ONNX's, which compute the same bit for bit.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


TOOLKIT = "mct_quantizers"
"""The domain of the toolkit's operators."""


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Load the model with the operators that it is made of."""
    provide_nms()
    import mct_quantizers
    import onnxruntime
    from edgemdt_cl.pytorch.nms import nms_ort  # noqa: F401 - its import registers the selection of boxes

    options = mct_quantizers.get_ort_session_options()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Faster convolutions round otherwise in the last bit, and what is quantized after them by a whole step.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_mem_reuse = False  # operators written in Python keep what they were given
    model = with_fast_quantizers(artifact, options)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    print(f"ONNX Runtime {onnxruntime.__version__} with mct_quantizers", file=sys.stderr)
    return Model(session, info)


class Model:
    """A loaded model."""

    def __init__(self, session: Any, info: Mapping[str, Any]) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        if info.get("end2end"):
            raise ValueError("the float model is end2end: its output has no place for the boxes of this one")
        self._task = str(info["task"])
        self._shape = tuple(info["outputs"][0]["shape"])
        self._classes = len(info["names"])

    def __call__(self, images: Any) -> list[Any]:
        """Run a batch of one image and return what the float model would."""
        found = self._run(images)
        if self._task == "classify":
            return [found[0].astype("float32")]
        more = found[3] if self._task in {"pose", "segment"} else None
        first = spread(found[:3], more, self._shape, self._classes)
        return [first, found[4].astype("float32")] if self._task == "segment" else [first]

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images."""
        return lambda: self._run(images)

    def _run(self, images: Any) -> list[Any]:
        import numpy as np

        return list(self._session.run(None, {self._input: np.ascontiguousarray(images)}))


def with_fast_quantizers(path: str, options: Any) -> bytes:
    """Return the model with its weights quantized, and the rounding of activations in ONNX's operators.

    Args:
        path: The ONNX file.
        options: For a session that knows the toolkit's operators.
    """
    import onnx

    model = onnx.load(path)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    constants = {node.output[0]: node for node in nodes if node.op_type == "Constant"}
    weights = [
        node
        for node in nodes
        if node.domain == TOOLKIT and all(name in stored or name in constants for name in node.input)
    ]
    done = {node.output[0] for node in weights}
    made = quantized_weights(weights, stored, constants, model.opset_import, options)
    kept: list[Any] = []
    for node in nodes:
        if node.output[0] not in done:
            kept += rounding(node) if node.op_type == "ActivationPOTQuantizer" else [node]
    read = {name for node in kept for name in node.input}
    tensors = [tensor for name, tensor in stored.items() if name in read]
    tensors += [onnx.numpy_helper.from_array(array, name) for name, array in made.items()]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(node for node in kept if node.op_type != "Constant" or node.output[0] in read)
    model.graph.initializer.extend(tensors)
    return model.SerializeToString()  # type: ignore[no-any-return]


def quantized_weights(
    nodes: Sequence[Any], stored: Mapping[str, Any], constants: Mapping[str, Any], opsets: Any, options: Any
) -> dict[str, Any]:
    """Return what the toolkit's operators make of the weights, by the name of the output."""
    import onnx
    import onnxruntime

    if not nodes:
        return {}
    read = {name for node in nodes for name in node.input}
    outputs = [
        onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None) for node in nodes
    ]
    graph = onnx.helper.make_graph(
        [*(constants[name] for name in sorted(read & set(constants))), *nodes],
        "weights",
        [],
        outputs,
        [stored[name] for name in sorted(read & set(stored))],
    )
    model = onnx.helper.make_model(graph, opset_imports=list(opsets), ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip((output.name for output in outputs), session.run(None, {}), strict=True))


def rounding(node: Any) -> list[Any]:
    """Return ONNX's operators for a quantizer of activations.

    Its steps are powers of two, so dividing by one and multiplying with its inverse give the same.
    """
    import onnx

    settings = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    step = settings["threshold"] / 2 ** (settings["num_bits"] - bool(settings["signed"]))
    low = -settings["threshold"] if settings["signed"] else 0.0
    source, target = node.input[0], node.output[0]
    nodes, names = [], {}
    for name, value in (
        ("low", low),
        ("high", settings["threshold"] - step),
        ("up", 1 / step),
        ("down", step),
    ):
        names[name] = f"{target}/{name}"
        nodes.append(onnx.helper.make_node("Constant", [], [names[name]], value_float=float(value)))
    for kind, inputs, output in (
        ("Clip", [source, names["low"], names["high"]], f"{target}/clipped"),
        ("Mul", [f"{target}/clipped", names["up"]], f"{target}/scaled"),
        ("Round", [f"{target}/scaled"], f"{target}/rounded"),
        ("Mul", [f"{target}/rounded", names["down"]], target),
    ):
        nodes.append(onnx.helper.make_node(kind, inputs, [output]))
    return nodes


def provide_nms() -> None:
    """Put torchvision's NMS in place where its compiled part cannot be loaded.

    The toolkit computes the selection with that operator. PyTorch for CPUs alone beside a torchvision that
    was built for CUDA does not have it, and then nothing of the toolkit can be imported.
    """
    import torch

    try:
        import torchvision  # noqa: F401 - whether it can be imported is the question
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        print("torchvision: no compiled operators; its NMS is computed in NumPy", file=sys.stderr)
        for name in ("nms", "qnms"):  # its import asks for both; releases before 0.28 for the first
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", signature)
        torch.library.impl("torchvision::nms", "CPU", _torch_nms)


def _torch_nms(boxes: Any, scores: Any, threshold: float) -> Any:
    import torch

    return torch.from_numpy(nms(boxes.detach().numpy(), scores.detach().numpy(), threshold))


def nms(boxes: Any, scores: Any, threshold: float) -> Any:
    """Return the indices of the boxes that are left, best first.

    Args:
        boxes: Corners, (n, 4).
        scores: (n,).
        threshold: Of two boxes with a greater intersection over union the worse one goes.
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        near = np.maximum(boxes[best, :2], boxes[order, :2])
        far = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.clip(far - near, 0, None), axis=1)
        order = order[shared <= threshold * (areas[best] + areas[order] - shared)]
    return np.array(kept, np.int64)


def spread(found: Sequence[Any], more: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Write selected boxes into the float model's output, as if it had found these and nothing else.

    Args:
        found: Corners in pixels (1, n, 4), scores (1, n) and classes (1, n); a place without a box scores 0.
        more: Keypoints or mask coefficients, (1, n, values), or None.
        shape: Of the float model's output: (1, 4 + classes + values, anchors).
        classes: Number of classes.

    Returns:
        float32 array of that shape: centre, width and height, a score per class, and what else there is.
    """
    import numpy as np

    boxes, scores, labels = found[0][0], found[1][0], found[2][0]
    kept = np.flatnonzero(scores > 0)[: shape[2]]
    output = np.zeros(shape, np.float32)
    corners = boxes[kept]
    places = np.arange(len(kept))
    output[0, 0:2, places] = (corners[:, :2] + corners[:, 2:]) / 2
    output[0, 2:4, places] = corners[:, 2:] - corners[:, :2]
    output[0, 4 + labels[kept].astype(int), places] = scores[kept]
    if more is not None:
        output[0, 4 + classes :, places] = more[0][kept]
    return output
