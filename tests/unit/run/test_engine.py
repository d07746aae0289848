from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import Outcome
from edgebuild.process import execute
from edgebuild.run import engine
from edgebuild.run.engine import doit_tasks, run_actions
from tests.unit.workbench import after, shell

if TYPE_CHECKING:
    from edgebuild.action import Action, ActionResult
    from tests.unit.workbench import Workbench

JOBS = pytest.mark.parametrize("jobs", [1, 3])


def run(
    bench: Workbench, *actions: Action, jobs: int = 1, keep_going: bool = False
) -> dict[str, ActionResult]:
    return run_actions(actions, bench.context(), jobs=jobs, keep_going=keep_going)


def outcomes(results: dict[str, ActionResult]) -> dict[str, str]:
    return {name: str(result.outcome) for name, result in results.items()}


def chain(bench: Workbench) -> tuple[Action, Action, Action]:
    bench.write("a.txt", "text # comment")
    strip = shell("strip", "sed 's/ #.*//' in/source/a.txt > out/out.txt", bench.file("a.txt"))
    upper = shell("upper", "tr a-z A-Z < in/source/source.txt > out/out.txt", after(strip))
    count = shell("count", "wc -c < in/source/source.txt > out/out.txt", after(upper))
    return strip, upper, count


@JOBS
def test_a_chain_runs_in_order_and_is_current_then(bench: Workbench, jobs: int) -> None:
    actions = chain(bench)
    results = run(bench, *actions, jobs=jobs)
    assert outcomes(results) == {"strip": "ran", "upper": "ran", "count": "ran"}
    assert bench.listener.ran == ["strip", "upper", "count"]
    assert list(results) == ["strip", "upper", "count"]
    assert set(outcomes(run(bench, *actions, jobs=jobs)).values()) == {"current"}
    assert bench.listener.ran == []


def test_what_is_current_is_given_to_nobody(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    *shared, last = chain(bench)
    run(bench, *shared, last)
    given: list[str] = []
    real = engine._schedule

    def schedule(actions: list[Action], *rest: Any, **options: Any) -> None:
        given.extend(action.id for action in actions)
        real(actions, *rest, **options)

    monkeypatch.setattr(engine, "_schedule", schedule)
    assert set(outcomes(run(bench, *shared, last)).values()) == {"current"}
    assert given == []
    changed = replace(last, argv=("sh", "-c", "wc -l < in/source/source.txt > out/out.txt"))
    results = run(bench, *shared, changed)
    assert outcomes(results) == {"strip": "current", "upper": "current", "count": "ran"}
    assert given == ["count"]
    assert [name for event, name in bench.listener.events if event == "finished"] == list(results)


@JOBS
def test_equal_bytes_stop_the_rebuild(bench: Workbench, jobs: int) -> None:
    actions = chain(bench)
    run(bench, *actions, jobs=jobs)
    bench.write("a.txt", "text # another comment")
    results = run(bench, *actions, jobs=jobs)
    assert outcomes(results) == {"strip": "ran", "upper": "current", "count": "current"}


@JOBS
def test_other_bytes_reach_everything_behind(bench: Workbench, jobs: int) -> None:
    actions = chain(bench)
    run(bench, *actions, jobs=jobs)
    bench.write("a.txt", "texts")
    assert outcomes(run(bench, *actions, jobs=jobs)) == {"strip": "ran", "upper": "ran", "count": "ran"}
    bench.write("a.txt", "TEXTS")
    assert outcomes(run(bench, *actions, jobs=jobs)) == {"strip": "ran", "upper": "ran", "count": "current"}


@JOBS
def test_equal_actions_of_two_ids_run_once(bench: Workbench, jobs: int) -> None:
    count = bench.folder / "count"
    script = f"echo x >> {count}; sleep 0.2; echo done > out/out.txt"
    results = run(bench, shell("one", script), replace(shell("one", script), id="two"), jobs=jobs)
    assert sorted(outcomes(results).values()) == ["cached", "ran"]
    assert count.read_text(encoding="utf-8") == "x\n"


def test_independent_actions_run_side_by_side(bench: Workbench) -> None:
    """Each of the two waits for the other to have started."""
    here = bench.folder
    actions = [
        shell(
            name,
            f"touch {here}/{name}; while [ ! -e {here}/{other} ]; do sleep 0.02; done; echo x > out/out.txt",
            timeout=300,
        )
        for name, other in (("a", "b"), ("b", "a"))
    ]
    assert set(outcomes(run(bench, *actions, jobs=2)).values()) == {"ran"}


def test_a_measurement_has_the_machine_to_itself(bench: Workbench) -> None:
    busy = bench.folder / "busy"
    work = [
        shell(f"w{n}", f"touch {busy}{n}; sleep 0.15; rm {busy}{n}; echo {n} > out/out.txt") for n in range(3)
    ]
    script = f"ls {busy}* 2>/dev/null && exit 9; touch {busy}m; sleep 0.1; rm {busy}m; echo x > out/out.txt"
    alone = [shell(name, script, machine=True, env=(("N", name),)) for name in ("m0", "m1")]
    results = run(bench, work[0], alone[0], work[1], alone[1], work[2], jobs=4)
    assert set(outcomes(results).values()) == {"ran"}


class TestFailure:
    def actions(self) -> tuple[Action, ...]:
        bad = shell("bad", "echo no; exit 1")
        return (
            bad,
            shell("behind", "cat in/source/* > out/out.txt", after(bad)),
            shell("far", "cat in/source/* > out/out.txt", after(shell("behind", ""))),
            shell("beside", "sleep 0.1; echo x > out/out.txt"),
            shell("beyond", "cat in/source/* > out/out.txt", after(shell("beside", ""))),
        )

    def test_the_rest_is_not_started(self, bench: Workbench) -> None:
        results = run(bench, *self.actions())
        assert outcomes(results) == {
            "bad": "failed",
            "behind": "skipped",
            "far": "skipped",
            "beside": "skipped",
            "beyond": "skipped",
        }
        assert bench.listener.ran == ["bad"]
        assert results["behind"].message == "it needs bad, which failed"
        assert results["far"].message == "it needs behind, which was skipped"
        assert "-k" in results["beside"].message
        assert [r.id for r in bench.listener.results] == ["bad", "behind", "far", "beside", "beyond"]

    @JOBS
    def test_what_does_not_depend_on_it_goes_on(self, bench: Workbench, jobs: int) -> None:
        results = run(bench, *self.actions(), jobs=jobs, keep_going=True)
        assert outcomes(results) == {
            "bad": "failed",
            "behind": "skipped",
            "far": "skipped",
            "beside": "ran",
            "beyond": "ran",
        }
        assert results["behind"].message == "it needs bad, which failed"

    def test_what_runs_already_is_finished(self, bench: Workbench) -> None:
        here = bench.folder
        slow = shell("slow", f"touch {here}/up; sleep 0.4; echo x > out/out.txt")
        bad = shell("bad", f"while [ ! -e {here}/up ]; do sleep 0.02; done; exit 1", timeout=300)
        assert outcomes(run(bench, slow, bad, jobs=2)) == {"slow": "ran", "bad": "failed"}

    @JOBS
    def test_two_failures_are_both_told(self, bench: Workbench, jobs: int) -> None:
        results = run(bench, shell("a", "exit 1"), shell("b", "exit 2"), jobs=jobs, keep_going=True)
        assert outcomes(results) == {"a": "failed", "b": "failed"}

    @JOBS
    def test_a_bug_of_ours_is_a_failure(self, bench: Workbench, jobs: int) -> None:
        broken = shell("broken", "true", tools=("nobody/knows",))
        results = run(bench, broken, shell("behind", "x", after(broken)), jobs=jobs)
        assert (results["broken"].outcome, results["broken"].exit_code) == (Outcome.FAILED, 1)
        assert results["behind"].message == "it needs broken, which failed"

    def test_a_listener_that_fails_is_not_hidden(self, bench: Workbench) -> None:
        context = bench.context()

        def fail(action: Action) -> None:
            raise RuntimeError(action.id)

        bench.listener.on_start = fail
        results = run_actions([shell("a", "true")], context)
        assert results["a"].exit_code == 1
        assert "RuntimeError" in results["a"].message


@JOBS
def test_a_stopped_run_starts_nothing_more(bench: Workbench, jobs: int) -> None:
    context = bench.context()
    bench.listener.on_start = lambda _: execute.stop_all()
    actions = [shell(name, "sleep 600; echo x > out/out.txt", env=(("N", name),)) for name in "abcde"]
    started = time.monotonic()
    results = run_actions(actions, context, jobs=jobs, keep_going=True)
    assert time.monotonic() - started < 300
    assert {str(r.outcome) for r in results.values()} <= {"failed", "skipped"}
    assert results["e"].message == "the run was stopped"


def test_nothing_to_do_is_no_error(bench: Workbench) -> None:
    assert run(bench) == {}


def test_standard_output_stays_where_it_is(bench: Workbench) -> None:
    """doit can capture what a task prints by swapping sys.stdout, under every other thread's feet."""
    context = bench.context()
    before, seen = sys.stdout, []
    bench.listener.on_start = lambda _: seen.append(sys.stdout is before)
    run_actions([shell(name, "echo x > out/out.txt", env=(("N", name),)) for name in "abc"], context, jobs=2)
    assert seen == [True] * 3


def test_doit_is_told_the_order_and_nothing_else(bench: Workbench) -> None:
    tasks = list(doit_tasks(chain(bench), bench.context(), {}))
    assert [(task["name"], task["task_dep"]) for task in tasks] == [
        ("strip", []),
        ("upper", ["strip"]),
        ("count", ["upper"]),
    ]
    assert not [task for task in tasks if {"file_dep", "targets", "uptodate"} & set(task)]


def test_nothing_of_doit_is_left_in_the_workspace(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench.workspace)
    run(bench, *chain(bench))
    assert not list(bench.workspace.glob(".doit*"))


def test_a_long_row_of_actions_is_no_matter(bench: Workbench) -> None:
    actions = [shell("a0", "echo x > out/out.txt")]
    for n in range(1, 60):
        actions.append(shell(f"a{n}", "cat in/source/* > out/out.txt", after(actions[-1])))
    results = run(bench, *actions)
    assert outcomes(results)["a59"] in {"ran", "cached"}
    assert set(outcomes(run(bench, *actions, jobs=4)).values()) == {"current"}
