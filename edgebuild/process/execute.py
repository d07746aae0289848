"""The one door to other processes: start, watch, log, time out, and end a whole process tree."""

from __future__ import annotations

import contextlib
import math
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, BinaryIO

from edgebuild.process.log import Lines
from edgebuild.process.tree import MARKER, adopt_orphans, end_tree, new_mark, signal_tree
from edgebuild.process.values import Captured, Execution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgebuild.process.values import Process, Start

GRACE_SECONDS = 3.0
"""How long a process group may take to end after SIGTERM before it gets SIGKILL."""

_live: dict[int, str] = {}
_live_lock = threading.Lock()
_stopping = threading.Event()
_children: set[int] = set()
"""What was started here and is waited for here; other children are orphans of theirs."""

_starting = threading.Lock()
"""Held from the start of a process until it is among the children."""


class StartError(OSError):
    """A command could not be started: absent, not executable, not a program, arguments too long."""


class Server:
    """A program of ours that serves this process until it is killed."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str) -> None:
        self._process = process
        self._mark = mark

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def kill(self, patience: float = 0.0) -> int:
        """End it, at once or after some seconds in which it may end by itself; return its exit code."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if patience:
                self._process.wait(patience)
        signal_tree(self._process.pid, self._mark, signal.SIGKILL)
        exit_code = self._process.wait()
        _children.discard(self._process.pid)
        return exit_code


def serve(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    keep: int | None = None,
    stdout: int = subprocess.DEVNULL,
) -> Server:
    """Start a program of ours that answers on a socket; whoever started it has to kill it.

    It is not among the processes that :func:`stop_all` ends: what it splits off is.

    Args:
        argv: The command.
        cwd: Working directory.
        env: Its whole environment.
        keep: File descriptor that it inherits.
        stdout: Where both its output streams go.

    Raises:
        StartError: It cannot be started.
    """
    mark = new_mark()
    marked = {**env, MARKER: mark}
    inherited = () if keep is None else (keep,)
    return Server(_start(argv, cwd=cwd, env=marked, stdout=stdout, keep=inherited), mark)


def capture(argv: Sequence[str], *, env: Mapping[str, str], timeout: float) -> Captured:
    """Run a short command to its end and return what it printed.

    Raises:
        StartError: It cannot be started.
        TimeoutError: It took longer than ``timeout`` seconds; its process tree was killed.
    """
    mark = new_mark()
    # A file, not a pipe: a daemon that the command leaves behind would keep a pipe open.
    with tempfile.TemporaryFile() as sink:
        process = _start(argv, env={**env, MARKER: mark}, cwd=None, stdout=sink.fileno())
        late = False
        try:
            process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            with _starting:
                end_tree(process.pid, mark, _children)
            process.wait()
            _children.discard(process.pid)
        if late:
            raise TimeoutError(f"{argv[0]} did not end within {timeout:g} s")
        sink.seek(0)
        return Captured(exit_code=process.returncode, text=sink.read().decode("utf-8", "replace"))


def find_executable(name: str, env: Mapping[str, str]) -> str | None:
    """Return the absolute path of an executable on the environment's PATH, or None."""
    return shutil.which(name, path=env.get("PATH", ""))


def execute(  # noqa: PLR0913 - a process has this many sides
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
    start: Start | None = None,
) -> Execution:
    """Run one process to its end in a process group of its own, its output into a log file.

    Args:
        argv: The command; never given to a shell.
        cwd: Working directory.
        env: The whole environment of the process.
        log: File that receives both output streams; appended to.
        timeout: Seconds until the process tree is killed.
        on_line: Called with each line of output, without its newline.
        start: What starts the process in place of a plain start; it may raise errors of its own.

    Raises:
        StartError: It cannot be started.
        OSError: The log cannot be written; the process was killed.
    """
    started = time.monotonic()
    deadline = None if timeout is None else started + timeout
    mark = new_mark()
    with log.open("ab") as sink:
        process = (start or _start_piped)(argv, cwd=cwd, env={**env, MARKER: mark})
        with _registered(process.pid, mark):
            try:
                timed_out = _follow(process, mark, sink, deadline, on_line)
            finally:
                # Whatever happened, nothing of it goes on: not a worker that outlived its parent, not a
                # daemon in a session of its own. Before the wait, so that the group's number is still ours.
                with _starting:
                    end_tree(process.pid, mark, _children)
                exit_code = process.wait()
                _children.discard(process.pid)
    return Execution(
        exit_code=exit_code,
        timed_out=timed_out and not _stopping.is_set(),
        interrupted=_stopping.is_set() and exit_code != 0,
        seconds=time.monotonic() - started,
    )


def stop_all() -> None:
    """End every process this module started, and refuse to start more; safe from a signal handler."""
    _stopping.set()
    with contextlib.suppress(RuntimeError):
        for pid, mark in list(_live.items()):
            signal_tree(pid, mark, signal.SIGTERM)


def kill_all() -> None:
    """Kill at once what :func:`stop_all` asked to end."""
    with contextlib.suppress(RuntimeError):  # it came while the list was changed: the next one will do
        for pid, mark in list(_live.items()):
            signal_tree(pid, mark, signal.SIGKILL)


def stopping() -> bool:
    """Return whether the run is being stopped."""
    return _stopping.is_set()


def _start_piped(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Process:
    return _start(argv, cwd=cwd, env=env, stdout=subprocess.PIPE)


def _start(
    argv: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str],
    stdout: int,
    keep: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    adopt_orphans()
    try:
        with _starting:
            process = subprocess.Popen(  # noqa: S603 - an argv, never a shell
                list(argv),
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=keep,
            )
            _children.add(process.pid)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in an argument
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(f"{argv[0]!r} cannot be started: {reason}") from error
    return process


@contextlib.contextmanager
def _registered(pid: int, mark: str) -> Iterator[None]:
    with _live_lock:
        _live[pid] = mark
    if _stopping.is_set():  # the signal came between the start and the registration
        signal_tree(pid, mark, signal.SIGTERM)
    try:
        yield
    finally:
        with _live_lock:
            _live.pop(pid, None)


def _follow(
    process: Process,
    mark: str,
    sink: BinaryIO,
    deadline: float | None,
    on_line: Callable[[str], None] | None,
) -> bool:
    """Copy output until the process ends or has had its grace; return whether the deadline came first.

    It waits for the process, not for the end of the pipe: a grandchild may keep the pipe open for ever.
    """
    assert process.stdout is not None  # noqa: S101 - we asked for a pipe
    pipe, pidfd = process.stdout.fileno(), os.pidfd_open(process.pid)
    os.set_blocking(pipe, False)
    lines = Lines(on_line)
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    poll.register(pidfd, select.POLLIN)
    late, give_up = False, math.inf
    try:
        while time.monotonic() < give_up:
            ready = dict(poll.poll(_wait_ms(deadline)))
            if pipe in ready and not _drain(pipe, sink, lines):
                poll.unregister(pipe)
            if pidfd in ready:
                _drain(pipe, sink, lines)
                lines.end()
                break
            if give_up == math.inf and _stopping.is_set():  # whoever asked for it has sent the signal
                give_up = time.monotonic() + GRACE_SECONDS
            elif give_up == math.inf and deadline is not None and time.monotonic() >= deadline:
                late, deadline, give_up = True, None, time.monotonic() + GRACE_SECONDS
                signal_tree(process.pid, mark, signal.SIGTERM)
    finally:
        os.close(pidfd)
        process.stdout.close()
    return late


def _wait_ms(deadline: float | None) -> int:
    # Wake up now and then even without a deadline: a stop may have been asked for by another thread.
    if deadline is None:
        return 200
    return max(0, min(200, int((deadline - time.monotonic()) * 1000) + 1))


def _drain(pipe: int, sink: BinaryIO, lines: Lines) -> bool:
    """Copy what the pipe holds now; return False at its end."""
    for _ in range(64):  # a process that never stops printing must not keep us from its deadline
        try:
            data = os.read(pipe, 65536)
        except BlockingIOError:
            return True
        if not data:
            return False
        sink.write(data)
        sink.flush()
        lines.feed(data)
    return True
