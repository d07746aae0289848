from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionResult, Outcome
from edgebuild.results import run_document
from edgebuild.run.outcome import run_result, worst
from tests.unit import plans
from tests.unit.workbench import leaves

if TYPE_CHECKING:
    from edgebuild.results import RunResult
    from tests.unit.workbench import Workbench


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((), 0), ((0, 0), 0), ((4,), 4), ((4, 3), 3), ((0, 4, 5), 5), ((8, 1), 1), ((9, 4), 9), ((137, 0), 137)],
)
def test_the_gravest_code_counts_and_none_is_taken_for_success(codes: tuple[int, ...], expected: int) -> None:
    assert worst(set(codes)) == expected


def judged(bench: Workbench, verdict: str, **others: ActionResult) -> RunResult:
    """Return a run that brought the target ``pi`` to its verdict; others by the name of the step."""
    made = plans.plan(
        plans.target("pi", gates=(plans.gate("map50_95", max_drop=0.02),)), folder=bench.workspace
    )
    context = bench.context()
    done = {
        "pi/verdict": leaves(context, "pi/verdict", verdict=f'{{"status": "{verdict}"}}'),
        **{result.id: result for result in others.values()},
    }
    return run_result(made, done, context, targets=("pi",), skipped={}, placed={}, started="", seconds=0.0)


@pytest.mark.parametrize(("verdict", "code"), [("passed", 0), ("rejected", 4)])
def test_a_verdict_counts_also_where_not_the_whole_target_was_asked_for(
    bench: Workbench, verdict: str, code: int
) -> None:
    result = judged(bench, verdict)
    (target,) = run_document(result)["targets"]
    assert (target["status"], target["package"], result.exit_code) == (verdict, None, code)


def test_a_target_is_said_to_fail_of_what_failed_and_not_of_what_was_not_started_for_it(
    bench: Workbench,
) -> None:
    waits = ActionResult(id="pi/validate", outcome=Outcome.SKIPPED, message="not started: another failed")
    cause = ActionResult(id="baseline", outcome=Outcome.FAILED, message="baseline: no memory", exit_code=3)
    result = judged(bench, "passed", waits=waits, cause=cause)
    (target,) = result.targets
    assert (target.status, target.message, result.exit_code) == ("failed", "baseline: no memory", 3)


def test_where_nothing_failed_the_first_that_was_not_started_says_why(bench: Workbench) -> None:
    stopped = ActionResult(id="export", outcome=Outcome.SKIPPED, message="the run was stopped")
    waits = ActionResult(id="pi/validate", outcome=Outcome.SKIPPED, message="it needs export")
    (target,) = judged(bench, "passed", waits=waits, stopped=stopped).targets
    assert target.message == "the run was stopped"
