from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import LogRule, Outcome, Output, Success
from edgebuild.perform import patience
from edgebuild.perform.action import log_path, perform
from edgebuild.process import execute
from tests.unit.crash import dies_before
from tests.unit.workbench import PROCESSES, after, alive, read_pid, shell, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edgebuild.action import Action, ActionResult
    from edgebuild.perform.context import Context
    from tests.unit.workbench import Workbench

COPY = "cat in/source/a.txt > out/out.txt"


def go(bench: Workbench, action: Action, *upstream: ActionResult, **options: Any) -> ActionResult:
    """Perform an action as a new command line would."""
    return perform(action, {result.id: result for result in upstream}, bench.context(**options))


def text(bench: Workbench, result: ActionResult, name: str = "out") -> str:
    return bench.context().cache.store.blob(result.artifact(name).digest).read_text(encoding="utf-8")


@pytest.fixture
def copy(bench: Workbench) -> Action:
    bench.write("a.txt", "hello")
    return shell("copy", COPY, bench.file("a.txt"))


class TestFresh:
    def test_it_runs_once_and_is_current_then(self, bench: Workbench, copy: Action) -> None:
        first = go(bench, copy)
        assert (first.outcome, first.message, first.exit_code) == (Outcome.RAN, "", 0)
        assert [r.kind for r in first.why] == ["new"]
        assert text(bench, first) == "hello"
        assert first.log == ".edgebuild/demo/logs/copy.log"
        second = go(bench, copy)
        assert second.outcome is Outcome.CURRENT
        assert second.artifacts == first.artifacts
        assert bench.listener.ran == []
        assert bench.listener.results == [second]

    def test_a_touched_input_is_current(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        os.utime(bench.workspace / "a.txt", (1, 1))
        assert go(bench, copy).outcome is Outcome.CURRENT

    def test_other_content_runs_and_says_why(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        bench.write("a.txt", "other")
        result = go(bench, copy)
        assert result.outcome is Outcome.RAN
        assert [(r.kind, r.what) for r in result.why] == [("input", "source")]
        assert text(bench, result) == "other"

    def test_equal_size_and_mtime_run_all_the_same(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        stat = (bench.workspace / "a.txt").stat()
        os.utime(bench.write("a.txt", "jello"), ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert text(bench, go(bench, copy)) == "jello"

    def test_going_back_is_cached(self, bench: Workbench, copy: Action) -> None:
        first = go(bench, copy)
        bench.write("a.txt", "other")
        go(bench, copy)
        bench.write("a.txt", "hello")
        back = go(bench, copy)
        assert back.outcome is Outcome.CACHED
        assert back.artifacts == first.artifacts
        assert [(r.kind, r.what) for r in back.why] == [("input", "source")]

    @pytest.mark.parametrize(
        ("change", "kind", "what"),
        [
            ({"argv": ("sh", "-e", "-c", COPY)}, "option", "-e"),
            ({"env": (("MODE", "fast"),)}, "environment", "MODE"),
            ({"files": (("config.txt", "new"),)}, "file", "config.txt"),
            ({"outputs": (Output(role="out", path="out.txt", magic="68"),)}, "output", "out"),
            ({"success": Success(log_lacks=("x",))}, "command", "what a good log has and lacks"),
        ],
    )
    def test_every_declared_difference_runs_it(
        self, bench: Workbench, copy: Action, change: dict[str, Any], kind: str, what: str
    ) -> None:
        go(bench, copy)
        result = go(bench, replace(copy, **change))
        assert result.outcome is Outcome.RAN
        assert [(r.kind, r.what) for r in result.why] == [(kind, what)]

    @pytest.mark.parametrize(
        "change",
        [
            {"timeout": 99.0},
            {"retries": 2},
            {"targets": ("other",)},
            {"findings": (LogRule(pattern="x", id="x"),)},
            {"origin": (("--x", "y"),)},
        ],
    )
    def test_what_cannot_change_the_bytes_does_not_run_it(
        self, bench: Workbench, copy: Action, change: dict[str, Any]
    ) -> None:
        go(bench, copy)
        assert go(bench, replace(copy, **change)).outcome is Outcome.CURRENT

    def test_the_file_s_own_name_and_place_do_not_count(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        moved = bench.write("elsewhere/b.txt", "hello")
        inputs = (replace(bench.file("a.txt"), path=moved),)
        assert go(bench, replace(copy, inputs=inputs)).outcome is Outcome.CURRENT

    def test_another_tool_runs_it(self, bench: Workbench, copy: Action) -> None:
        action = replace(copy, tools=("vendor/cc",))
        bench.identities = {"vendor/cc": "cc 1.0"}
        go(bench, action)
        bench.identities = {"vendor/cc": "cc 1.1"}
        result = go(bench, action)
        assert [(r.kind, r.what, r.old, r.new) for r in result.why] == [
            ("tool", "vendor/cc", "cc 1.0", "cc 1.1")
        ]

    def test_another_processor_runs_a_measurement_only(self, bench: Workbench, copy: Action) -> None:
        for machine in (False, True):
            action = replace(copy, machine=machine)
            bench.machine = "one"
            go(bench, action)
            bench.machine = "another"
            assert go(bench, action).outcome is (Outcome.RAN if machine else Outcome.CURRENT)

    def test_only_an_action_that_is_forced_runs_again(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        result = go(bench, copy, force=("copy",))
        assert result.outcome is Outcome.RAN
        assert [r.kind for r in result.why] == ["forced"]
        assert go(bench, copy, force=("another",)).outcome is Outcome.CURRENT

    def test_a_step_that_is_not_reproducible_is_told_of(self, bench: Workbench) -> None:
        action = shell("random", "head -c 16 /dev/urandom > out/out.txt")
        assert go(bench, action).findings == ()
        assert [f.id for f in go(bench, action, force=("random",)).findings] == ["not-reproducible"]
        measurement = replace(action, machine=True)
        go(bench, measurement)
        assert go(bench, measurement, force=("random",)).findings == ()


class TestEnvironment:
    def test_a_secret_is_not_seen(self, bench: Workbench) -> None:
        bench.environ["SECRET"] = "hunter2"
        assert "hunter2" not in text(bench, go(bench, shell("env", "env > out/out.txt")))

    def test_what_is_declared_is_seen_and_part_of_the_key(self, bench: Workbench) -> None:
        action = shell("env", "env > out/out.txt", env_pass=("LICENCE",))
        assert "LICENCE" not in text(bench, go(bench, action))
        bench.environ["LICENCE"] = "one"
        result = go(bench, action)
        assert "LICENCE=one" in text(bench, result)
        assert [(r.kind, r.what, r.old, r.new) for r in result.why] == [("environment", "LICENCE", "", "one")]

    def test_the_value_in_the_key_is_the_one_the_process_gets(self, bench: Workbench) -> None:
        action = shell("env", 'echo "$MODE" > out/out.txt', env_pass=("MODE",), env=(("MODE", "a"),))
        bench.environ["MODE"] = "mine"
        assert text(bench, go(bench, action)) == "a\n"
        assert text(bench, go(bench, replace(action, env=(("MODE", "b"),)))) == "b\n"

    def test_path_alone_is_no_reason_to_run(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        bench.environ["PATH"] += ":/somewhere/else"
        assert go(bench, copy).outcome is Outcome.CURRENT


class TestProof:
    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ("true", "was not made"),
            (": > out/out.txt", "is empty"),
            ("ln -s /etc/passwd out/out.txt", "symbolic link"),
            ("mkdir out/out.txt", "was not made"),
        ],
    )
    def test_exit_0_is_not_proof(self, bench: Workbench, script: str, words: str) -> None:
        for _ in range(2):  # a failure is never cached
            result = go(bench, shell("step", script))
            assert (result.outcome, result.exit_code) == (Outcome.FAILED, 3)
            assert words in result.message
            assert result.artifacts == ()
            assert bench.listener.ran == ["step"]
        assert bench.records() == []

    def test_the_wrong_magic(self, bench: Workbench) -> None:
        out = (Output(role="out", path="m.om", magic="494d4f44"),)
        result = go(bench, shell("step", "echo ERROR > out/m.om; echo no memory", out=out))
        assert "starts with 4552524f, not with 494d4f44" in result.message
        assert result.message.endswith("no memory")  # what it said last: the exit code says nothing

    def test_a_bad_exit_code_with_good_outputs(self, bench: Workbench) -> None:
        result = go(bench, shell("step", "echo x > out/out.txt; echo sorry; exit 1"))
        assert (result.outcome, result.exit_code) == (Outcome.FAILED, 3)
        assert "exit code 1" in result.message
        assert "sorry" in result.message
        assert bench.records() == bench.blobs() == []

    def test_log_rules_hear_the_process_only(self, bench: Workbench) -> None:
        """The command itself is in the log too, and must not speak for the tool."""
        success = Success(log_has=("run success",))
        result = go(bench, shell("step", "echo x > out/out.txt; : run success", success=success))
        assert "its log has no line matching 'run success'" in result.message
        assert bench.records() == []

    def test_log_rules_hear_the_last_attempt_only(self, bench: Workbench) -> None:
        count = bench.folder / "count"
        script = f"echo x >> {count}; [ $(wc -l < {count}) = 1 ] && echo run failed && exit 1"
        script += "; echo x > out/out.txt"
        action = shell("step", script, retries=1, success=Success(log_lacks=("run failed",)))
        assert go(bench, action).outcome is Outcome.RAN

    def test_an_attempt_starts_without_the_leftovers_of_the_last(self, bench: Workbench) -> None:
        bench.write("a.txt", "hello")
        count = bench.folder / "count"
        script = f"ls -d out/* junk in/source/new 2>/dev/null; {COPY}"
        script += "; echo >> in/source/a.txt; touch junk in/source/new"
        script += f"; echo x >> {count}; [ $(wc -l < {count}) = 2 ]"
        result = go(bench, shell("step", script, bench.file("a.txt"), retries=1))
        assert text(bench, result) == "hello"
        log = log_path(shell("step", ""), bench.context()).read_text(encoding="utf-8")
        assert "junk" not in log.partition("trying again\n")[2]

    def test_findings_are_told_and_remembered(self, bench: Workbench) -> None:
        rules = (LogRule(pattern="on the CPU", id="cpu-fallback", hint="opset 17"),)
        action = shell("step", "echo op runs on the CPU; echo x > out/out.txt", findings=rules)
        assert [f.id for f in go(bench, action).findings] == ["cpu-fallback"]
        assert [f.id for f in go(bench, action).findings] == ["cpu-fallback"]

    def test_findings_of_a_failure_are_told_too(self, bench: Workbench) -> None:
        rules = (LogRule(pattern="E10001", id="bad-value", level="error", hint="look at soc_version"),)
        result = go(bench, shell("step", "echo E10001; exit 1", findings=rules))
        assert [f.id for f in result.findings] == ["bad-value"]
        assert "look at soc_version" in result.message

    @pytest.mark.parametrize("restored", [False, True])
    def test_an_input_that_changes_meanwhile(self, bench: Workbench, *, restored: bool) -> None:
        path = bench.write("a.txt", "aaaaa")
        script = f"{COPY}; printf bbbbb > {path}"
        script += f"; touch -d '{'2001-02-03' if restored else 'now'}' {path}"
        result = go(bench, shell("step", script, bench.file("a.txt")))
        assert (result.outcome, result.exit_code) == (Outcome.FAILED, 3)
        assert f"{path} changed while the step read it" in result.message
        assert bench.records() == []
        calm = go(bench, shell("step", COPY, bench.file("a.txt")))
        assert text(bench, calm) == "bbbbb"

    def test_an_input_that_goes_away_meanwhile(self, bench: Workbench) -> None:
        path = bench.write("a.txt", "a")
        result = go(bench, shell("step", f"{COPY}; rm {path}", bench.file("a.txt")))
        assert result.outcome is Outcome.FAILED
        assert str(path) in result.message

    def test_a_file_of_a_tree_that_changes_meanwhile(self, bench: Workbench) -> None:
        bench.write("data/1", "one")
        path = bench.write("data/2", "two")
        result = go(bench, shell("step", f"echo x > out/out.txt; echo > {path}", bench.tree("data")))
        assert f"{path} changed" in result.message

    def test_a_timeout(self, bench: Workbench) -> None:
        result = go(bench, shell("step", "echo x > out/out.txt; sleep 600", timeout=0.3))
        assert (result.outcome, result.exit_code) == (Outcome.FAILED, 7)
        assert "limit of 0.3 s" in result.message
        assert bench.records() == []

    def test_a_signal(self, bench: Workbench) -> None:
        result = go(bench, shell("step", "kill -SEGV $$"))
        assert result.exit_code == 3
        assert "killed by SIGSEGV" in result.message

    def test_an_absent_tool(self, bench: Workbench) -> None:
        result = go(bench, replace(shell("step", ""), argv=("no-such-tool", "x")))
        assert (result.outcome, result.exit_code) == (Outcome.FAILED, 5)
        assert "no-such-tool" in result.message

    def test_an_absent_input(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        (bench.workspace / "a.txt").unlink()
        result = go(bench, copy)
        assert (result.outcome, result.exit_code, result.key) == (Outcome.FAILED, 3, None)
        assert result.log == ""

    def test_a_bug_of_ours_does_not_look_like_a_skipped_action(self, bench: Workbench, copy: Action) -> None:
        result = go(bench, replace(copy, tools=("nobody/knows",)))
        assert (result.outcome, result.exit_code) == (Outcome.FAILED, 1)
        assert "internal error" in result.message


class TestStore:
    def test_a_deleted_blob_is_built_again(self, bench: Workbench, copy: Action) -> None:
        first = go(bench, copy)
        bench.blobs()[0].unlink()
        result = go(bench, copy)
        assert result.outcome is Outcome.RAN
        assert [(r.kind, r.what) for r in result.why] == [
            ("output", "its stored output is missing or was damaged")
        ]
        assert result.artifacts == first.artifacts

    def test_a_damaged_blob_is_built_again(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        (blob,) = bench.blobs()
        blob.chmod(0o644)
        blob.write_text("jello", encoding="utf-8")
        assert text(bench, go(bench, copy)) == "hello"

    def test_a_deleted_record_is_explained(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        bench.records()[0].unlink()
        result = go(bench, copy)
        assert result.outcome is Outcome.RAN
        assert [r.what for r in result.why] == ["the result of its last run is gone from the store"]

    def test_a_lost_journal_costs_the_words_only(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        (bench.workspace / ".edgebuild" / "journal.jsonl").unlink()
        assert go(bench, copy).outcome is Outcome.CACHED
        assert go(bench, copy).outcome is Outcome.CURRENT

    def test_a_tool_that_spoils_its_input_spoils_a_copy(self, bench: Workbench, copy: Action) -> None:
        first = go(bench, copy)
        spoil = "echo spoiled > in/source/source.txt; echo x > out/out.txt"
        go(bench, shell("spoil", spoil, after(copy)), first)
        assert text(bench, go(bench, copy)) == "hello"
        own = bench.workspace / "a.txt"
        go(bench, shell("spoil", "echo x | tee in/source/a.txt > out/out.txt", bench.file("a.txt")))
        assert own.read_text(encoding="utf-8") == "hello"

    def test_a_store_that_cannot_be_written(self, bench: Workbench, copy: Action) -> None:
        bench.root.write_text("a file is in the way", encoding="utf-8")
        context = replace(bench, folder=bench.folder / "other").context()
        context.cache.store.root = bench.root
        result = perform(copy, {}, context)
        assert (result.outcome, result.exit_code) == (Outcome.FAILED, 8)

    def test_nothing_is_left_in_scratch(self, bench: Workbench, copy: Action) -> None:
        go(bench, copy)
        go(bench, shell("bad", "mkdir -p a/b; chmod 0 a/b; exit 1"))
        assert not list((bench.root / "scratch").iterdir())
        assert sorted(p.name for p in (bench.root / "locks").iterdir()) == ["machine"]

    def test_a_crash_at_any_instant_costs_at_most_the_work(self, bench: Workbench, copy: Action) -> None:
        first = go(replace(bench, folder=bench.folder / "reference"), copy)
        call = 0
        while dies_before(call, lambda: go(bench, copy)):
            if call % 3 == 0:
                result = go(bench, copy)
                assert result.outcome in {Outcome.RAN, Outcome.CACHED, Outcome.CURRENT}
                assert result.artifacts == first.artifacts
                assert text(bench, result) == "hello"
                for path in (*bench.records(), *bench.blobs()):
                    path.unlink()
            call += 1
        assert call > 20


class TestResume:
    def make(self, **fields: Any) -> Action:
        script = "[ -e state ] && cp state out/out.txt && exit 0; touch out/junk; echo kept > state; exit 1"
        return shell("train", script, resumable=True, **fields)

    def folders(self, bench: Workbench) -> list[Path]:
        return list((bench.workspace / ".edgebuild" / "demo" / "resume").iterdir())

    def test_what_an_interrupted_attempt_left_is_used_again(self, bench: Workbench) -> None:
        action = self.make()
        assert go(bench, action).outcome is Outcome.FAILED
        assert len(self.folders(bench)) == 1
        result = go(bench, action)
        assert result.outcome is Outcome.RAN
        assert text(bench, result) == "kept\n"
        assert self.folders(bench) == []

    def test_what_a_killed_run_left_going_there_is_ended_first(self, bench: Workbench) -> None:
        pid, second = bench.folder / "pid", bench.folder / "second"
        script = f"[ -e {second} ] && echo done > out/out.txt && exit 0; touch {second}"
        script += f"; echo $$ > {pid}; while :; do date > state; sleep 0.05; done"
        action = shell("train", script, resumable=True)
        process = PROCESSES.Process(target=lambda: go(bench, action))
        process.start()
        stray = read_pid(pid)
        process.kill()
        process.join()
        assert alive(stray)
        assert go(bench, action).outcome is Outcome.RAN
        assert not alive(stray)

    def test_other_settings_start_afresh(self, bench: Workbench) -> None:
        go(bench, self.make())
        assert go(bench, self.make(env=(("LR", "2"),))).outcome is Outcome.FAILED
        assert len(self.folders(bench)) == 2

    def test_others_start_afresh_each_time(self, bench: Workbench) -> None:
        action = replace(self.make(), resumable=False)
        assert [go(bench, action).outcome for _ in range(2)] == [Outcome.FAILED] * 2


class TestStop:
    def test_nothing_starts_once_the_run_is_stopped(self, bench: Workbench, copy: Action) -> None:
        context = bench.context()
        execute.stop_all()
        result = perform(copy, {}, context)
        assert (result.outcome, result.message) == (Outcome.SKIPPED, "the run was stopped")
        assert bench.listener.ran == []

    def test_a_running_action_is_stopped_and_nothing_is_kept(self, bench: Workbench) -> None:
        up = bench.folder / "up"

        def stop() -> None:
            assert wait_until(up.exists)
            execute.stop_all()

        thread = threading.Thread(target=stop)
        thread.start()
        result = go(bench, shell("step", f"echo x > out/out.txt; touch {up}; sleep 600"))
        thread.join()
        assert result.outcome is Outcome.FAILED
        assert "stopped; nothing of it was kept" in result.message
        assert bench.records() == bench.blobs() == []

    def test_one_that_waits_for_another_run_is_stopped_too(self, bench: Workbench, copy: Action) -> None:
        key = go(replace(bench, folder=bench.folder / "reference"), copy).key
        context = bench.context()
        found: list[ActionResult] = []
        with context.cache.store.lock(str(key)[:32]):
            thread = threading.Thread(target=lambda: found.append(perform(copy, {}, context)))
            thread.start()
            thread.join(0.2)
            assert thread.is_alive()
            execute.stop_all()
            thread.join(120)
        assert [r.outcome for r in found] == [Outcome.SKIPPED]


class TestWaiting:
    """What an action waits for is said, so that a wait behind a long step does not look like a hang."""

    @pytest.mark.parametrize(
        ("machine", "why"),
        [(True, "needs the machine alone"), (False, "a measurement has the machine")],
    )
    def test_for_the_machine(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch, *, machine: bool, why: str
    ) -> None:
        monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)
        context = bench.context()
        action = shell("cpu/benchmark", "echo x > out/out.txt", machine=machine)
        turn = context.cache.store.turn(exclusive=not machine)
        assert ended_when_told(action, context, bench, turn) is Outcome.RAN
        (said, _), started, finished = bench.listener.events
        assert said.startswith("waiting: ")
        assert why in said
        assert (started, finished) == (("started", action.id), ("finished", action.id))

    def test_for_another_run_that_does_the_same(
        self, bench: Workbench, copy: Action, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)
        key = str(go(replace(bench, folder=bench.folder / "reference"), copy).key)
        context = bench.context()
        lock = context.cache.store.lock(key[:32])
        assert ended_when_told(copy, context, bench, lock) is Outcome.RAN
        assert bench.listener.events[0] == ("waiting: another run does the same work", "copy")

    def test_one_that_waits_for_a_step_of_this_run_says_nothing(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)
        started, go_on = bench.folder / "started", bench.folder / "go-on"
        script = f"touch {started}; while [ ! -e {go_on} ]; do sleep 0.01; done; echo x > out/out.txt"
        context = bench.context()
        asked: list[str] = []
        turn = context.cache.store.turn

        def noted(*, exclusive: bool, give_up: Callable[[], bool]) -> AbstractContextManager[None]:
            def ask() -> bool:
                asked.append("waits")
                return give_up()

            return turn(exclusive=exclusive, give_up=ask)

        monkeypatch.setattr(context.cache.store, "turn", noted)
        first = threading.Thread(target=perform, args=(shell("measure", script, machine=True), {}, context))
        first.start()
        assert wait_until(started.exists)
        second = threading.Thread(target=perform, args=(shell("step", "echo x > out/out.txt"), {}, context))
        second.start()
        assert wait_until(lambda: len(asked) > 2)
        go_on.touch()
        first.join(120)
        second.join(120)
        assert {event for event, _ in bench.listener.events} == {"started", "finished"}

    def test_one_that_need_not_wait_says_nothing(
        self, bench: Workbench, copy: Action, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)
        go(bench, copy)
        assert [event for event, _ in bench.listener.events] == ["started", "finished"]


def ended_when_told(
    action: Action, context: Context, bench: Workbench, lock: AbstractContextManager[None]
) -> Outcome:
    """Perform an action while a lock is held, and let go of it when the user has been told of the wait."""
    told = threading.Event()
    bench.listener.on_wait = lambda _: told.set()
    found: list[ActionResult] = []
    with lock:
        thread = threading.Thread(target=lambda: found.append(perform(action, {}, context)))
        thread.start()
        assert told.wait(120)
        assert not found
    thread.join(120)
    return found[0].outcome


class TestTogether:
    def test_two_processes_share_the_work(self, bench: Workbench) -> None:
        count = bench.folder / "count"
        action = shell("step", f"echo x >> {count}; sleep 0.4; echo done > out/out.txt")
        outcomes = PROCESSES.SimpleQueue()

        def work(number: int) -> None:
            mine = replace(bench, folder=bench.folder / f"checkout{number}")
            context = replace(mine.context(), cache=bench.context().cache)
            outcomes.put(str(perform(action, {}, context).outcome))

        processes = [PROCESSES.Process(target=work, args=(number,)) for number in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [p.exitcode for p in processes] == [0, 0, 0]
        assert sorted(outcomes.get() for _ in processes) == ["cached", "cached", "ran"]
        assert count.read_text(encoding="utf-8") == "x\n"

    def test_when_the_worker_is_killed_the_one_who_waits_takes_over(self, bench: Workbench) -> None:
        up = bench.folder / "up"
        action = shell("step", f"[ -e {up} ] || {{ touch {up}; sleep 600; }}; echo done > out/out.txt")
        process = PROCESSES.Process(target=lambda: go(bench, action))
        process.start()
        assert wait_until(up.exists)
        found: list[ActionResult] = []
        thread = threading.Thread(target=lambda: found.append(go(bench, action)))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        process.kill()
        process.join()
        thread.join(120)
        assert [r.outcome for r in found] == [Outcome.RAN]
