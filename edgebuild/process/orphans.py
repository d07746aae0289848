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
    finds it and its children whoever adopted them, and nobody else. In a container the directory has another
    name, and is among the mounts.
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
        here, ours = _on_device(folder), os.readlink("/proc/self/ns/mnt")  # noqa: PTH115
    except OSError:
        return
    for name in names:
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):  # gone meanwhile, or another user's
                place = os.readlink(f"/proc/{name}/cwd")  # noqa: PTH115
                if place == folder or place.startswith(folder + os.sep) or _mounted(name, here, ours):
                    yield int(name)


def _mounted(process: str, here: tuple[str, str], ours: str) -> bool:
    """Whether a process with mounts of its own sees a directory among them."""
    if os.readlink(f"/proc/{process}/ns/mnt") == ours:  # noqa: PTH115
        return False
    device, path = here
    return any(
        device == its and (root == path or root.startswith(path + os.sep))
        for its, root, _ in _mounts(process)
    )


def _on_device(folder: str) -> tuple[str, str]:
    """Return the device that a directory is on, and its path there, as lists of mounts name both."""
    for code in ("\\134", "\\040", "\\011", "\\012"):  # as the kernel writes them there
        folder = folder.replace(chr(int(code[1:], 8)), code)
    holding = [
        (point.rstrip(os.sep), device, root.rstrip(os.sep))
        for device, root, point in _mounts("self")
        if folder.startswith(point.rstrip(os.sep) + os.sep)
    ]
    # Of those mounted at one place the last one is what is seen.
    point, device, root = max(reversed(holding), key=lambda one: len(one[0]), default=("", "", ""))
    return device, root + folder.removeprefix(point)


def _mounts(process: str) -> Iterator[tuple[str, str, str]]:
    """Yield the mounts of a process: device, path on the device, mount point."""
    with open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:  # noqa: PTH123
        for line in stream:
            _, _, device, root, point, *_ = line.split(" ")
            yield device, root, point
