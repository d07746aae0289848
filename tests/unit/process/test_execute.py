from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.process import execute as module
from edgebuild.process import tree as process_tree
from edgebuild.process.execute import StartError, capture, execute, find_executable, stop_all
from edgebuild.process.log import LINE_BYTES, log_tail
from edgebuild.process.tree import MARKER
from tests.unit.workbench import alive, read_pid, wait_until

if TYPE_CHECKING:
    from edgebuild.process.values import Execution

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.3)


def run(tmp_path: Path, *argv: str, env: dict[str, str] | None = None, **more: Any) -> Execution:
    return execute(argv, cwd=tmp_path, env=env or ENV, log=tmp_path / "log", **more)


def shell(tmp_path: Path, script: str, **more: Any) -> Execution:
    return run(tmp_path, "sh", "-c", script, **more)


def script(tmp_path: Path, text: str, **more: Any) -> Execution:
    return run(tmp_path, sys.executable, "-c", text, **more)


class TestEnds:
    def test_both_streams_reach_the_log_in_order(self, tmp_path: Path) -> None:
        done = shell(tmp_path, "echo one; echo two >&2; echo three")
        assert done.exit_code == 0
        assert not done.timed_out
        assert not done.interrupted
        assert (tmp_path / "log").read_text(encoding="utf-8") == "one\ntwo\nthree\n"

    def test_the_log_is_appended_to(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_text("before\n", encoding="utf-8")
        shell(tmp_path, "echo after")
        assert (tmp_path / "log").read_text(encoding="utf-8") == "before\nafter\n"

    @pytest.mark.parametrize("code", [1, 3, 127, 255])
    def test_the_exit_code_is_the_process_own(self, tmp_path: Path, code: int) -> None:
        assert shell(tmp_path, f"exit {code}").exit_code == code

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
    def test_a_signal_is_a_negative_exit_code(self, tmp_path: Path, number: signal.Signals) -> None:
        assert shell(tmp_path, f"kill -{number.value} $$").exit_code == -number

    def test_it_runs_in_its_directory_with_exactly_its_environment(self, tmp_path: Path) -> None:
        os.environ["EDGEBUILD_TEST_SECRET"] = "hunter2"
        try:
            run(tmp_path, "/usr/bin/env", env={"ONE": "1"})
        finally:
            del os.environ["EDGEBUILD_TEST_SECRET"]
        names = {line.partition("=")[0] for line in (tmp_path / "log").read_text("utf-8").splitlines()}
        assert names == {"ONE", MARKER}
        shell(tmp_path, "pwd -P > here")
        assert Path((tmp_path / "here").read_text("utf-8").strip()) == tmp_path.resolve()

    def test_nothing_can_be_read_from_standard_input(self, tmp_path: Path) -> None:
        assert shell(tmp_path, "cat", timeout=300).exit_code == 0

    def test_no_word_of_the_argv_is_a_shell_s(self, tmp_path: Path) -> None:
        run(tmp_path, "printf", "%s\\n", "$HOME; rm -rf *", "a b")
        assert (tmp_path / "log").read_text("utf-8") == "$HOME; rm -rf *\na b\n"


class TestCannotStart:
    def test_an_absent_executable(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="'no-such-tool' cannot be started: No such file"):
            run(tmp_path, "no-such-tool")

    def test_a_file_that_may_not_be_executed(self, tmp_path: Path) -> None:
        (tmp_path / "tool").write_text("#!/bin/sh\n", encoding="utf-8")
        with pytest.raises(StartError, match="Permission denied"):
            run(tmp_path, str(tmp_path / "tool"))

    def test_a_file_that_is_no_program(self, tmp_path: Path) -> None:
        (tmp_path / "tool").write_bytes(b"\x7fELF but not really")
        (tmp_path / "tool").chmod(0o755)
        with pytest.raises(StartError, match="Exec format error"):
            run(tmp_path, str(tmp_path / "tool"))

    def test_too_long_arguments(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="Argument list too long"):
            run(tmp_path, "true", "x" * 10_000_000)

    def test_a_nul_in_an_argument(self, tmp_path: Path) -> None:
        with pytest.raises(StartError, match="null byte"):
            run(tmp_path, "true", "a\0b")

    def test_the_path_that_counts_is_the_process_own(self, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "only-here").write_text("#!/bin/sh\necho found\n", encoding="utf-8")
        (tmp_path / "bin" / "only-here").chmod(0o755)
        env = {"PATH": f"{tmp_path / 'bin'}:{ENV['PATH']}"}
        assert run(tmp_path, "only-here", env=env).exit_code == 0
        assert find_executable("only-here", env) == str(tmp_path / "bin" / "only-here")
        assert find_executable("only-here", ENV) is None
        assert find_executable("only-here", {}) is None


class TestOutput:
    def test_much_output_of_a_process_that_ends_at_once_is_all_there(self, tmp_path: Path) -> None:
        for size in (1, 65536, 65537, 5_000_000):
            (tmp_path / "log").unlink(missing_ok=True)
            script(
                tmp_path, f"import os; os.write(1, b'x' * {size}) if {size} < 60000 else print('x' * {size})"
            )
            assert (tmp_path / "log").stat().st_size >= size

    def test_megabytes_without_a_line_end_reach_the_listener_in_pieces(self, tmp_path: Path) -> None:
        pieces: list[str] = []
        script(tmp_path, "print('x' * 8_000_000, end='')", on_line=pieces.append)
        assert sum(map(len, pieces)) == 8_000_000
        assert max(map(len, pieces)) <= LINE_BYTES + 65536

    def test_lines_reach_the_listener_one_by_one(self, tmp_path: Path) -> None:
        lines: list[str] = []
        shell(tmp_path, r"printf 'one\ntwo\r\n\n10%%\r20%%\rlast'", on_line=lines.append)
        assert lines == ["one", "two", "10%", "20%", "last"]

    def test_a_letter_cut_in_two_comes_out_whole(self, tmp_path: Path) -> None:
        lines: list[str] = []
        shell(tmp_path, r"printf '\303'; sleep 0.1; printf '\251\n'", on_line=lines.append)
        assert lines == ["\u00e9"]

    def test_what_is_not_utf8_is_kept_in_the_log_and_readable_to_the_listener(self, tmp_path: Path) -> None:
        lines: list[str] = []
        shell(tmp_path, r"printf '\377\376 ok\n'", on_line=lines.append)
        assert (tmp_path / "log").read_bytes() == b"\xff\xfe ok\n"
        assert lines == ["\ufffd\ufffd ok"]

    def test_a_process_may_close_its_output_and_go_on(self, tmp_path: Path) -> None:
        done = shell(tmp_path, "exec >&- 2>&-; sleep 0.2; exit 4", timeout=300)
        assert done.exit_code == 4

    def test_a_listener_that_fails_takes_the_process_with_it(self, tmp_path: Path) -> None:
        def fail(line: str) -> None:
            raise RuntimeError(line)

        with pytest.raises(RuntimeError, match="boo"):
            shell(tmp_path, "echo $$ > pid; echo boo; sleep 600", on_line=fail)
        assert not alive(read_pid(tmp_path / "pid"))

    def test_a_log_that_cannot_be_written_takes_the_process_with_it(self, tmp_path: Path) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("there is no /dev/full here")
        (tmp_path / "log").symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left"):
            shell(tmp_path, "echo $$ > pid; echo boo; sleep 600")
        assert not alive(read_pid(tmp_path / "pid"))

    def test_the_tail_of_a_log(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_text("".join(f"line {n}\n" for n in range(10_000)), encoding="utf-8")
        assert log_tail(tmp_path / "log", 2) == "line 9998\nline 9999"
        assert log_tail(tmp_path / "nothing") == ""


class TestLimit:
    def test_a_process_that_runs_too_long_is_ended(self, tmp_path: Path) -> None:
        done = shell(tmp_path, "echo $$ > pid; sleep 600", timeout=1.0)
        assert done.timed_out
        assert done.exit_code == -signal.SIGTERM
        assert not done.interrupted
        assert not alive(read_pid(tmp_path / "pid"))

    def test_one_that_ends_politely_is_not_made_to_wait_for_its_grace(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "GRACE_SECONDS", 600.0)
        assert shell(tmp_path, "sleep 600", timeout=0.2).seconds < 300

    def test_what_it_says_while_it_ends_is_in_the_log(self, tmp_path: Path) -> None:
        text = "import signal, sys, time\n"
        text += "def stop(*_):\n    print('tidied up'); sys.exit(9)\n"
        text += "signal.signal(signal.SIGTERM, stop)\nprint('ready', flush=True)\ntime.sleep(60)"
        done = script(tmp_path, text, timeout=2.0)
        assert done.timed_out
        assert (tmp_path / "log").read_text("utf-8") == "ready\ntidied up\n"

    def test_one_that_ignores_sigterm_is_killed(self, tmp_path: Path) -> None:
        done = shell(tmp_path, "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done", timeout=1.0)
        assert done.timed_out
        assert done.exit_code == -signal.SIGKILL
        assert not alive(read_pid(tmp_path / "pid"))

    def test_its_children_end_with_it(self, tmp_path: Path) -> None:
        done = shell(tmp_path, "sh -c 'echo $$ > child; exec sleep 600' & wait", timeout=1.5)
        assert done.timed_out
        assert not alive(read_pid(tmp_path / "child"))

    def test_a_grandchild_in_a_session_of_its_own_ends_too(self, tmp_path: Path) -> None:
        inner = 'trap "" TERM; echo $$ > stray; while :; do sleep 0.1; done'
        done = shell(tmp_path, f"setsid sh -c '{inner}' & sleep 600", timeout=1.5)
        assert done.timed_out
        assert not alive(read_pid(tmp_path / "stray"))

    def test_a_process_that_never_stops_printing_is_ended(self, tmp_path: Path) -> None:
        done = shell(tmp_path, "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyy; done", timeout=0.5)
        assert done.timed_out

    def test_one_that_ends_in_time_is_not_timed_out(self, tmp_path: Path) -> None:
        assert not shell(tmp_path, "exit 0", timeout=300).timed_out


class TestLeftBehind:
    def test_a_daemon_that_keeps_the_pipe_open_does_not_hang_us(self, tmp_path: Path) -> None:
        inner = "echo $$ > daemon; exec sleep 600"
        done = shell(tmp_path, f"setsid sh -c '{inner}' & while [ ! -s daemon ]; do :; done; echo done")
        assert done.exit_code == 0
        assert done.seconds < 3000
        assert (tmp_path / "log").read_text("utf-8") == "done\n"
        assert not alive(read_pid(tmp_path / "daemon"))

    def test_an_orphan_that_ended_by_itself_does_not_stay_a_zombie(self, tmp_path: Path) -> None:
        outlives = "echo $$ > child; while kill -0 $0 2>/dev/null; do :; done"
        shell(tmp_path, f"setsid sh -c '{outlives}' $$ & while [ ! -s child ]; do :; done")
        orphan = read_pid(tmp_path / "child")
        assert wait_until(
            lambda: shell(tmp_path, "exit 0").exit_code == 0 and not Path(f"/proc/{orphan}").exists()
        )

    def test_where_nothing_is_left_nobody_looks_into_all_processes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked: list[str] = []

        def look(mark: str) -> tuple[int, ...]:
            looked.append(mark)
            return ()

        monkeypatch.setattr(process_tree, "_marked", look)
        # What other tests left to this process is known to it.
        monkeypatch.setattr(module, "_children", process_tree._children() or set())
        other = subprocess.Popen(["sleep", "600"])  # not started through the door: an orphan for all it knows
        try:
            assert shell(tmp_path, "exit 0").exit_code == 0
            assert looked
            looked.clear()
        finally:
            other.kill()
            other.wait()
        assert shell(tmp_path, "exit 0").exit_code == 0
        assert not looked

    def test_a_child_that_outlives_its_parent_does_not_go_on_writing(self, tmp_path: Path) -> None:
        inner = "echo $$ > child; while :; do date >> written; sleep 0.05; done"
        shell(tmp_path, f"(sh -c '{inner}' > /dev/null 2>&1 &) ; while [ ! -s child ]; do :; done")
        assert not alive(read_pid(tmp_path / "child"))

    def test_other_processes_of_the_user_are_left_alone(self, tmp_path: Path) -> None:
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as bystander:
            shell(tmp_path, "sleep 600", timeout=0.2)
            shell(tmp_path, "exit 0")
            assert alive(bystander.pid)
            bystander.kill()


class TestStop:
    def stop_soon(self, tmp_path: Path, ready: str) -> threading.Thread:
        def stop() -> None:
            assert wait_until((tmp_path / ready).exists)
            stop_all()

        thread = threading.Thread(target=stop)
        thread.start()
        return thread

    def test_a_running_process_is_ended(self, tmp_path: Path) -> None:
        thread = self.stop_soon(tmp_path, "pid")
        done = shell(tmp_path, "echo $$ > pid; sleep 600")
        thread.join()
        assert done.interrupted
        assert not done.timed_out
        assert module.stopping()
        assert not alive(read_pid(tmp_path / "pid"))

    def test_one_that_ignores_sigterm_is_killed(self, tmp_path: Path) -> None:
        thread = self.stop_soon(tmp_path, "pid")
        done = shell(tmp_path, "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done")
        thread.join()
        assert done.interrupted
        assert done.exit_code == -signal.SIGKILL

    def test_one_that_ends_well_all_the_same_counts(self, tmp_path: Path) -> None:
        thread = self.stop_soon(tmp_path, "pid")
        done = shell(tmp_path, "trap 'exit 0' TERM; echo $$ > pid; while :; do sleep 0.02; done")
        thread.join()
        assert done.exit_code == 0
        assert not done.interrupted

    def test_one_started_afterwards_ends_at_once(self, tmp_path: Path) -> None:
        stop_all()
        assert shell(tmp_path, "sleep 600").interrupted

    def test_the_second_signal_kills(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "GRACE_SECONDS", 600.0)

        def stop() -> None:
            assert wait_until((tmp_path / "pid").exists)
            assert wait_until(lambda: bool(module._live))
            stop_all()
            module.kill_all()

        thread = threading.Thread(target=stop)
        thread.start()
        done = shell(tmp_path, "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done")
        thread.join()
        assert done.exit_code == -signal.SIGKILL
        assert done.seconds < 3000

    def test_many_at_once(self, tmp_path: Path) -> None:
        done: list[Execution] = []
        for n in range(6):
            (tmp_path / str(n)).mkdir()
        threads = [
            threading.Thread(target=lambda n=n: done.append(shell(tmp_path / str(n), "echo > up; sleep 600")))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        assert wait_until(lambda: all((tmp_path / str(n) / "up").exists() for n in range(6)))
        stop_all()
        for thread in threads:
            thread.join()
        assert [d.interrupted for d in done] == [True] * 6


class TestCapture:
    def test_both_streams_in_order(self) -> None:
        done = capture(["sh", "-c", "echo one; echo two >&2; exit 3"], env=ENV, timeout=300)
        assert (done.exit_code, done.text) == (3, "one\ntwo\n")

    def test_a_daemon_left_behind_does_not_hang_us(self, tmp_path: Path) -> None:
        started = time.monotonic()
        text = f"setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 600' & echo 1.2.3; sleep 0.3"
        assert capture(["sh", "-c", text], env=ENV, timeout=300).text == "1.2.3\n"
        assert time.monotonic() - started < 300
        assert not alive(read_pid(tmp_path / "daemon"))

    def test_one_that_hangs_is_killed_with_its_children(self, tmp_path: Path) -> None:
        with pytest.raises(TimeoutError, match=r"did not end within 3 s"):
            capture(["sh", "-c", f"sh -c 'echo $$ > {tmp_path}/pid; sleep 600'"], env=ENV, timeout=3.0)
        assert not alive(read_pid(tmp_path / "pid"))

    def test_an_absent_command(self) -> None:
        with pytest.raises(StartError, match="no-such-tool"):
            capture(["no-such-tool"], env=ENV, timeout=5)

    def test_what_is_not_utf8(self) -> None:
        assert capture(["printf", "\\377 ok"], env=ENV, timeout=300).text == "\ufffd ok"
