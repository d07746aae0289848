from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.manifest.values import Quantize
from edgebuild.plan.quantization import (
    DEFAULT_KEEP,
    dynamic_label,
    float16_label,
    resolve_for,
    resolve_types,
    variant_label,
    wide_activations,
    without_decode,
)
from edgebuild.toolchain.load import QdqNeed

PLAIN = Quantize(
    method="percentile",
    percentile=99.999,
    per_channel=True,
    activation="u8",
    weight="s8",
    reduce_range=False,
    keep_float=DEFAULT_KEEP,
)
OPEN = replace(PLAIN, method="", activation="", weight="", reduce_range=None)

settings = st.builds(
    Quantize,
    method=st.sampled_from(["minmax", "entropy", "percentile"]),
    percentile=st.floats(90, 100),
    per_channel=st.booleans(),
    activation=st.sampled_from(["u8", "s8", "u16", "s16"]),
    weight=st.sampled_from(["u8", "s8"]),
    reduce_range=st.booleans(),
    keep_float=st.lists(
        st.sampled_from(["decode", "last", "head", "none", "no", "float", "op:Conv", "/model.2/*", "a+b"]),
        max_size=5,
        unique=True,
    ).map(tuple),
)


@pytest.mark.parametrize(
    ("cpu", "activation", "weight", "reduce_range"),
    [
        ("x86-vnni", "u8", "s8", False),
        ("x86", "u8", "s8", True),
        ("arm64", "s8", "s8", False),
        ("something new", "u8", "s8", True),
    ],
)
def test_the_family_decides_what_is_left_open(
    cpu: str, activation: str, weight: str, *, reduce_range: bool
) -> None:
    found = resolve_types(OPEN, cpu)
    assert (found.activation, found.weight, found.reduce_range) == (activation, weight, reduce_range)
    assert (found.method, found.percentile) == ("percentile", 99.999)


def test_what_is_decided_stays() -> None:
    decided = replace(PLAIN, activation="s16", weight="u8", reduce_range=False)
    assert resolve_types(decided, "x86") == decided


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, ""),
        ({"batch": 4}, "@b4"),
        ({"naive": True}, "@naive"),
        ({"method": "entropy"}, "@entropy"),
        ({"method": "minmax"}, "@minmax"),
        ({"method": "percentile", "percentile": 99.99999}, "@p99.99999"),
        ({"activation": "s8"}, "@s8s8"),
        ({"reduce_range": True}, "@u8s8r"),
        ({"per_channel": False}, "@per-tensor"),
        ({"keep_float": ()}, "@no-float"),
        ({"keep_float": ("head",)}, "@float-head"),
        ({"keep_float": ("decode", "head")}, "@float-decode+head"),
        ({"keep_float": ("head",), "naive": True}, "@naive"),
        ({"batch": 2, "method": "entropy", "activation": "s8"}, "@b2-entropy-s8s8"),
    ],
)
def test_a_label_says_what_is_not_the_default(changes: dict[str, Any], label: str) -> None:
    batch, naive = changes.pop("batch", 1), changes.pop("naive", False)
    assert variant_label(replace(PLAIN, **changes), batch=batch, naive=naive) == label


@pytest.mark.parametrize(
    ("changes", "head", "float16", "dynamic"),
    [
        ({}, "full", "", "@dynamic"),
        ({}, "cut", "@cut-float-decode+last", "@dynamic-cut-float-decode+last"),
        ({"keep_float": ("last",)}, "cut", "@cut", "@dynamic-cut"),
        ({"keep_float": ("head",)}, "full", "@float-head", "@dynamic-float-head"),
        ({"activation": "s8", "method": "entropy"}, "full", "", "@dynamic"),
        ({"per_channel": False, "reduce_range": True}, "full", "", "@dynamic-r-per-tensor"),
    ],
)
def test_conversions_differ_by_what_they_use(
    changes: dict[str, Any], head: str, float16: str, dynamic: str
) -> None:
    settings = replace(PLAIN, **changes)
    assert float16_label(settings, batch=1, head=head) == float16
    assert dynamic_label(settings, batch=1, head=head) == dynamic


def test_wide_activations_keep_their_sign() -> None:
    assert wide_activations(PLAIN).activation == "u16"
    assert wide_activations(replace(PLAIN, activation="s8", reduce_range=True)).activation == "s16"


def test_a_cut_head_leaves_no_decoding_to_keep() -> None:
    assert without_decode(PLAIN).keep_float == ("last",)
    assert variant_label(without_decode(PLAIN), batch=1, head="cut") == "@cut"


def test_names_with_signs_become_a_digest() -> None:
    label = variant_label(replace(PLAIN, keep_float=("/model.23/*",)), batch=1)
    assert label.startswith("@float-")
    assert label.removeprefix("@float-").isalnum()


@given(
    one=settings,
    other=settings,
    batch=st.integers(1, 8),
    other_batch=st.integers(1, 8),
    naive=st.booleans(),
)
def test_other_settings_have_another_label(
    one: Quantize, other: Quantize, batch: int, other_batch: int, *, naive: bool
) -> None:
    def matters(given: Quantize, size: int) -> tuple[Any, ...]:
        exact = given.percentile if given.method == "percentile" else 0
        kept = () if naive else given.keep_float
        types = (given.activation, given.weight, given.reduce_range, given.per_channel)
        return (size, given.method, exact, types, kept)

    labels = [
        variant_label(one, batch=batch, naive=naive),
        variant_label(other, batch=other_batch, naive=naive),
    ]
    assert (labels[0] == labels[1]) == (matters(one, batch) == matters(other, other_batch))
    assert not set("".join(labels)) & set("/ \\\t\n*")


@given(settings, settings)
def test_ranges_are_shared_by_all_variants_of_a_method(one: Quantize, other: Quantize) -> None:
    labels = [variant_label(s, batch=1, ranges_only=True) for s in (one, other)]
    same = one.method == other.method and (one.method != "percentile" or one.percentile == other.percentile)
    assert (labels[0] == labels[1]) == same


class TestWhatACompilerReads:
    NEED = QdqNeed(style="pairs", activation=("s8",), weight=("s8",))

    def test_what_the_manifest_leaves_open_becomes_something_it_reads(self) -> None:
        found = resolve_for(OPEN, "x86", self.NEED)
        assert (found.activation, found.weight, found.reduce_range) == ("s8", "s8", False)

    def test_what_the_manifest_says_stays(self) -> None:
        found = resolve_for(replace(OPEN, activation="u8", reduce_range=True), "arm64", self.NEED)
        assert (found.activation, found.reduce_range) == ("u8", True)

    def test_without_a_need_the_processor_decides(self) -> None:
        assert resolve_for(OPEN, "x86", QdqNeed()) == resolve_types(OPEN, "x86")

    def test_its_style_is_another_variant(self) -> None:
        assert variant_label(PLAIN, batch=1, pairs=True) == "@pairs"
