"""A process, everything it started, and how to reach all of it: by process group and by a marker."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "EDGEBUILD_PROCESS"
"""Variable that marks a process tree, so that a grandchild which left the group is found as well."""


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


def _marked(mark: str) -> Iterator[int]:
    """Yield the processes that carry the marker, also those that left the process group (by setsid)."""
    wanted = f"{MARKER}={mark}".encode()
    for entry in os.scandir("/proc") if Path("/proc").is_dir() else ():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)
