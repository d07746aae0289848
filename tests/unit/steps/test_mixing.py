from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps._mixing import mixing_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.yolo

RAW = ("MatMul", ["image", "matrix"], "raw")
BOXES = ("Mul", ["raw", "scale"], "boxes")
SCORES = ("Sigmoid", ["raw"], "scores")


def test_only_the_concatenation_of_boxes_and_scores_mixes(build_detector: Callable[..., Any]) -> None:
    assert mixing_nodes(build_detector()) == ("output0",)


def test_what_selects_from_mixed_values_mixes_too(build_detector: Callable[..., Any]) -> None:
    helper = pytest.importorskip("onnx.helper")
    model = build_detector()
    model.graph.node.append(helper.make_node("Transpose", ["output0"], ["rows"], name="rows", perm=[0, 2, 1]))
    model.graph.output[0].name = "rows"
    assert mixing_nodes(model) == ("output0", "rows")


def test_an_end_to_end_head_that_joins_only_at_its_end_mixes(build_graph: Callable[..., Any]) -> None:
    model = build_graph(
        RAW, BOXES, SCORES, ("TopK", ["scores", "count"], "best"),
        ("GatherElements", ["boxes", "best.1"], "chosen"),
        ("Mod", ["best.1", "count"], "class"), ("Cast", ["class"], "number"),
        ("Concat", ["chosen", "best", "number"], "out"),
    )  # fmt: skip
    assert mixing_nodes(model) == ("out",)


@pytest.mark.parametrize(
    ("parts", "mixes"),
    [
        (["boxes", "scores"], True),
        (["boxes", "number"], True),
        (["scores", "number"], True),
        (["boxes", "angle"], True),
        (["boxes", "scale"], False),
        (["scores", "scores"], False),
        (["boxes", "raw"], False),
    ],
)
def test_kinds_that_share_no_scale(
    build_graph: Callable[..., Any],
    parts: list[str],
    mixes: bool,  # noqa: FBT001 - a parameter
) -> None:
    model = build_graph(
        RAW, BOXES, SCORES, ("ArgMax", ["scores"], "place"), ("Cast", ["place"], "number"),
        ("Add", ["raw", "scale"], "turn"), ("Reshape", ["turn", "count"], "angle"),
        ("Cos", ["turn"], "cosine"),
         ("Mul", ["boxes", "cosine"], "turned"), ("Concat", parts, "out"),
    )  # fmt: skip
    assert ("out" in mixing_nodes(model)) is mixes


def test_the_visibility_of_keypoints_mixes_with_their_places(build_graph: Callable[..., Any]) -> None:
    """Either joined, or written into the tensor of the places."""
    joined = build_graph(RAW, BOXES, SCORES, ("Concat", ["boxes", "scores"], "points"))
    written = build_graph(RAW, BOXES, SCORES, ("ScatterND", ["boxes", "count", "scores"], "points"))
    assert mixing_nodes(joined) == mixing_nodes(written) == ("points",)


def test_a_product_of_probabilities_is_one(build_graph: Callable[..., Any]) -> None:
    model = build_graph(
        RAW, SCORES, ("Softmax", ["raw"], "classes"), ("Mul", ["scores", "classes"], "chance"),
        ("Concat", ["chance", "scores"], "out"),
    )  # fmt: skip
    assert mixing_nodes(model) == ()


def test_a_scaled_probability_is_a_coordinate(build_graph: Callable[..., Any]) -> None:
    """As in heads that place a box by the sigmoid of an offset."""
    model = build_graph(
        RAW, SCORES, ("Mul", ["scores", "scale"], "boxes"), ("Concat", ["boxes", "scores"], "out"),
        ("Add", ["out", "scale"], "moved"),
    )  # fmt: skip
    assert mixing_nodes(model) == ("out", "moved")


def test_a_feature_map_does_not_mix(build_graph: Callable[..., Any]) -> None:
    """A gate is joined with features, and all of it is weighted afterwards, through whatever layout."""
    model = build_graph(
        RAW, BOXES, SCORES, ("Concat", ["boxes", "scores"], "features"),
        ("Transpose", ["features"], "turned"),
        ("MatMul", ["turned", "matrix"], "out"),
    )  # fmt: skip
    assert mixing_nodes(model) == ()
