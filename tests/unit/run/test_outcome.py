from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import Output
from edgebuild.perform.action import perform
from edgebuild.results import run_document
from edgebuild.run.outcome import run_result, worst
from edgebuild.run.placing import TRAINED, materialise
from tests.unit import plans
from tests.unit.workbench import shell

if TYPE_CHECKING:
    from tests.unit.workbench import Workbench


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((), 0), ((0, 0), 0), ((4,), 4), ((4, 3), 3), ((0, 4, 5), 5), ((8, 1), 1), ((9, 4), 9), ((137, 0), 137)],
)
def test_the_gravest_code_counts_and_none_is_taken_for_success(codes: tuple[int, ...], expected: int) -> None:
    assert worst(set(codes)) == expected


def test_trained_weights_are_put_beside_the_targets_also_when_nothing_else_was_asked_for(
    bench: Workbench,
) -> None:
    outputs = (Output(role="weights", path="weights.pt"), Output(role="summary", path="training.json"))
    action = shell("train", "echo w > out/weights.pt; echo s > out/training.json", out=outputs)
    context = bench.context()
    done = {"train": perform(action, {}, context)}
    trained = replace(plans.MODEL, weights=None, train=plans.TRAIN)
    made = plans.plan(plans.target(), model=trained, folder=bench.workspace)

    looked = materialise(made, done, context, (), look=True)
    folder = bench.workspace / "build" / "fasteners" / "train"
    assert not folder.exists()
    placed = materialise(made, done, context, ())

    assert placed == looked
    assert (folder / "best.pt").read_text() == "w\n"
    assert (folder / "training.json").read_text() == "s\n"
    # What is watched for changes, so that a removed file is put back.
    assert set(placed[TRAINED].values()) == {folder / "best.pt", folder / "training.json"}
    result = run_result(made, done, context, targets=(), skipped={}, placed=placed, started="", seconds=0.0)
    assert run_document(result)["trained"] == "build/fasteners/train/best.pt"


def test_where_weights_are_given_there_are_no_trained_ones(bench: Workbench) -> None:
    made = plans.plan(plans.target(), folder=bench.workspace)

    assert materialise(made, {}, bench.context(), ()) == {}
