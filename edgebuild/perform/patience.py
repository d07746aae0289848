"""Waiting for others with a word to the user: behind somebody's training a silent wait looks like a hang."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from edgebuild.process.execute import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgebuild.action import Action
    from edgebuild.perform.context import Context

SILENT_SECONDS = 2.0
"""How long a wait is not worth a word: most are over by then."""

SAME_WORK = "another run does the same work"
SAME_LOG = "another run in this workspace does this step with other options"
MEASUREMENT = "a measurement has the machine alone"
OTHER_STEPS = "it measures and needs the machine alone, other steps are still running"


_lock = threading.Lock()
_at_work: set[str] = set()
"""Actions of this process that are at work: what waits for one of them needs no word, they are on display."""


@contextlib.contextmanager
def at_work(action: Action) -> Iterator[None]:
    """Note that an action of this process is at work."""
    with _lock:
        _at_work.add(action.id)
    try:
        yield
    finally:
        with _lock:
            _at_work.discard(action.id)


def patience(action: Action, context: Context, why: str) -> Callable[[], bool]:
    """Return what a lock asks while it waits: whether to give up, which a run that is being stopped does.

    Args:
        action: The action that waits, from now on.
        context: Has the listener that is told once, when it takes long.
        why: What is waited for.
    """
    since = time.monotonic()
    told = False

    def give_up() -> bool:
        nonlocal told
        if not told and not _at_work and time.monotonic() - since >= SILENT_SECONDS:
            told = True
            context.listener.waiting(action, why)
        return stopping()

    return give_up
