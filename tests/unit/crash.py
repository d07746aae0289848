"""Die between two filesystem calls: what ``kill -9`` does, at a place of the test's choosing."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from tests.unit.workbench import PROCESSES

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGES = frozenset(
    {
        "open",
        "os.chmod",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
    }
)
"""Audit events of calls that change a filesystem; they are raised before the call is made."""

DIED = 77

_left = -1


def dies_before(call: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that dies just before its n-th filesystem call; return whether it died."""
    process = PROCESSES.Process(target=_work, args=(call, work))
    process.start()
    process.join()
    assert process.exitcode in {0, DIED}, process.exitcode
    return process.exitcode == DIED


def _work(call: int, work: Callable[[], object]) -> None:
    global _left  # noqa: PLW0603 - an audit hook cannot be taken away, so it looks at a number
    _left = call
    sys.addaudithook(_count)
    work()
    _left = -1


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    global _left  # noqa: PLW0603
    if _left < 0 or event not in CHANGES:
        return
    if event == "open" and (
        not isinstance(arguments[2], int) or not arguments[2] & (os.O_WRONLY | os.O_RDWR)
    ):
        return
    if _left == 0:
        os._exit(DIED)
    _left -= 1
