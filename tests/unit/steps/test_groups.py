from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import _groups
from edgebuild.steps._onnx_file import load_onnx, name_nodes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


def _types(model: Any, names: tuple[str, ...]) -> set[str]:
    return {node.op_type for node in model.graph.node if node.name in set(names)}


def test_finds_the_parts_of_a_small_detector(build_detector: Callable[..., Any]) -> None:
    groups = _groups.find_groups(build_detector())
    assert set(groups["last"]) == {"box0", "box1", "class0", "class1"}
    assert set(groups["decode"]) == {
        "flat_box0", "flat_box1", "flat_class0", "flat_class1", "boxes", "classes", "pixels", "chance",
        "output0",
    }  # fmt: skip
    assert set(groups["head"]) == {*groups["decode"], *groups["last"], "hidden0", "act0", "hidden1", "act1"}
    assert groups["first"] == ("stem",)
    assert groups["attention"] == ()


def test_names_play_no_role(build_detector: Callable[..., Any]) -> None:
    model = build_detector()
    before = _groups.find_groups(model)
    place = {node.name: index for index, node in enumerate(model.graph.node)}
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
    renamed = {group: tuple(f"n{place[name]}" for name in names) for group, names in before.items()}
    assert _groups.find_groups(model) == renamed


def test_only_the_concatenation_of_boxes_and_scores_mixes(build_detector: Callable[..., Any]) -> None:
    assert _groups.mixing_nodes(build_detector()) == ("output0",)


def test_what_selects_from_mixed_values_mixes_too(build_detector: Callable[..., Any]) -> None:
    helper = pytest.importorskip("onnx.helper")
    model = build_detector()
    model.graph.node.append(helper.make_node("Transpose", ["output0"], ["rows"], name="rows", perm=[0, 2, 1]))
    model.graph.output[0].name = "rows"
    assert _groups.mixing_nodes(model) == ("output0", "rows")


def test_sizes_lead_nowhere(build_detector: Callable[..., Any]) -> None:
    """A head that reads the size of a feature map does not thereby contain what computes the map."""
    helper = pytest.importorskip("onnx.helper")
    model = build_detector()
    size = helper.make_node("Shape", ["relu"], ["size"], name="size")
    cast = helper.make_node("Cast", ["size"], ["number"], name="number", to=1)
    part = helper.make_node("ReduceMax", ["number"], ["largest"], name="largest", keepdims=0)
    grown = helper.make_node("Mul", ["output0", "largest"], ["grown"], name="grown")
    model.graph.node.extend([size, cast, part, grown])
    model.graph.output[0].name = "grown"
    groups = _groups.find_groups(model)
    assert {"size", "number", "largest", "grown"} < set(groups["decode"])
    assert set(groups["last"]) == {"box0", "box1", "class0", "class1"}


@pytest.mark.slow
@pytest.mark.parametrize("simplify", [True, False], ids=["simplified", "plain"])
@pytest.mark.parametrize(
    ("name", "end2end"), [("yolo11n", False), ("yolov8n", False), ("yolo26n", False), ("yolo26n", True)]
)
def test_finds_the_parts_of_real_exports(
    zoo: Path, tmp_path: Path, run_step_at: Callable[..., Any], name: str, *, simplify: bool, end2end: bool
) -> None:
    done = run_step_at(
        tmp_path, "export", "--weights", zoo / f"{name}.pt", "--task", "detect", "--imgsz", 64, 64,
        "--model", "m.onnx", "--info", "m.json",
        *(["--simplify"] if simplify else []), *(["--end2end"] if end2end else []),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))["end2end"] is end2end
    model = load_onnx(tmp_path / "m.onnx")
    name_nodes(model)
    groups = _groups.find_groups(model)

    channels = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    last = [node for node in model.graph.node if node.name in groups["last"]]
    boxes = 4 if name == "yolo26n" else 64
    assert sorted(channels[node.input[1]] for node in last) == sorted([boxes] * 3 + [80] * 3)
    assert {node.op_type for node in last} == {"Conv"}
    expected = {"Concat", "Sigmoid", "Mul"} | ({"Softmax", "Conv"} if name != "yolo26n" else set())
    assert expected <= _types(model, groups["decode"])
    assert ("TopK" in _types(model, groups["decode"])) is end2end
    assert "Resize" not in _types(model, groups["head"])
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node if node.name in groups["head"])
    assert convolutions == {"yolov8n": 19, "yolo11n": 25, "yolo26n": 24}[name]
    assert len(groups["first"]) == 1
    assert _types(model, groups["attention"]) >= ({"MatMul", "Softmax"} if name != "yolov8n" else set())
    assert bool(groups["attention"]) is (name != "yolov8n")
    assert _groups.mixing_nodes(model)[0] in groups["decode"]
