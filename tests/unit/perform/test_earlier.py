from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgebuild.action import ActionResult, LogRule, Outcome
from edgebuild.perform.action import perform
from tests.unit.workbench import shell

if TYPE_CHECKING:
    from edgebuild.action import Action
    from tests.unit.workbench import Workbench

TELLS = LogRule(pattern="falls back", id="fallback", level="warning")


def go(bench: Workbench, action: Action) -> ActionResult:
    return perform(action, {}, bench.context())


def test_a_rule_that_rejects_reads_no_log_from_before_it(bench: Workbench) -> None:
    step = shell("step", "echo Conv falls back; echo x > out/out.txt")
    assert go(bench, step).outcome is Outcome.RAN
    telling = replace(step, findings=(TELLS,))
    assert go(bench, telling).outcome is Outcome.CURRENT
    rejecting = replace(telling, rejects=("falls back",))
    again = go(bench, rejecting)
    assert (again.outcome, [found.id for found in again.findings]) == (Outcome.RAN, ["fallback"])
    assert [reason.kind for reason in again.why] == ["rule"]
    assert go(bench, rejecting).outcome is Outcome.CURRENT


def test_one_that_was_there_when_the_log_was_read_may_reject_later(bench: Workbench) -> None:
    step = shell("step", "echo Conv falls back; echo x > out/out.txt", findings=(TELLS,))
    go(bench, step)
    assert go(bench, replace(step, rejects=("falls back",))).outcome is Outcome.CURRENT
