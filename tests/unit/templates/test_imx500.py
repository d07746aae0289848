"""Sony IMX500 without its tools: commands, what the programs of the folder decide, and the starter code."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.render import render_text
from edgebuild.toolchain.load import load_toolchain
from tests.unit.vendor_bench import SEARCH, check_golden, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

REPORT = '{"Memory Report": {"Memory Utilization": "%s%%", "Fit In Chip": %s}}'


def program(file: str) -> ModuleType:
    """Import a program of the toolchain's folder."""
    spec = importlib.util.spec_from_file_location(f"imx500_{file}", SEARCH[0] / "imx500" / f"{file}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_commands_are_what_they_were(golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, "imx500")


def test_the_memory_for_weights_is_only_said_where_something_is_searched() -> None:
    plain = render_step("imx500", "int8", "quantize")
    searched = render_step("imx500", "int8", "quantize", mixed_precision="auto", weights_memory=2000000)
    assert "--weights-memory" not in plain.argv
    assert searched.argv[searched.argv.index("--weights-memory") + 1] == "2000000"


def test_the_input_may_stay_in_memory() -> None:
    for step in ("memory", "convert"):
        assert "--no-input-persistency" in render_step("imx500", "int8", step).argv
        persistent = render_step("imx500", "int8", step, input_persistency=True)
        assert "--no-input-persistency" not in persistent.argv


@pytest.mark.parametrize("step", ["memory", "convert"])
@pytest.mark.parametrize(("used", "fits"), [("64", "true"), ("172", "false")])
def test_a_model_that_does_not_fit_has_no_valid_report(step: str, used: str, fits: str) -> None:
    outputs = load_toolchain("imx500", SEARCH).steps[step].outputs
    (pattern,) = [output.matches for output in outputs if output.role == "report"]
    assert pattern
    assert bool(re.search(pattern, REPORT % (used, fits))) == (fits == "true")


# -- what gets 16 bits ------------------------------------------------------------------------------------


@dataclass
class Node:
    """A node of a traced network, as far as the program asks."""

    name: str
    users: list[Node] = field(default_factory=list)
    target: Any = ""


def chain(*names: str) -> list[Node]:
    """Return nodes of which each reads the one before."""
    nodes = [Node(name) for name in names]
    for node, user in itertools.pairwise(nodes):
        node.users.append(user)
    return nodes


def test_the_decoding_is_what_no_layer_comes_behind() -> None:
    nodes = chain("x", "conv", "add", "last_conv", "cat", "sub", "mul")
    assert program("quantize").behind(nodes, {"conv", "last_conv"}) == {"cat", "sub", "mul"}


def test_a_branch_that_never_meets_a_layer_again_belongs_to_the_decoding() -> None:
    nodes = chain("x", "conv", "split", "last_conv")
    aside = Node("aside")
    nodes[2].users.append(aside)
    assert program("quantize").behind([*nodes, aside], {"conv", "last_conv"}) == {"aside"}


def test_the_decoding_gets_16_bits_only_where_it_was_to_stay_in_float() -> None:
    keeps = program("quantize").keeps_decode
    assert keeps({"modules": [], "nodes": ["/head/Sub", "/last/Conv"], "decode": ["/head/Sub"]})
    assert not keeps({"modules": ["last"], "nodes": ["/last/Conv"], "decode": ["/head/Sub"]})
    assert not keeps({"modules": [], "nodes": [], "decode": []})


def test_only_arithmetic_gets_16_bits() -> None:
    def function() -> None: ...

    computes, wide = program("quantize").computes, []
    for name in ("add", "sub", "mul", "cat", "sigmoid", "permute"):
        function.__name__ = name
        assert computes(Node("n", target=function)) == computes(Node("n", target=name))
        wide += [name] if computes(Node("n", target=name)) else []
    assert wide == ["add", "sub", "mul", "cat"]


def test_the_toolkit_s_refusal_is_understood() -> None:
    refused = program("quantize").refused_name
    message = "Manually selected activation bit-width 16 is invalid for node {}."
    assert refused(message.format("Conv2d:model_23_cv2_0_2")) == "model_23_cv2_0_2"
    assert refused(message.format("cat_17")) == "cat_17"
    assert refused("Node Filtering Error: No nodes found in the graph for filter") == ""


# -- what the runtime returns -----------------------------------------------------------------------------


def found(count: int, places: int) -> list[np.ndarray[Any, Any]]:
    """Return boxes as the network selects them: ``count`` boxes, then empty places."""
    boxes, scores = np.zeros((1, places, 4), np.float32), np.zeros((1, places), np.float32)
    labels = np.zeros((1, places), np.int32)
    for index in range(count):
        boxes[0, index] = [10 * index, 20, 10 * index + 4, 30]
        scores[0, index] = 0.9 - 0.1 * index
        labels[0, index] = index % 2
    return [boxes, scores, labels]


def test_selected_boxes_become_the_float_model_s_output() -> None:
    output = program("runtime").spread(found(2, 5), None, (1, 6, 12), 2)
    assert output.shape == (1, 6, 12)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output[0, :, 0], [2, 25, 4, 10, 0.9, 0])
    np.testing.assert_allclose(output[0, :, 1], [12, 25, 4, 10, 0, 0.8], rtol=1e-6)
    assert not output[0, :, 2:].any()


def test_keypoints_stay_with_their_box() -> None:
    more = np.arange(15, dtype=np.float32).reshape(1, 5, 3)
    output = program("runtime").spread(found(2, 5), more, (1, 9, 12), 2)
    np.testing.assert_array_equal(output[0, 6:, :2], more[0, :2].T)
    assert not output[0, 6:, 2:].any()


def test_no_more_boxes_than_the_float_model_has_places() -> None:
    output = program("runtime").spread(found(5, 5), None, (1, 6, 3), 2)
    assert np.count_nonzero(output[0, 4:]) == 3


def test_of_two_boxes_that_overlap_the_better_one_is_left() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30], [0, 0, 10, 4]], np.float32)
    scores = np.array([0.5, 0.9, 0.3, 0.4], np.float32)
    assert program("runtime").nms(boxes, scores, 0.5).tolist() == [1, 3, 2]
    assert program("runtime").nms(boxes[:0], scores[:0], 0.5).tolist() == []


def test_an_overlap_of_just_the_threshold_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)
    assert program("runtime").nms(boxes, np.array([0.9, 0.8]), 0.5).tolist() == [0, 1]


@pytest.mark.yolo
@pytest.mark.parametrize(("bits", "signed"), [(8, 0), (8, 1), (16, 1)])
def test_activations_are_rounded_as_the_toolkit_does(bits: int, signed: int) -> None:
    import onnx
    import onnxruntime

    threshold = 4.0
    node = onnx.helper.make_node(
        *("ActivationPOTQuantizer", ["x"], ["y"]),
        domain="mct_quantizers",
        threshold=threshold,
        signed=signed,
        num_bits=bits,
    )
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None]) for name in "xy"]
    graph = onnx.helper.make_graph(program("runtime").rounding(node), "g", ports[:1], ports[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    step = threshold / 2 ** (bits - signed)
    halves = (np.arange(-4, 5, dtype=np.float32) + np.float32(0.5)) * np.float32(step)
    values = np.concatenate([np.linspace(-6, 6, 1001, dtype=np.float32), halves])
    low, high = (-threshold if signed else 0.0), threshold - step
    wanted = np.round(np.clip(values, low, high) / step) * step
    np.testing.assert_array_equal(session.run(None, {"x": values})[0], wanted.astype(np.float32))


class Session:
    """A session of ONNX Runtime with given outputs."""

    def __init__(self, outputs: list[Any]) -> None:
        self.outputs = outputs
        self.seen: Any = None

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "in"})]

    def run(self, names: None, feeds: dict[str, Any]) -> list[Any]:
        assert names is None
        self.seen = feeds["in"]
        return self.outputs


def info(task: str, *shapes: tuple[int, ...]) -> dict[str, Any]:
    return {"task": task, "names": ["bolt", "nut"], "outputs": [{"shape": list(shape)} for shape in shapes]}


def test_each_task_gets_the_outputs_of_its_float_model() -> None:
    images, model = np.zeros((1, 3, 8, 8), np.float32), program("runtime").Model
    selected, more, proto = found(2, 5), np.ones((1, 5, 3), np.float32), np.ones((1, 3, 2, 2))
    count = np.array([[2]], np.int32)
    for task, outputs, shapes in (
        ("detect", [*selected, count], [(1, 6, 12)]),
        ("pose", [*selected, more], [(1, 9, 12)]),
        ("segment", [*selected, more, proto], [(1, 9, 12), (1, 3, 2, 2)]),
        ("classify", [np.ones((1, 2))], [(1, 2)]),
    ):
        got = model(Session(outputs), info(task, *shapes))(images)
        assert [output.shape for output in got] == shapes
        assert {output.dtype.name for output in got} == {"float32"}


def test_an_end_to_end_float_model_is_refused() -> None:
    with pytest.raises(ValueError, match="end2end"):
        program("runtime").Model(Session([]), info("detect", (1, 300, 6)) | {"end2end": True})


def test_a_view_in_another_order_is_copied() -> None:
    session = Session([np.ones((1, 2))])
    images = np.zeros((1, 8, 8, 3), np.float32).transpose(0, 3, 1, 2)
    program("runtime").Model(session, info("classify", (1, 2))).bind(images)()
    assert session.seen.flags["C_CONTIGUOUS"]


# -- logs and starter code --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("not supported: an end-to-end head, which the chip cannot compute", "imx500-unsupported"),
        ("CODE: [ISM] Not enough memory, available: 8.00MB , required: 13.73MB", "imx500-memory"),
        ("CODE: [EXEC] Failed to load in/model/model.onnx", "imx500-input"),
        ("Only dynamic 2d inputs (N, D0, D1) are supported", "imx500-not-quantized"),
        ("ONNX nodes (type:Constant) with empty names are not currently supported", "imx500-operator"),
    ],
)
def test_what_the_logs_say_becomes_a_finding(line: str, finding: str) -> None:
    rules = load_toolchain("imx500", SEARCH).findings
    assert [rule.id for rule in rules if rule.pattern and re.search(rule.pattern, line)] == [finding]


@pytest.mark.parametrize("task", ["detect", "pose", "segment", "classify"])
def test_the_starter_program_knows_the_task_and_the_size(task: str) -> None:
    template = dict(load_toolchain("imx500", SEARCH).package_files)["run.py"]
    variables = {"model": {"task": task}, "imgsz": [320, 320], "artifact": "artifact/packerOut.zip"}
    text = render_text(template.text, template.name, variables)
    compile(text, "run.py", "exec")
    processor = {
        "detect": "pp_od_yolo_ultralytics",
        "pose": "pp_yolo_pose_ultralytics",
        "segment": "pp_yolo_segment_ultralytics",
        "classify": "pp_cls",
    }[task]
    assert f"import {processor}\n" in text
    assert f"str(HERE / {json.dumps('artifact/packerOut.zip')})" in text
    # The library divides boxes by 640 unless it is told the size.
    assert "IMGSZ = 320" in text
    assert ("input_tensor_sz=IMGSZ" in text) == (task != "classify")
