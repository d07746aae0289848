from __future__ import annotations

from typing import Any

import pytest

from edgebuild.plan.candidates import FLOAT, Candidate, Ranges, Space
from edgebuild.search.report import failure, hint, name, outcome_document
from edgebuild.search.results import MOVED, Model, kept, limits, space
from tests.unit.search.test_explore import LABELS, World, search

SETTINGS: dict[str, Any] = {
    "schema": 1,
    "task": "detect",
    "metric": "map50_95",
    "imgsz": [320, 320],
    "batch": 1,
    "threads": 2,
    "calibration_images": 200,
    "quantize": {"method": "minmax", "percentile": 99.999, "keep_float": ["decode", "last"]},
    "limits": {"max_drop": 0.004, "max_slowdown": 0.1, "budget": 16},
}
RACE = {"by": "clock", "ratio": {"default": 1.0, "float": 1.9, "candidate": 1.1}}


def block(label: str, nodes: list[str], *, weights: str = "w", step: float = 0.0) -> dict[str, Any]:
    kind = "body" if label.startswith("model") else "branch"
    sketch = {"norm": 10.0, "sums": [10.0, step]}
    return {"label": label, "kind": kind, "nodes": nodes, "share": 0.1, "shape": "s", "weights": weights,
            "sketch": sketch}  # fmt: skip


def document(moved: dict[str, float] | None = None) -> dict[str, Any]:
    blocks = []
    for label in LABELS:
        step = (moved or {}).get(label, 0.0)
        stem = f"/{label.replace(' ', '/')}"
        nodes = [f"{stem}/conv/Conv", f"{stem}/act/Mul"]
        blocks.append(block(label, nodes, weights=f"w{step}", step=step))
    groups = {"decode": ["/out/Concat"], "last": ["/out/Conv"],
              "head": ["/out/Concat", "/head/box/conv/Conv"],
              "attention": ["/model.3/conv/Conv"], "first": []}  # fmt: skip
    nodes = [node for one in blocks for node in one["nodes"]]
    nodes += ["/out/Concat", "/out/Conv", "/model.30/Conv"]
    return {"schema": 1, "blocks": blocks, "groups": groups, "nodes": nodes}


def run(world: World, earlier: dict[str, Any] | None = None, **asked: float) -> tuple[dict[str, Any], Space]:
    settings = SETTINGS | {"limits": SETTINGS["limits"] | asked}
    model = Model(document())
    where = space(settings, model, earlier)
    found = search(where, limits(settings), world)
    races = {point.candidate.keep: RACE for point in found.points}
    taken = {"seconds": 1.0, "run": 2, "found": 3}
    return outcome_document(found, where, settings, model, races, taken, earlier), where


HARM = dict.fromkeys(LABELS, 0.0005) | {"model.2": 0.01}
COST = dict.fromkeys(LABELS, 0.04)


def test_a_block_is_one_glob_where_that_means_it_alone() -> None:
    model = Model(document())
    assert model.entries("model.2") == ("/model.2/*",)
    assert kept(("decode", "model.2", "/x"), model) == ("decode", "/model.2/*", "/x")


def test_a_block_that_shares_its_prefix_is_listed_and_special_characters_are_literal() -> None:
    blocks = [block("a", ["/m/one[0]", "/m/two"]), block("b", ["/m/three"])]
    model = Model({"blocks": blocks, "groups": {}, "nodes": ["/m/one[0]", "/m/two", "/m/three"]})
    assert model.entries("a") == ("/m/one[[]0]", "/m/two")


def test_groups_without_nodes_of_their_own_are_not_tried() -> None:
    found = space(SETTINGS, Model(document()), None)
    assert found.groups == ("attention", "head")
    assert found.less == ("decode",)
    assert found.branches == ("head box", "head class")
    assert [one.images for one in found.other_ranges] == [64, 64, 0, 64]


def test_what_the_manifest_keeps_float_always_stays() -> None:
    quantize = SETTINGS["quantize"] | {"keep_float": ["decode", "/x/*"], "method": "percentile"}
    found = space(SETTINGS | {"quantize": quantize}, Model(document()), None)
    assert (found.base, found.less) == (("decode", "/x/*"), None)
    assert found.ranges == Ranges(method="percentile", percentile=99.999)


def test_the_choice_can_be_copied_into_a_manifest() -> None:
    made, _ = run(World(HARM, COST))
    assert made["choice"]["keep_float"] == ["decode", "last", "/model.2/*"]
    assert (made["choice"]["method"], made["choice"]["images"]) == ("minmax", 200)
    assert made["search"]["said"][0].startswith("Chosen: default + model.2 (map50_95 0.79")
    assert made["search"]["default"]["on_front"]
    assert next(p for p in made["search"]["points"] if p["chosen"])["speedup"] == pytest.approx(
        1.9 / 1.1, 0.001
    )


def test_better_on_both_axes_is_said() -> None:
    made, _ = run(World(HARM, COST | {"model.2": -0.01}))
    assert "It is at least as good as the default on both axes." in made["search"]["said"]
    assert "default + model.2" in made["search"]["default"]["beaten_by"]


def test_impossible_limits_name_what_can_be_reached_on_either_side() -> None:
    world = World(HARM, dict.fromkeys(LABELS, 0.04) | {"model.2": 0.2})
    made, where = run(world, max_drop=0.0045, max_slowdown=0.22, budget=30)
    assert "choice" in made
    made, where = run(world, max_drop=0.0021, max_slowdown=0.1)
    assert "choice" not in made
    assert made["failure"].startswith("none of ")
    assert (
        "max_drop 0.0021 in map50_95 and max_slowdown 0.1; fast enough, the most accurate is"
        in made["failure"]
    )
    assert made["hint"].startswith("max_drop: 0.0")
    asked = SETTINGS | {"limits": {"max_drop": 0.0, "max_slowdown": 0.0, "budget": 4}}
    found = search(where, limits(asked), World(HARM, COST))
    assert "can be reached" in hint(found, asked)
    assert "fastest" not in failure(found, where, asked)


def test_a_later_search_carries_what_did_not_move() -> None:
    first, _ = run(World(HARM, COST))
    moved = {"model.1": 10 * MOVED * 1.01, "model.3": 10 * MOVED * 0.5}
    where = space(SETTINGS, Model(document(moved)), first["search"])
    assert [block.label for block in where.blocks if block.moved] == ["model.1"]
    assert where.previous[0].keep == ("decode", "last", "model.2")


def test_a_search_of_something_else_is_no_start() -> None:
    first, _ = run(World(HARM, COST))
    for change in (
        {"metric": "map50"},
        {"batch": 2},
        {"quantize": {**SETTINGS["quantize"], "method": "entropy"}},
    ):
        where = space(SETTINGS | change, Model(document()), first["search"])
        assert where.previous == ()
        assert all(block.moved for block in where.blocks)


def test_other_limits_start_from_the_last_search_too() -> None:
    first, _ = run(World(HARM, COST))
    made, _ = run(World(HARM, COST), first["search"], max_drop=0.0039)
    assert made["search"]["probes"]["warm"]
    assert made["search"]["probes"]["saved"] > 0
    assert made["choice"]["keep_float"] == ["decode", "last", "/model.2/*"]


def test_a_candidate_is_named_by_what_sets_it_apart() -> None:
    where = space(SETTINGS, Model(document()), None)
    assert name(FLOAT, where) == "float"
    assert name(Candidate(keep=where.base, ranges=where.ranges), where) == "default"
    few = Ranges(method="percentile", percentile=99.999, images=64)
    assert name(Candidate(keep=("decode",), ranges=few), where) == "decode, percentile 99.999, 64 images"


def test_a_busy_machine_is_told_of() -> None:
    made, where = run(World(HARM, COST))
    found = search(where, limits(SETTINGS), World(HARM, COST))
    races = {point.candidate.keep: RACE | {"by": "processor time"} for point in found.points}
    taken = {"seconds": 1.0, "run": 2, "found": 3}
    said = outcome_document(found, where, SETTINGS, Model(document()), races, taken, None)["search"]["said"]
    assert "by processor time" in said[-1]
    assert "processor time" not in " ".join(made["search"]["said"])
