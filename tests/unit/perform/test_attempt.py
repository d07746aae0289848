from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import LogRule, Outcome
from edgebuild.environment.container import Container
from edgebuild.environment.surroundings import Surroundings
from edgebuild.errors import StepError, StepTimeoutError, ToolchainMissingError
from edgebuild.perform.attempt import attempt, crashed, environment, failed, failure
from edgebuild.process.values import Execution
from tests.unit.workbench import python, shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgebuild.action import Action
    from edgebuild.perform.attempt import Attempted


def own(*words: str) -> Action:
    """Return an action of one of edgebuild's own steps."""
    action = shell("export", "")
    fields = {name: getattr(action, name) for name in type(action).__dataclass_fields__}
    return type(action)(**{**fields, "argv": ("python", "-m", "edgebuild.steps.export", *words)})


def run(
    action: Action,
    tmp_path: Path,
    *,
    lay_out: Callable[[], None] = lambda: None,
    surroundings: Surroundings | None = None,
    **environ: str,
) -> Attempted:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return attempt(
        action,
        scratch=tmp_path / "scratch",
        log=tmp_path / "logs" / "log",
        environ={"PATH": os.environ["PATH"], **environ},
        lay_out=lay_out,
        progress=print,
        surroundings=surroundings,
    )


def log(tmp_path: Path) -> str:
    return (tmp_path / "logs" / "log").read_text(encoding="utf-8")


def ended(code: int = 0, *, timed_out: bool = False, interrupted: bool = False) -> Execution:
    return Execution(exit_code=code, timed_out=timed_out, interrupted=interrupted, seconds=1.0)


class TestEnvironment:
    def test_nothing_of_the_callers_comes_through_undeclared(self, tmp_path: Path) -> None:
        environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/home/me", "LANG": "de_DE"}
        env = environment(shell("step", ""), tmp_path, environ)
        assert "AWS_SECRET_ACCESS_KEY" not in env
        assert env["HOME"] == env["TMPDIR"] == str(tmp_path / "tmp")
        assert (env["PATH"], env["LANG"], env["TZ"], env["PYTHONHASHSEED"]) == ("/bin", "C.UTF-8", "UTC", "0")

    def test_what_is_declared_comes_through_when_it_is_set(self, tmp_path: Path) -> None:
        action = shell("step", "", env_pass=("LICENCE", "ABSENT"))
        env = environment(action, tmp_path, {"LICENCE": "server:1"})
        assert env["LICENCE"] == "server:1"
        assert "ABSENT" not in env

    def test_what_the_action_sets_wins(self, tmp_path: Path) -> None:
        action = shell("step", "", env=(("MODE", "fixed"), ("TZ", "CET")), env_pass=("MODE",))
        env = environment(action, tmp_path, {"MODE": "mine"})
        assert (env["MODE"], env["TZ"]) == ("fixed", "CET")

    def test_our_own_steps_find_edgebuild_and_keep_quiet(self, tmp_path: Path) -> None:
        env = environment(own(), tmp_path, {})
        assert env["PYTHONSAFEPATH"] == "1"
        assert env["YOLO_OFFLINE"] == "true"
        assert "PYTHONPATH" not in environment(shell("step", ""), tmp_path, {"PYTHONPATH": "/mine"})


class TestAttempt:
    def test_the_log_says_what_ran_and_where_its_own_words_start(self, tmp_path: Path) -> None:
        done = run(shell("step", "echo words"), tmp_path)
        assert log(tmp_path) == "# step\n# sh -c 'echo words'\nwords\n"
        assert log(tmp_path)[done.said :] == "words\n"

    def test_its_home_and_temporary_directory_are_there(self, tmp_path: Path) -> None:
        run(shell("step", 'cd "$HOME" && cd "$TMPDIR" && pwd'), tmp_path)
        assert log(tmp_path).endswith("/tmp\n")

    def test_a_second_run_starts_its_log_anew(self, tmp_path: Path) -> None:
        run(shell("step", "echo one"), tmp_path)
        run(shell("step", "echo two"), tmp_path)
        assert "one" not in log(tmp_path)

    def test_python_is_the_interpreter_that_runs_edgebuild(self, tmp_path: Path) -> None:
        run(python("step", "import sys; print(sys.executable)"), tmp_path, PATH="")
        assert log(tmp_path).splitlines()[-1] == sys.executable

    def test_a_tool_known_to_need_it_gets_further_attempts(self, tmp_path: Path) -> None:
        laid: list[int] = []
        script = f"echo x >> {tmp_path}/count; [ $(wc -l < {tmp_path}/count) -ge 3 ] && echo third"
        done = run(shell("step", script, retries=2), tmp_path, lay_out=lambda: laid.append(1))
        assert len(laid) == 3
        assert log(tmp_path).count("# exit code 1: trying again") == 2
        assert log(tmp_path)[done.said :] == "third\n"

    def test_no_more_attempts_than_declared(self, tmp_path: Path) -> None:
        with pytest.raises(StepError, match="exit code 7"):
            run(shell("step", f"echo x >> {tmp_path}/count; exit 7", retries=1), tmp_path)
        assert (tmp_path / "count").read_text(encoding="utf-8") == "x\nx\n"

    def test_no_further_attempt_after_a_timeout(self, tmp_path: Path) -> None:
        with pytest.raises(StepTimeoutError):
            run(shell("step", f"echo x >> {tmp_path}/count; sleep 60", retries=3, timeout=0.3), tmp_path)
        assert (tmp_path / "count").read_text(encoding="utf-8") == "x\n"

    def test_a_tool_that_is_not_there(self, tmp_path: Path) -> None:
        action = shell("step", "")
        fields = {name: getattr(action, name) for name in type(action).__dataclass_fields__}
        with pytest.raises(
            ToolchainMissingError, match="'no-such-tool' cannot be started: No such file"
        ) as e:
            run(type(action)(**{**fields, "argv": ("no-such-tool",)}), tmp_path)
        assert "doctor" in e.value.hint

    def test_a_log_that_cannot_be_spelled_in_utf8(self, tmp_path: Path) -> None:
        run(shell("step", f"echo ok; : {os.fsdecode(bytes([0xE9]))}"), tmp_path)
        assert log(tmp_path).endswith("ok\n")


def contained(tmp_path: Path, script: str) -> Surroundings:
    """Return surroundings whose engine is a script; it notes its arguments first."""
    engine = tmp_path / "engine"
    engine.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{script}\n', encoding="utf-8")
    engine.chmod(0o755)
    found = Container(
        engine=str(engine), kind="docker", image="acme:1", digest="ab" * 32, content="sha256:0", memo=tmp_path
    )
    return Surroundings(toolchain="acme", kind="container", container=found)


class TestContained:
    def test_what_an_engine_says_of_itself_is_no_failure_of_the_step(self, tmp_path: Path) -> None:
        words = "docker: Error response from daemon: OCI runtime create failed: no cgroup."
        place = contained(tmp_path, f"[ $1 = rm ] || echo '{words}'; exit 125")
        with pytest.raises(ToolchainMissingError, match="engine cannot run the image acme:1: docker: Error"):
            run(shell("step", ""), tmp_path, surroundings=place)

    def test_a_program_that_an_image_lacks_is_named(self, tmp_path: Path) -> None:
        words = "Error: runc: executable file `sh` not found in $PATH"
        place = contained(tmp_path, f"[ $1 = rm ] || echo '{words}'; exit 127")
        with pytest.raises(ToolchainMissingError, match="the image has to hold sh"):
            run(shell("step", ""), tmp_path, surroundings=place)

    def test_a_tool_may_end_with_the_same_exit_code(self, tmp_path: Path) -> None:
        with pytest.raises(StepError, match="exit code 125"):
            run(shell("step", ""), tmp_path, surroundings=contained(tmp_path, "echo E10001; exit 125"))

    @pytest.mark.parametrize("step", ["a vendor's", "ours"])
    def test_its_container_is_removed_however_it_ends(self, tmp_path: Path, step: str) -> None:
        action = own("--no-such-flag") if step == "ours" else shell("step", "")
        with pytest.raises(StepError):
            run(action, tmp_path, surroundings=contained(tmp_path, "exit 3"))
        calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
        assert calls[-1].startswith("rm --force edgebuild-")
        assert [call.partition(" ")[0] for call in calls] == (["rm"] if step == "ours" else ["run", "rm"])


class TestWords:
    def write(self, tmp_path: Path, text: str) -> Path:
        (tmp_path / "log").write_text(text, encoding="utf-8")
        return tmp_path / "log"

    def test_a_timeout(self, tmp_path: Path) -> None:
        action = shell("step", "", timeout=90.0)
        error = failure(action, ended(-15, timed_out=True), self.write(tmp_path, ""))
        assert error.message == "step: killed after its limit of 90 s"
        assert error.exit_code == 7
        assert "timeout" in error.hint

    def test_a_stop(self, tmp_path: Path) -> None:
        error = failure(shell("s", ""), ended(-15, interrupted=True), self.write(tmp_path, ""))
        assert error.message == "s: stopped; nothing of it was kept"

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (5, "exit code 5"),
            (-signal.SIGSEGV, "killed by SIGSEGV"),
            (-signal.SIGKILL, "killed by SIGKILL (is there enough memory?)"),
            (-250, "killed by signal 250"),
        ],
    )
    def test_how_it_ended_and_its_last_words(self, tmp_path: Path, code: int, words: str) -> None:
        error = failure(shell("s", "x"), ended(code), self.write(tmp_path, "many\nlast words\n"))
        assert error.message == f"s: sh -c x ...: {words}"
        assert error.hint == "many\nlast words"

    def test_our_own_steps_speak_for_themselves(self, tmp_path: Path) -> None:
        said = self.write(tmp_path, "Traceback\nerror: weights.pt holds no model; train one\n")
        assert failure(own(), ended(3), said).message == "export: weights.pt holds no model; train one"
        missing = failure(own(), ended(5), said)
        assert missing.exit_code == 5
        assert failure(own(), ended(5), self.write(tmp_path, "")).message == "export: a package is missing"

    def test_a_vendors_error_line_is_not_taken_for_ours(self, tmp_path: Path) -> None:
        said = self.write(tmp_path, "error: no\n")
        assert failure(shell("s", "x"), ended(5), said).exit_code == 3

    def test_what_the_toolchain_knows_comes_first(self, tmp_path: Path) -> None:
        rules = (LogRule(pattern="E10001", id="bad-value", level="error", hint="look at the options"),)
        said = self.write(tmp_path, "noise\nE10001: value [x] is invalid\nnoise\n")
        result = failed(
            shell("s", "x", findings=rules), StepError("s: exit 1", hint="tail"), said, "logs/s.log"
        )
        assert result.outcome is Outcome.FAILED
        assert [f.id for f in result.findings] == ["bad-value"]
        assert result.log == "logs/s.log"
        assert [line.strip() for line in result.message.splitlines()] == [
            "s: exit 1",
            "E10001: value [x] is invalid",
            "look at the options",
            "log: logs/s.log",
            "tail",
        ]

    def test_a_failure_before_the_start_names_no_log(self, tmp_path: Path) -> None:
        result = failed(shell("s", ""), StepError("s: no input"), tmp_path / "log", "logs/s.log")
        assert (result.log, result.message, result.exit_code) == ("", "s: no input", 3)

    def test_a_bug_of_ours_is_an_internal_error_with_its_traceback_in_the_log(self, tmp_path: Path) -> None:
        try:
            {}["x"]  # type: ignore[index]
        except KeyError as bug:
            result = crashed(shell("s", ""), bug, tmp_path / "log", "logs/s.log")
        assert result.exit_code == 1
        assert "s: internal error: KeyError: 'x'" in result.message
        assert "Traceback" in (tmp_path / "log").read_text(encoding="utf-8")
