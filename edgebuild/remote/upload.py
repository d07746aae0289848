"""Work in the background: a bounded queue and a few threads that never hold anybody up."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from edgebuild.lock import never

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

THREADS = 4
ROOM = 4096
"""Items that may wait; each is a record of a few kilobytes, its blobs lie in the store."""

LOOK_SECONDS = 0.1
"""How often the wait for the rest looks whether it is to be given up."""


class Uploads(Generic[T]):
    """Does ``work`` for each offered item, some at a time. What does not fit is dropped and counted.

    Args:
        work: Does one item and says whether it did.
        threads: How many items at a time.
        room: How many items may wait.
    """

    def __init__(self, work: Callable[[T], bool], *, threads: int = THREADS, room: int = ROOM) -> None:
        self._work = work
        self._limit = threads
        self._room = room
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._busy = 0
        self._closed = False
        self._offered = 0
        self._done = 0

    @property
    def dropped(self) -> int:
        """How many items were offered and will not be done."""
        with self._changed:
            pending = len(self._waiting) + (0 if self._closed else self._busy)
            return self._offered - self._done - pending

    def offer(self, item: T) -> bool:
        """Queue an item and return at once; False: there is no room for it."""
        with self._changed:
            self._offered += 1
            if self._closed or len(self._waiting) >= self._room:
                return False
            self._waiting.append(item)
            if self._threads < self._limit:
                self._threads += 1
                # A daemon: one that hangs in the network must not keep the process alive.
                threading.Thread(target=self._serve, name="edgebuild-upload", daemon=True).start()
            self._changed.notify()
        return True

    def drop(self) -> None:
        """Forget what waits; what is being done goes on until the process ends."""
        with self._changed:
            self._waiting.clear()
            self._closed = True
            self._changed.notify_all()

    def close(self, limit: float, *, give_up: Callable[[], bool] = never) -> None:
        """Take no more, and wait for what is there.

        Args:
            limit: Seconds to wait at most; what is left then is dropped.
            give_up: Asked now and then; true ends the wait.
        """
        deadline = time.monotonic() + limit
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while (self._waiting or self._busy) and not give_up() and time.monotonic() < deadline:
                self._changed.wait(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
        self.drop()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                item = self._waiting.popleft()
                self._busy += 1
            done = False
            try:
                done = self._work(item)
            finally:
                with self._changed:
                    self._done += done
                    self._busy -= 1
                    self._changed.notify_all()
