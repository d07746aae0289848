"""What is being removed from a store just now: said before it is done, so that runs keep off.

A run claims a name in its lease and then looks whether that name is announced here; if so, it waits until
the announcement is over. Whoever removes announces some names and then reads the leases. Whatever the order
in time, either the remover sees the claim, or the run sees the announcement.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from typing import TYPE_CHECKING

from edgebuild.cache.store import store_error
from edgebuild.digest import decode, encode
from edgebuild.errors import StoreError
from edgebuild.lock import GaveUpError, held

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

TURN_SECONDS = 1.0
"""How long a remover waits for its turn: others only look for a moment whether somebody removes."""

PATIENCE = 30.0
"""Seconds after which a run waits no longer: a remover that was stopped by hand must not stop it too."""


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Be the only one who takes something out of a store.

    Raises:
        StoreError: Another one does, or the store cannot be written.
    """
    until = time.monotonic() + TURN_SECONDS
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held(_lock(root), give_up=lambda: time.monotonic() > until))
            _place(root).unlink(missing_ok=True)  # of one that was killed
        except GaveUpError:
            raise StoreError(
                f"{root}: another process is removing from it", hint="try again when it has ended"
            ) from None
        except OSError as error:
            raise store_error(error, root) from error
        yield


@contextlib.contextmanager
def announced(root: Path, names: Collection[str]) -> Iterator[None]:
    """Say that these names are about to be removed; hold :func:`alone` around it.

    Raises:
        StoreError: It cannot be said, so nothing may be removed.
    """
    place = _place(root)
    temporary = place.with_name(f".{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(encode("".join(f"{name}\n" for name in names)))
        temporary.rename(place)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise store_error(error, root) from error
    try:
        yield
    finally:
        place.unlink(missing_ok=True)


def keep_off(root: Path, names: Collection[str]) -> None:
    """Return when none of these names is being removed; to be called after they were claimed."""
    until = time.monotonic() + PATIENCE
    while not _announced(root).isdisjoint(names) and _at_work(root) and time.monotonic() < until:
        time.sleep(0.001)


def _announced(root: Path) -> frozenset[str]:
    try:
        with open(_place(root), "rb") as stream:  # noqa: PTH123 - asked for every claim
            return frozenset(decode(stream.read()).split("\n"))
    except OSError:
        return frozenset()


def _at_work(root: Path) -> bool:
    """Return whether somebody removes; an announcement alone may be that of one who was killed."""
    try:
        descriptor = os.open(_lock(root), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(root: Path) -> Path:
    return root / "locks" / "gc"


def _place(root: Path) -> Path:
    return root / "locks" / "removing"
