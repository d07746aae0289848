from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps._groups import find_groups
from edgebuild.steps._selection import select_nodes
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.yolo


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([], set()),
        (["last"], {"box0", "box1", "class0", "class1"}),
        (["box*"], {"box0", "box1", "boxes"}),
        (["box[01]", "op:Sigmoid"], {"box0", "box1", "chance"}),
        (["stem", "first"], {"stem"}),
    ],
)
def test_entries_mean_nodes(build_detector: Callable[..., Any], entries: list[str], names: set[str]) -> None:
    model = build_detector()
    assert select_nodes(model, find_groups(model), entries) == names


@pytest.mark.parametrize("entry", ["attention", "op:Softmax", "boks0", "BOX*"])
def test_an_entry_without_a_match_says_what_exists(build_detector: Callable[..., Any], entry: str) -> None:
    model = build_detector()
    with pytest.raises(StepFailure) as failure:
        select_nodes(model, find_groups(model), ["last", entry])
    message = str(failure.value)
    assert f"{entry!r} matches no node" in message
    assert "decode (9 nodes)" in message
    assert "op:Sigmoid" in message


def test_a_misspelt_name_gets_the_near_ones(build_detector: Callable[..., Any]) -> None:
    model = build_detector()
    with pytest.raises(StepFailure, match=r"nodes such as .*hidden1"):
        select_nodes(model, find_groups(model), ["hiden1"])


def test_raw_outputs_need_no_decoding_in_float(build_graph: Callable[..., Any]) -> None:
    model = build_graph(("MatMul", ["image", "matrix"], "out"))
    groups = find_groups(model)
    assert select_nodes(model, groups, ["decode", "last"]) == {"out"}
