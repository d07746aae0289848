from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.perform.action import perform
from edgebuild.run.forecast import forecast
from tests.unit.workbench import after, shell

if TYPE_CHECKING:
    from edgebuild.action import Action
    from tests.unit.workbench import Workbench

COPY = "cat in/source/a.txt > out/out.txt"


@pytest.fixture
def chain(bench: Workbench) -> tuple[Action, Action]:
    """Two actions: the second reads what the first leaves, and a folder of the user's; both have run."""
    bench.write("a.txt", "hello")
    bench.write("data/one.txt", "1")
    first = shell("first", COPY, bench.file("a.txt"))
    second = shell("second", "cat in/*/* > out/out.txt", after(first), bench.tree("data"))
    context = bench.context()
    done = perform(first, {}, context)
    perform(second, {"first": done}, context)
    return first, second


def why(bench: Workbench, *actions: Action) -> dict[str, tuple[str, list[str]]]:
    found = forecast(actions, bench.context())
    return {name: (one.state, [reason.what for reason in one.why]) for name, one in found.items()}


def test_nothing_changed(bench: Workbench, chain: tuple[Action, Action]) -> None:
    assert [state for state, _ in why(bench, *chain).values()] == ["current", "current"]


def test_what_waits_may_be_cut_off(bench: Workbench, chain: tuple[Action, Action]) -> None:
    bench.write("a.txt", "other")
    assert why(bench, *chain)["second"] == ("run", ["first would run first; may be cut off"])


def test_what_waits_and_differs_anyway_is_not_cut_off_and_says_why(
    bench: Workbench, chain: tuple[Action, Action]
) -> None:
    bench.write("a.txt", "other")
    bench.write("data/two.txt", "2")
    first, second = chain
    second = replace(second, inputs=(second.inputs[0], bench.tree("data")))
    state, reasons = why(bench, first, second)["second"]
    assert state == "run"
    assert reasons == ["first would run first", "data"]


def test_a_file_that_is_gone_is_named_while_another_action_is_waited_for(
    bench: Workbench, chain: tuple[Action, Action]
) -> None:
    bench.write("a.txt", "other")
    (bench.workspace / "data" / "one.txt").unlink()
    _, reasons = why(bench, *chain)["second"]
    assert reasons[0] == "first would run first"
    assert "one.txt" in reasons[1]
