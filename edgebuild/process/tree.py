"""A process, everything it started, and how to reach all of it: by process group and by a marker."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MARKER = "EDGEBUILD_PROCESS"
"""Variable that marks a process tree, so that a grandchild which left the group is found as well."""

DYING_SECONDS = 5.0
"""How long a killed process may take to die; one that hangs in the kernel is not waited for."""

_SET_CHILD_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of ``linux/prctl.h``."""


def new_mark() -> str:
    """Return a value for :data:`MARKER` that no other process tree has."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"


def kill_tree(pid: int, mark: str) -> None:
    """Kill a process group, and everything that carries its marker."""
    signal_tree(pid, mark, signal.SIGKILL)


def signal_tree(pid: int, mark: str, number: signal.Signals) -> None:
    """Send a signal to a process group and to everything that carries its marker."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
    for _ in range(10):  # one that forks while we look is found the next time
        strays = list(_marked(mark))
        for stray in strays:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(stray, number)
        if not strays or number != signal.SIGKILL:
            return
        time.sleep(0.005)


def end_tree(pid: int, mark: str, known: Collection[int]) -> None:
    """Kill what a process left behind, and see it dead; the process itself is left to whoever waits for it.

    What outlives its parent becomes a child of this process (:func:`adopt_orphans`). So when every child is
    a known one nothing was left behind, and nobody has to look into all processes of the machine, which
    takes longer than a short command itself.

    Args:
        pid: The process, head of its group.
        mark: Its marker.
        known: The children that this process started itself and waits for.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    # Its children become ours when it is dead; a worker's child is not ours, and is dead already.
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    children = _children() if adopt_orphans() else None
    if children is not None and children <= {pid, *known}:
        return
    orphans = (children or set()) - {pid, *known}
    # One that was killed a moment ago has lost its environment, and with it the marker, but is still there.
    ours = {*_marked(mark), *(orphan for orphan in orphans if _state(orphan)[1] == str(pid))} - {pid}
    kill_tree(pid, mark)
    until = time.monotonic() + DYING_SECONDS
    while _bury(orphans | ours) & ours and time.monotonic() < until:
        time.sleep(0.002)


@cache
def adopt_orphans() -> bool:
    """Ask the kernel to make orphans below this process its children; return whether it does."""
    import ctypes  # noqa: PLC0415 - only where something is run

    try:
        return bool(ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def _children() -> set[int] | None:
    """Return the children of this process, dead ones too; None where the kernel does not list them."""
    found: set[int] = set()
    try:
        for task in os.listdir("/proc/self/task"):  # noqa: PTH208 - after each process
            with open(f"/proc/self/task/{task}/children", "rb") as stream:  # noqa: PTH123 - likewise
                found.update(map(int, stream.read().split()))
    except OSError:
        # Also where a thread ended meanwhile: its children went to another, perhaps to one read before.
        return None
    return found


def _bury(pids: Collection[int]) -> set[int]:
    """Wait for those that are dead and children of this process; return those that live."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return {pid for pid in pids if _state(pid)[0] not in {"", "Z", "X"}}


def _state(pid: int) -> tuple[str, str]:
    """Return a process's state and its process group, as the kernel writes them; empty when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123 - after each process
            words = stream.read().rpartition(b")")[2].split()
    except OSError:
        return "", ""
    return words[0].decode(), words[2].decode()


def _marked(mark: str) -> Iterator[int]:
    """Yield the processes that carry the marker, also those that left the process group (by setsid)."""
    wanted = f"{MARKER}={mark}".encode()
    for entry in os.scandir("/proc") if Path("/proc").is_dir() else ():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)
