from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.errors import UsageError
from edgebuild.plan.selection import names, select
from tests.unit.plans import MODEL, TRAIN, ascend, int8, plan, target

if TYPE_CHECKING:
    from edgebuild.plan.plan import Plan


@lru_cache(maxsize=1)
def made() -> Plan:
    return plan(
        target("float", tags=("pc",)),
        int8("pi-4", cpu="arm64", tags=("board", "slow")),
        int8("pi-5", cpu="arm64", batch=2, tags=("board",)),
        ascend("npu", recipe="int8"),
        model=replace(MODEL, weights=None, train=TRAIN),
    )


def picked(*words: str, until: str = "", without: tuple[str, ...] = ()) -> tuple[set[str], set[str]]:
    chosen = select(made(), words, until=until, without=without)
    return set(chosen.actions), set(chosen.asked)


def test_everything() -> None:
    chosen = select(made())
    assert chosen.actions == tuple(a.id for a in made().actions)
    assert chosen.asked == set(chosen.actions)
    assert chosen.targets == ("float", "pi-4", "pi-5", "npu")


def test_a_target_and_what_it_needs() -> None:
    chosen = select(made(), ["pi-4"])
    assert chosen.targets == ("pi-4",)
    assert set(chosen.actions) == chosen.asked == set(made().target("pi-4").actions)
    assert not [a for a in chosen.actions if a.startswith(("float/", "pi-5/", "npu/"))]


@pytest.mark.parametrize("word", ["pi-*", "pi-[45]", "tag:board"])
def test_globs_and_tags(word: str) -> None:
    assert select(made(), [word]).targets == ("pi-4", "pi-5")


@pytest.mark.parametrize("word", ["pi-4/verdict", "pi-4/package"])
def test_a_target_is_judged_when_its_verdict_is_among_what_is_needed(word: str) -> None:
    assert select(made(), [word]).targets == ("pi-4",)
    assert select(made(), ["pi-4/validate"]).targets == ()


def test_a_shared_step_by_any_of_its_names() -> None:
    actions, asked = picked("export")
    assert asked == {"export", "export@b2"}
    assert actions == {"train", "export", "export@b2"}
    assert picked("pi-5/export")[1] == {"export", "export@b2"}
    assert picked("pi-4/export")[1] == {"export"}
    assert picked("quantize@s8s8")[1] == {"quantize@s8s8"}


def test_a_step_of_every_target() -> None:
    assert picked("*/benchmark")[1] == {"float/benchmark", "pi-4/benchmark", "pi-5/benchmark"}
    assert picked("npu/compile") == (
        {"train", "export", "calibrate", "calibration@raw-float32", "npu/compile"}
        | {"npu/amct", "npu/amct-files", "npu/amct-model-nodes"},
        {"npu/compile"},
    )


def test_several_words_add_up() -> None:
    assert picked("npu/amct", "float/verdict")[1] == {"npu/amct", "float/verdict"}


def test_what_is_only_needed_is_not_asked_for() -> None:
    """``--force`` means what was named, not the training behind it."""
    actions, asked = picked("float/validate")
    assert asked == {"float/validate"}
    assert {"train", "export"} <= actions


class TestUntil:
    def test_a_step_of_the_chain(self) -> None:
        actions, _ = picked(until="export")
        assert actions == {"train", "export", "export@b2"}

    def test_a_vendors_steps_are_the_compile_step(self) -> None:
        actions, _ = picked("npu", until="compile")
        assert {"npu/amct", "npu/compile"} <= actions
        assert "npu/validate" not in actions

    def test_one_of_a_vendors_steps(self) -> None:
        actions, _ = picked("npu", until="amct")
        assert "npu/amct" in actions
        assert "npu/compile" not in actions

    def test_the_end_is_everything_of_those_targets(self) -> None:
        assert picked("pi-4", until="package")[0] == set(made().target("pi-4").actions)

    def test_a_step_that_no_target_has_stops_where_it_would_be(self) -> None:
        assert "float/benchmark" not in picked("float", until="quantize")[0]

    def test_no_target_is_judged_before_its_verdict(self) -> None:
        assert select(made(), until="validate").targets == ()
        assert select(made(), until="verdict").targets == ("float", "pi-4", "pi-5", "npu")
        assert select(made(), until="package").targets == ("float", "pi-4", "pi-5", "npu")

    def test_a_step_that_does_not_exist(self) -> None:
        with pytest.raises(UsageError, match="there is no step 'comple'") as caught:
            picked(until="comple")
        assert "compile" in caught.value.hint


class TestWithout:
    def test_a_target_left_out_takes_only_its_own_with_it(self) -> None:
        chosen = select(made(), without=["npu", "float"])
        assert chosen.targets == ("pi-4", "pi-5")
        assert {"calibrate", "export", "train"} <= set(chosen.actions)
        assert not {"calibration@raw-float32", "npu/amct", "float/validate"} & set(chosen.actions)

    def test_leaving_all_out_leaves_nothing(self) -> None:
        assert select(made(), without=["float", "pi-4", "pi-5", "npu"]).actions == ()

    def test_a_target_left_out_cannot_be_asked_for(self) -> None:
        assert select(made(), ["npu"], without=["pi-4"]).targets == ("npu",)

    @pytest.mark.parametrize("word", ["npu", "npu/compile", "npu/export", "npu*"])
    @pytest.mark.parametrize("until", ["", "compile", "amct"])
    def test_nothing_is_done_for_a_target_that_is_left_out_though_it_was_asked_for(
        self, word: str, until: str
    ) -> None:
        assert select(made(), [word], until=until, without=["npu"]).actions == ()

    def test_the_others_that_were_asked_for_are_built(self) -> None:
        assert select(made(), ["npu", "pi-4"], without=["npu"]) == select(made(), ["pi-4"])


@pytest.mark.parametrize("word", ["pi-6", "pi-4/compile", "tag:nothing", "", "*q9*", "export@b3", "-"])
def test_what_matches_nothing_is_an_error_with_a_suggestion(word: str) -> None:
    with pytest.raises(UsageError, match="nothing in the plan is called") as caught:
        picked("float", word)
    assert "edgebuild plan" in caught.value.hint
    if word == "pi-6":
        assert "pi-" in caught.value.hint


def test_every_name_on_offer_selects_something() -> None:
    for name in names(made()):
        assert select(made(), [name]).actions, name


@given(st.text(max_size=12) | st.sampled_from(["[", "[!", "*", "?", "**", "tag:", "pi-[", "[]", "tag:*"]))
def test_any_word_selects_something_or_is_refused(word: str) -> None:
    try:
        chosen = select(made(), [word])
    except UsageError:
        return
    assert chosen.asked
    assert chosen.asked <= set(chosen.actions)


@given(
    st.lists(st.sampled_from(names(made())), max_size=4),
    st.sampled_from(["", "export", "compile", "verdict"]),
)
def test_a_selection_holds_all_it_needs_in_the_plans_order(words: list[str], until: str) -> None:
    chosen = select(made(), words, until=until)
    wanted = set(chosen.actions)
    assert all(set(made().action(action).needs) <= wanted for action in chosen.actions)
    assert list(chosen.actions) == [a.id for a in made().actions if a.id in wanted]
