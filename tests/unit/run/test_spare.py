from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.cache import away
from edgebuild.perform.action import perform
from edgebuild.run.forecast import forecast
from edgebuild.run.spare import spare
from tests.unit.workbench import after, shell

if TYPE_CHECKING:
    from edgebuild.action import Action, ActionResult
    from tests.unit.workbench import Workbench

AWAY = "its bytes are in the remote cache https://example.com/cache, which is not connected"

DELIVERED = [("third", "out")]


@pytest.fixture
def chain(bench: Workbench) -> list[Action]:
    """Three actions, each of which reads what the one before it leaves; of two the bytes are elsewhere."""
    bench.write("a.txt", "hello")
    first = shell("first", "cat in/source/a.txt > out/out.txt; echo 1 >> out/out.txt", bench.file("a.txt"))
    second = shell("second", "cat in/*/* > out/out.txt; echo 2 >> out/out.txt", after(first))
    third = shell("third", "cat in/*/* > out/out.txt; echo 3 >> out/out.txt", after(second))
    context = bench.context()
    done: dict[str, ActionResult] = {}
    for action in (first, second, third):
        result = done[action.id] = perform(action, done, context)
        assert result.key is not None
        if action is not third:
            away.note(bench.root, result.key, "https://example.com/cache")
    for name in ("first", "second"):
        context.cache.store.blob(done[name].artifact("out").digest).unlink()
    return [first, second, third]


def states(bench: Workbench, actions: list[Action], *delivered: tuple[str, str]) -> list[tuple[str, str]]:
    context = bench.context()
    spare(actions, context, delivered)
    found = forecast(actions, context)
    return [(found[action.id].state, found[action.id].why[0].what) for action in actions]


def test_bytes_that_nobody_needs_may_stay_elsewhere(bench: Workbench, chain: list[Action]) -> None:
    assert {state for state, _ in states(bench, chain, *DELIVERED)} == {"current"}
    context = bench.context()
    assert forecast(chain, context)["first"].why[0].what == AWAY  # who was told nothing takes no risk


def test_what_has_to_run_needs_what_it_reads_and_nothing_more(bench: Workbench, chain: list[Action]) -> None:
    first, second, third = chain
    changed = replace(third, argv=(*third.argv, "--more"))
    found = states(bench, [first, second, changed], *DELIVERED)
    assert [state for state, _ in found] == ["run", "run", "run"]
    assert found[0][1] == AWAY
    # The last one is here, so the one in the middle is read by nobody.
    other = shell("other", "cat in/*/* > out/out.txt", after(first))
    found = states(bench, [*chain, other], *DELIVERED)
    assert found[0] == ("run", AWAY)
    context = bench.context()
    spare([*chain, other], context, DELIVERED)
    done = {"first": perform(first, {}, context)}
    assert perform(second, done, context).succeeded
    assert bench.listener.ran == ["first"]


def test_what_is_delivered_has_to_be_here(bench: Workbench, chain: list[Action]) -> None:
    assert states(bench, chain, ("second", "out"))[1][0] == "run"


def test_what_is_lost_without_a_note_is_made_again(bench: Workbench, chain: list[Action]) -> None:
    context = bench.context()
    key = context.journal.last("first")
    assert key is not None
    away.forget(bench.root, key)
    state, why = states(bench, chain, *DELIVERED)[0]
    assert (state, why) == ("run", "its stored output is missing or was damaged")
