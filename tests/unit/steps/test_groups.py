from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import _groups

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.yolo


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


def test_weights_that_are_reordered_first_are_still_weights(build_graph: Callable[..., Any]) -> None:
    model = build_graph(
        ("Transpose", ["matrix"], "turned"), ("MatMul", ["image", "turned"], "product"),
        ("Softmax", ["product"], "chance"),
    )  # fmt: skip
    groups = _groups.find_groups(model)
    assert (groups["decode"], groups["last"], groups["first"]) == (("chance",), ("product",), ("product",))
    assert groups["attention"] == ()
    assert _groups.find_gaps(model, groups) == ()


def test_an_expectation_is_decoding_also_as_a_matrix_product(build_graph: Callable[..., Any]) -> None:
    model = build_graph(
        ("MatMul", ["image", "matrix"], "bins"), ("Softmax", ["bins"], "chance"),
        ("MatMul", ["chance", "places"], "mean"),
    )  # fmt: skip
    groups = _groups.find_groups(model)
    assert (groups["decode"], groups["last"]) == (("chance", "mean"), ("bins",))


def test_a_transformers_attention_is_found(build_graph: Callable[..., Any]) -> None:
    model = build_graph(
        ("MatMul", ["image", "matrix"], "query"), ("MatMul", ["image", "matrix"], "key"),
        ("Transpose", ["key"], "turned"), ("MatMul", ["query", "turned"], "product"),
        ("Softmax", ["product"], "weight"), ("MatMul", ["weight", "query"], "mix"),
        ("MatMul", ["mix", "matrix"], "logits"), ("Sigmoid", ["logits"], "chance"),
    )  # fmt: skip
    groups = _groups.find_groups(model)
    assert set(groups["attention"]) == {"turned", "product", "weight", "mix"}
    assert (groups["decode"], groups["last"]) == (("chance",), ("logits",))
    assert set(groups["first"]) == {"query", "key"}


def test_attention_as_one_operator_is_found(build_graph: Callable[..., Any]) -> None:
    model = build_graph(
        ("MatMul", ["image", "matrix"], "query"), ("Attention", ["query", "query", "query"], "mix"),
        ("MatMul", ["mix", "matrix"], "logits"), ("Sigmoid", ["logits"], "chance"),
    )  # fmt: skip
    assert "mix" in _groups.find_groups(model)["attention"]


class TestGaps:
    def test_a_graph_without_weights_has_nothing_to_quantize(self, build_graph: Callable[..., Any]) -> None:
        model = build_graph(("Relu", ["image"], "out"))
        (gap,) = _groups.find_gaps(model, _groups.find_groups(model))
        assert "nothing of it can be quantized" in gap

    def test_without_probabilities_mixed_outputs_cannot_be_told(
        self, build_graph: Callable[..., Any]
    ) -> None:
        model = build_graph(("MatMul", ["image", "matrix"], "raw"), ("Relu", ["raw"], "out"))
        (gap,) = _groups.find_gaps(model, _groups.find_groups(model))
        assert "no sigmoid or softmax" in gap

    def test_an_output_that_is_computed_from_the_input_alone(self, build_graph: Callable[..., Any]) -> None:
        model = build_graph(
            ("MatMul", ["image", "matrix"], "raw"), ("Sigmoid", ["raw"], "chance"),
            ("Mul", ["image", "chance"], "out"),
        )  # fmt: skip
        (gap,) = _groups.find_gaps(model, _groups.find_groups(model))
        assert "decode may hold more" in gap

    def test_an_output_that_reads_the_shape_of_the_input_is_no_gap(
        self, build_graph: Callable[..., Any]
    ) -> None:
        model = build_graph(
            ("MatMul", ["image", "matrix"], "raw"), ("Sigmoid", ["raw"], "chance"),
            ("Shape", ["image"], "shape"),
            ("Reshape", ["chance", "shape"], "out"),
        )  # fmt: skip
        assert _groups.find_gaps(model, _groups.find_groups(model)) == ()

    def test_operators_of_others_are_named(self, build_graph: Callable[..., Any]) -> None:
        model = build_graph(("MatMul", ["image", "matrix"], "raw"), ("Sigmoid", ["raw"], "out"))
        model.graph.node[1].domain = "acme"
        (gap,) = _groups.find_gaps(model, _groups.find_groups(model))
        assert "acme" in gap
