"""What a signal does to a run: the first ends every process politely, the second at once."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

from edgebuild.process import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

STOPPING = "\nedgebuild: stopping; finished actions are kept, running ones start over next time"


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """On the first signal end every process politely, on the second at once; finished results are kept."""
    received: list[int] = []

    def handle(number: int, frame: Any) -> None:
        del frame
        if received:
            execute.kill_all()
            return
        received.append(number)
        execute.stop_all()
        with contextlib.suppress(OSError, RuntimeError):  # the terminal may be what has gone
            print(STOPPING, file=sys.stderr)

    kinds = [signal.SIGINT, signal.SIGTERM]
    kinds += [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]  # nohup
    before = {number: signal.signal(number, handle) for number in kinds}
    try:
        yield received
    finally:
        for number, old in before.items():
            signal.signal(number, old)
