from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgebuild.document.node import Node, Place
from edgebuild.document.parse import parse
from edgebuild.manifest.merge import inherit, overlay


def tree(text: str) -> Node:
    node, problems = parse(text, file="m.yaml")
    assert problems == []
    return node


def complete(text: str) -> dict[str, Any]:
    targets: dict[str, Any] = inherit(tree(text)).entries["targets"].unwrap()
    return targets


def test_mappings_merge_and_everything_else_replaces() -> None:
    merged = overlay(tree("{a: {x: 1, z: 2}, l: [1, 2], s: t}"), tree("{a: {z: 3}, l: [4], m: 5}"))

    assert merged.unwrap() == {"a": {"x": 1, "z": 3}, "l": [4], "s": "t", "m": 5}


def test_null_takes_back_what_would_be_inherited() -> None:
    assert overlay(tree("{a: 1, b: {c: 2, d: 3}}"), tree("{a: null, b: {c: ~}}")).unwrap() == {"b": {"d": 3}}


def test_a_value_keeps_its_own_place_when_it_is_inherited() -> None:
    root = inherit(
        tree("quantize: {method: entropy}\ndefaults:\n  batch: 4\ntargets:\n  a: {toolchain: x}\n")
    )

    method, batch = root.get("targets", "a", "quantize", "method"), root.get("targets", "a", "batch")
    assert method is not None
    assert batch is not None
    assert method.where == Place(file="m.yaml", line=1, column=20)
    assert batch.where == Place(file="m.yaml", line=3, column=10)


def test_a_target_beats_defaults_and_defaults_beat_sections() -> None:
    targets = complete(
        "quantize: {method: minmax, per_channel: false, percentile: 99}\n"
        "defaults: {quantize: {method: entropy, per_channel: true}, batch: 2}\n"
        "targets: {a: {quantize: {method: percentile}}, b: {batch: 8}}\n"
    )

    assert targets["a"] == {
        "quantize": {"method": "percentile", "per_channel": True, "percentile": 99},
        "batch": 2,
    }
    assert targets["b"]["batch"] == 8
    assert targets["b"]["quantize"]["method"] == "entropy"


def test_a_target_can_tighten_one_limit_and_keep_the_others() -> None:
    targets = complete(
        "acceptance: {map50: {min: 0.4, max_drop: 0.02}, size_mb: {max: 4}}\n"
        "targets: {a: {acceptance: {map50: {max_drop: 0.01}, size_mb: null}}}\n"
    )

    assert targets["a"]["acceptance"] == {"map50": {"min": 0.4, "max_drop": 0.01}}


def test_none_takes_all_gates_away() -> None:
    targets = complete("acceptance: {map50: {min: 0.4}}\ntargets: {a: {acceptance: none}, b: {}}\n")

    assert targets["a"]["acceptance"] == "none"
    assert targets["b"]["acceptance"] == {"map50": {"min": 0.4}}


def test_no_limits_of_its_own_mean_no_gates_only_for_a_target_that_does_not_ship() -> None:
    targets = complete(
        "acceptance: {map50: {min: 0.4}}\n"
        "targets: {a: {ship: false, acceptance: {}}, b: {acceptance: {}}, c: {ship: false}}\n"
    )

    assert targets["a"]["acceptance"] == {}
    assert targets["b"]["acceptance"] == {"map50": {"min": 0.4}}
    assert targets["c"]["acceptance"] == {"map50": {"min": 0.4}}


def test_a_target_written_as_nothing_is_all_defaults() -> None:
    assert complete("defaults: {toolchain: x}\ntargets:\n  a:\n") == {"a": {"toolchain": "x"}}


LEAVES = st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2)
MAPPINGS = st.dictionaries(
    st.sampled_from("abc"), LEAVES | st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=2), max_size=3
)


@settings(deadline=None, max_examples=50)
@given(MAPPINGS, MAPPINGS)
def test_the_upper_mapping_always_shows_and_the_lower_one_where_it_is_not_covered(
    lower: dict[str, object], upper: dict[str, object]
) -> None:
    merged = overlay(tree(repr(lower)), tree(repr(upper)))

    assert overlay(merged, tree(repr(upper))).unwrap() == merged.unwrap()
    assert set(merged.entries) == set(lower) | set(upper)
    assert all(merged.entries[key].unwrap() == value for key, value in lower.items() if key not in upper)
