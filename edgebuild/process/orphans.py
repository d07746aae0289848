"""Processes that outlived the run that started them: a run killed with SIGKILL cannot end its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def kill_inside(folder: Path) -> int:
    """Kill every process that works in a directory which is ours alone; return how many there were.

    The caller holds the lock that says so. An action's process starts in its scratch directory, so this
    finds it and its children whoever adopted them, and nobody else.
    """
    found: set[int] = set()
    for _ in range(50):
        alive = set(_inside(os.path.realpath(folder)))
        if not alive:
            break
        for pid in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        found |= alive
        time.sleep(0.01)
    return len(found)


def _inside(folder: str) -> Iterator[int]:
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - names are all it takes
    except OSError:
        return
    for name in names:
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):  # gone meanwhile, or another user's
                place = os.readlink(f"/proc/{name}/cwd")  # noqa: PTH115
                if place == folder or place.startswith(folder + os.sep):
                    yield int(name)
