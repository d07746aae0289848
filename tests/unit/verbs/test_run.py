from __future__ import annotations

import pytest

from edgebuild.action import ActionKey, ActionResult, Outcome
from edgebuild.verbs.run import _in_all


def result(outcome: Outcome, key: str = "a") -> ActionResult:
    return ActionResult(id="export", outcome=outcome, key=ActionKey(key))


@pytest.mark.parametrize(
    ("before", "after", "in_all"),
    [
        (result(Outcome.CACHED), result(Outcome.CURRENT), Outcome.CACHED),
        (result(Outcome.RAN), result(Outcome.CURRENT), Outcome.RAN),
        (result(Outcome.CACHED), result(Outcome.RAN), Outcome.RAN),
        (result(Outcome.FAILED), result(Outcome.CURRENT), Outcome.CURRENT),
        (result(Outcome.RAN, "b"), result(Outcome.CURRENT), Outcome.CURRENT),
        (None, result(Outcome.CURRENT), Outcome.CURRENT),
    ],
)
def test_a_run_that_starts_over_tells_what_it_did_in_all(
    before: ActionResult | None, after: ActionResult, in_all: Outcome
) -> None:
    assert _in_all(before, after).outcome is in_all
