from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.cli.calibrate import counts
from edgebuild.perform.key import key_document
from edgebuild.plan.sweep import combine
from tests.unit.plans import DATASET, int8, plan, target

if TYPE_CHECKING:
    from edgebuild.plan.plan import Plan


def swept(*numbers: int) -> dict[str, Plan]:
    plans = {}
    for number in numbers:
        dataset = replace(DATASET, calibration=replace(DATASET.calibration, images=number))
        plans[f"{number}-images"] = plan(int8("pi"), target("plain"), dataset=dataset)
    return plans


def test_what_does_not_depend_on_the_images_is_there_once() -> None:
    found = combine(swept(2, 4), ["baseline", "pi/validate"])
    names = [action.id for action in found.actions]
    assert {"export", "baseline", "preprocess"} <= set(names)
    assert {"2-images/calibrate", "4-images/calibrate", "2-images/pi/validate"} <= set(names)
    assert "calibrate" not in names
    assert not any(name.endswith(("plain/validate", "benchmark", "verdict", "package")) for name in names)
    assert len(names) == len(set(names))


def test_an_action_comes_after_what_it_needs_and_reads_its_own_plan_s() -> None:
    found = combine(swept(2, 3, 4), ["pi/validate"])
    seen: set[str] = set()
    for action in found.actions:
        assert seen.issuperset(action.needs)
        label = action.id.partition("/")[0]
        assert all("/" not in need or need.startswith(f"{label}/") for need in action.needs)
        seen.add(action.id)
    assert found.names["3-images", "pi/validate"] == "3-images/pi/validate"
    assert found.names["3-images", "export"] == "export"


def test_ids_are_no_part_of_the_key_so_results_are_those_of_a_run() -> None:
    plans = swept(2, 4)
    found = combine(plans, ["pi/validate"])
    ours = next(action for action in found.actions if action.id == "4-images/pi/validate")
    theirs = plans["4-images"].action("pi/validate")
    digests = {item.role: "sha256:0" for item in theirs.inputs}
    tools = dict.fromkeys(theirs.tools, "1")
    documents = [key_document(action, digests, tools, {}, "cpu") for action in (ours, theirs)]  # type: ignore[arg-type]
    assert documents[0] == documents[1]


def test_one_plan_alone_is_itself() -> None:
    (label, only), *_ = swept(2).items()
    found = combine({label: only}, ["calibrate"])
    assert [action.id for action in found.actions] == ["calibrate"]


def test_counts_are_sorted_and_each_there_once() -> None:
    assert counts("200,16, 64,16") == (16, 64, 200)


@pytest.mark.parametrize("text", ["", "16,", "0", "a", "16;64", "-1"])
def test_what_is_no_list_of_counts_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="is not a number of at least 1"):
        counts(text)
