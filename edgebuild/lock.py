"""File locks between threads and processes; the kernel frees one when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONGEST_PAUSE = 0.1
"""Seconds between two looks at a lock that someone else holds."""


class GaveUpError(Exception):
    """The wait for a lock was given up, because the run is being stopped."""


def never() -> bool:
    """Never give up."""
    return False


@contextlib.contextmanager
def held(path: Path, *, shared: bool = False, give_up: Callable[[], bool] = never) -> Iterator[None]:
    """Hold the lock of a file, which is made when it is not there.

    Args:
        path: The file. A holder may unlink it: whoever waited for it then starts anew with a new one.
        shared: Others may hold it shared at the same time.
        give_up: Asked now and then while waiting; true ends the wait.

    Raises:
        GaveUpError: ``give_up`` said so.
        OSError: The file cannot be made.
    """
    descriptor = _acquire(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, give_up)
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of an existing file when nobody else does; yield whether it is held.

    Raises:
        OSError: The file is not there.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _acquire(path: Path, kind: int, give_up: Callable[[], bool]) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            continue
        try:
            _wait(descriptor, kind, give_up)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait(descriptor: int, kind: int, give_up: Callable[[], bool]) -> None:
    """Wait for a lock, looking up now and then: in a blocking wait nobody would hear Ctrl-C."""
    pause = 0.001
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if give_up():
                raise GaveUpError from None
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            return


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file still has this name."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
