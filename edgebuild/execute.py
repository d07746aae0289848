"""The one door to other processes: start, watch, log, time out, and end a whole process tree."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

GRACE_SECONDS = 3.0
"""How long a process group may take to end after SIGTERM before it gets SIGKILL."""

MARKER = "EDGEBUILD_PROCESS"
"""Variable that marks a process tree, so that a grandchild which left the group is found as well."""

TAIL_BYTES = 4000

_live: dict[int, str] = {}
_live_lock = threading.Lock()
_stopping = threading.Event()


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """The end of a short command whose output is wanted as text (both streams, in order)."""

    exit_code: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How a process ended.

    Attributes:
        exit_code: As the process gave it; negative: the signal that killed it.
        timed_out: It was killed for running longer than its limit.
        interrupted: It was killed because the whole run was stopped.
        seconds: Wall time.
    """

    exit_code: int
    timed_out: bool
    interrupted: bool
    seconds: float


def capture(argv: Sequence[str], *, env: Mapping[str, str], timeout: float) -> Captured:
    """Run a short command to its end and return what it printed.

    Raises:
        FileNotFoundError: The executable is absent.
        TimeoutError: It took longer than ``timeout`` seconds; its process group was killed.
    """
    with subprocess.Popen(  # noqa: S603 - an argv, never a shell
        list(argv),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            data, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as late:
            _kill_tree(process.pid, "", signal.SIGKILL)
            raise TimeoutError(f"{argv[0]} did not end within {timeout:g} s") from late
        return Captured(exit_code=process.returncode, text=data.decode("utf-8", "replace"))


def find_executable(name: str, env: Mapping[str, str]) -> str | None:
    """Return the absolute path of an executable on the environment's PATH, or None."""
    return shutil.which(name, path=env.get("PATH", ""))


def execute(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Execution:
    """Run one process to its end in a process group of its own, its output into a log file.

    Args:
        argv: The command; never given to a shell.
        cwd: Working directory.
        env: The whole environment of the process.
        log: File that receives both output streams; appended to.
        timeout: Seconds until the process tree is killed.
        on_line: Called with each line of output, without its newline.

    Raises:
        FileNotFoundError: The executable is absent.
        PermissionError: It may not be executed.
    """
    started = time.monotonic()
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    with log.open("ab") as sink:
        process = subprocess.Popen(  # noqa: S603 - an argv, never a shell
            list(argv),
            cwd=cwd,
            env={**env, MARKER: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _registered(process.pid, mark):
            deadline = None if timeout is None else started + timeout
            timed_out = not _follow(process, sink, deadline, on_line)
            if timed_out:
                end_tree(process.pid, mark)
            exit_code = process.wait()
        # What it left behind in its group (a worker that outlived its parent) must not go on writing.
        _kill_tree(process.pid, "", signal.SIGKILL)
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
            _kill_tree(pid, mark, signal.SIGTERM)


def kill_all() -> None:
    """Kill at once what :func:`stop_all` asked to end."""
    for pid, mark in list(_live.items()):
        _kill_tree(pid, mark, signal.SIGKILL)


def stopping() -> bool:
    """Return whether the run is being stopped."""
    return _stopping.is_set()


def end_tree(pid: int, mark: str) -> None:
    """End a process group politely, then for certain."""
    _kill_tree(pid, mark, signal.SIGTERM)
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until:
        if not _group_alive(pid):
            return
        time.sleep(0.02)
    _kill_tree(pid, mark, signal.SIGKILL)


def log_tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, for an error message."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


@contextlib.contextmanager
def _registered(pid: int, mark: str) -> Iterator[None]:
    with _live_lock:
        _live[pid] = mark
    if _stopping.is_set():  # the signal came between the start and the registration
        _kill_tree(pid, mark, signal.SIGTERM)
    try:
        yield
    finally:
        with _live_lock:
            _live.pop(pid, None)


def _follow(
    process: subprocess.Popen[bytes],
    sink: BinaryIO,
    deadline: float | None,
    on_line: Callable[[str], None] | None,
) -> bool:
    """Copy output until the process ends; return False when the deadline came first.

    It waits for the process, not for the end of the pipe: a grandchild may keep the pipe open for ever.
    """
    assert process.stdout is not None  # noqa: S101 - we asked for a pipe
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    pidfd = os.pidfd_open(process.pid)
    lines = _Lines(on_line)
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    poll.register(pidfd, select.POLLIN)
    stop_sent = 0.0
    try:
        while True:
            ready = dict(poll.poll(_wait_ms(deadline)))
            if pipe in ready and not _drain(pipe, sink, lines):
                poll.unregister(pipe)
            if pidfd in ready:
                _drain(pipe, sink, lines)
                lines.end()
                return True
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return False
            if _stopping.is_set():
                stop_sent = stop_sent or now
                if now - stop_sent > GRACE_SECONDS:
                    return False
    finally:
        os.close(pidfd)
        process.stdout.close()
        sink.flush()


def _wait_ms(deadline: float | None) -> int:
    # Wake up now and then even without a deadline: a stop may have been asked for by another thread.
    if deadline is None:
        return 500
    return max(0, min(500, int((deadline - time.monotonic()) * 1000) + 1))


def _drain(pipe: int, sink: BinaryIO, lines: _Lines) -> bool:
    """Copy what the pipe holds now; return False at its end."""
    for _ in range(64):  # a process that never stops printing must not keep us from its deadline
        try:
            data = os.read(pipe, 65536)
        except BlockingIOError:
            return True
        if not data:
            return False
        sink.write(data)
        lines.feed(data)
    return True


class _Lines:
    """Cuts a byte stream into lines for a listener; carriage returns count as line ends."""

    def __init__(self, listener: Callable[[str], None] | None) -> None:
        self._listener = listener
        self._rest = b""

    def feed(self, data: bytes) -> None:
        if self._listener is None:
            return
        *whole, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            if line:
                self._listener(line.decode("utf-8", "replace"))

    def end(self) -> None:
        if self._rest and self._listener is not None:
            self._listener(self._rest.decode("utf-8", "replace"))
            self._rest = b""


def _group_alive(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kill_tree(pid: int, mark: str, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
    if mark:
        for stray in _marked(mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(stray, number)


def _marked(mark: str) -> Iterator[int]:
    """Yield processes that carry the marker but left the process group (they called setsid)."""
    wanted = f"{MARKER}={mark}".encode()
    for entry in os.scandir("/proc") if Path("/proc").is_dir() else ():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)
