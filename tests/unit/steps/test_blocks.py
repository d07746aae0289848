from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.search.results import distance
from edgebuild.steps import _groups
from edgebuild.steps._blocks import MAX_CHAINS, entry_tensors, find_blocks
from edgebuild.steps._onnx_file import load_onnx, name_nodes
from edgebuild.steps.blocks import describe, sketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


def without_names(model: Any) -> Any:
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
    return model


def test_a_small_detector_falls_into_chains_and_branches(build_detector: Callable[..., Any]) -> None:
    found = {block.label: block for block in find_blocks(build_detector())}
    assert {label: set(block.nodes) for label, block in found.items()} == {
        "block 00": {"stem", "relu"},
        "block 01": {"down", "relu2"},
        "head box": {"hidden0", "act0", "box0", "hidden1", "act1", "box1"},
        "head class": {"class0", "class1"},
    }
    assert found["head class"].kind == "class"


def test_data_enters_the_decoding_through_the_last_convolutions(build_detector: Callable[..., Any]) -> None:
    assert set(entry_tensors(build_detector())) == {
        ("flat_box0", 0), ("flat_box1", 0), ("flat_class0", 0), ("flat_class1", 0)
    }  # fmt: skip


def test_an_activation_written_as_a_product_is_no_place_to_cut(build_graph: Callable[..., Any]) -> None:
    model = build_graph(
        ("MatMul", ["image", "matrix"], "one"), ("Sigmoid", ["one"], "gate"),
        ("Mul", ["one", "gate"], "silu"),
        ("MatMul", ["silu", "matrix"], "two"), ("MatMul", ["two", "matrix"], "last"),
        ("Softmax", ["last"], "chance"),
    )  # fmt: skip
    assert [block.nodes for block in find_blocks(model)] == [("one", "gate", "silu", "two", "last")]


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", ["yolo11n", "yolov8n", "yolo26n", "yolo11n-seg"])
def test_real_exports(
    zoo: Path, run_step_at: Callable[..., Any], tmp_path: Path, name: str, *, named: bool
) -> None:
    task = "segment" if name.endswith("-seg") else "detect"
    for words in (
        ("export", "--weights", zoo / f"{name}.pt", "--task", task, "--imgsz", 64, 64, "--simplify",
         "--model", "e.onnx", "--info", "e.json"),
        ("preprocess", "--model", "e.onnx", "--output", "p.onnx"),
    ):  # fmt: skip
        done = run_step_at(tmp_path, *words)
        assert done.returncode == 0, done.stderr
    model = load_onnx(tmp_path / "p.onnx")
    name_nodes(model)
    model = model if named else without_names(model)

    blocks = find_blocks(model)

    groups = _groups.find_groups(model)
    inside = [node for block in blocks for node in block.nodes]
    assert len(inside) == len(set(inside)), "a node is in one block at most"
    assert not set(inside) & set(groups["decode"])
    graph = _groups.read_graph(model)
    weighted = {node.name for i, node in enumerate(graph.nodes) if _groups.is_weighted(graph, i)}
    assert weighted <= set(inside)
    labels = [block.label for block in blocks]
    assert len(labels) == len(set(labels))
    assert {"head box", "head class"} <= set(labels)
    head = {node for block in blocks if block.kind != "body" for node in block.nodes}
    assert head == set(groups["head"]) - set(groups["decode"])
    body = [block for block in blocks if block.kind == "body"]
    assert len(body) <= MAX_CHAINS
    assert all(block.label.startswith("model." if named else "block ") for block in body)
    assert sum(row["share"] for row in describe(model)["blocks"]) == pytest.approx(1, abs=0.02)


def test_equal_models_are_described_equally(build_detector: Callable[..., Any]) -> None:
    one, other = describe(build_detector()), describe(build_detector())
    assert json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("change", [0.001, 0.01, 0.1])
def test_a_sketch_tells_how_far_weights_have_moved(change: float) -> None:
    np = pytest.importorskip("numpy")
    draw = np.random.default_rng(0)
    before = [draw.normal(size=(64, 32, 3, 3)), draw.normal(size=64)]
    moves = [draw.normal(size=one.shape) for one in before]
    size = float(np.sqrt(sum(np.sum(one**2) for one in before)))
    step = float(np.sqrt(sum(np.sum(one**2) for one in moves)))
    after = [one + change * size / step * move for one, move in zip(before, moves, strict=True)]

    assert distance(sketch(before), sketch(after)) == pytest.approx(change, rel=0.3)
    assert distance(sketch(before), sketch(before)) == 0.0
