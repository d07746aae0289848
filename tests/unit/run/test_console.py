from __future__ import annotations

import io
from typing import TYPE_CHECKING

from edgebuild.action import ActionResult, Outcome
from edgebuild.run.console import LiveDisplay, PlainDisplay
from tests.unit.workbench import shell, wait_until

if TYPE_CHECKING:
    import pytest

ACTION = shell("cpu/benchmark", "true")
WAITS = "cpu/benchmark waits: others measure\n"


def test_a_wait_is_said_once_and_the_heartbeat_tells_of_it() -> None:
    stream = io.StringIO()
    with PlainDisplay(3, stream, heartbeat=0.01) as display:
        display.waiting(ACTION, "others measure")
        assert wait_until(lambda: "[0/3] running: cpu/benchmark " in stream.getvalue())
        display.waiting(ACTION, "others measure")
        display.started(ACTION)
        display.finished(ActionResult(id=ACTION.id, outcome=Outcome.RAN))
    assert stream.getvalue().count(WAITS) == 1
    assert "[1/3] ran" in stream.getvalue()


def test_where_nothing_is_to_be_said_a_wait_is_not_either() -> None:
    stream = io.StringIO()
    with PlainDisplay(3, stream, quiet=True) as display:
        display.waiting(ACTION, "others measure")
    assert stream.getvalue() == ""


def test_a_terminal_shows_a_wait_where_the_step_is_shown_then(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveDisplay(3) as display:
        display.waiting(ACTION, "others measure")
        display.started(ACTION)
        display.progressed(ACTION, "2/5 runs")
        display.finished(ActionResult(id=ACTION.id, outcome=Outcome.RAN))
    assert capsys.readouterr().err.count("cpu/benchmark") == 1  # of the bars none is left


def test_a_run_that_starts_over_counts_every_action_once() -> None:
    stream = io.StringIO()
    display = PlainDisplay(2, stream)
    for name in ("export", "package"):
        display.finished(ActionResult(id=name, outcome=Outcome.CACHED))
    display.finished(ActionResult(id="export", outcome=Outcome.RAN, seconds=1.0))
    heads = [line.partition("]")[0] + "]" for line in stream.getvalue().splitlines()]
    assert heads == ["[1/2]", "[2/2]", "[2/2]"]
