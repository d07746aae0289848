"""How a run looks while it goes: live on a terminal, plain lines with a heartbeat elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TextIO

from edgebuild.action import Outcome

if TYPE_CHECKING:
    from types import TracebackType

    from edgebuild.action import Action, ActionResult

HEARTBEAT_SECONDS = 30.0

SYMBOLS = {
    Outcome.RAN: "ran    ",
    Outcome.CACHED: "cached ",
    Outcome.CURRENT: "current",
    Outcome.SKIPPED: "skipped",
    Outcome.FAILED: "FAILED ",
}


def is_live(stream: TextIO, environ: dict[str, str] | None = None) -> bool:
    """Return whether redrawing lines is right: a terminal, not a dumb one, not CI."""
    env = os.environ if environ is None else environ
    return stream.isatty() and env.get("TERM") != "dumb" and not env.get("CI")


def open_display(total: int, *, quiet: bool = False) -> PlainDisplay | LiveDisplay:
    """Return the display for a run of so many actions; it writes to standard error only."""
    if not quiet and is_live(sys.stderr):
        return LiveDisplay(total)
    return PlainDisplay(total, sys.stderr, quiet=quiet)


class PlainDisplay:
    """One line per finished action; every half minute a line on what is still going."""

    def __init__(
        self, total: int, stream: TextIO, *, quiet: bool = False, heartbeat: float = HEARTBEAT_SECONDS
    ) -> None:
        self._total = total
        self._stream = stream
        self._quiet = quiet
        self._heartbeat = heartbeat
        self._done: set[str] = set()  # a run that starts over ends an action twice
        self._going: dict[str, tuple[float, str]] = {}
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if not self._quiet:
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def waiting(self, action: Action, why: str) -> None:
        """Say once what an action waits for; the heartbeat goes on to tell."""
        with self._lock:
            since, _ = self._going.get(action.id, (time.monotonic(), ""))
            self._going[action.id] = (since, f"waits: {why}")
            if not self._quiet and (action.id, why) not in self._told:
                print(f"{action.id} waits: {why}", file=self._stream, flush=True)
            self._told.add((action.id, why))

    def started(self, action: Action) -> None:
        """Note that a process starts; the heartbeat tells of it when it takes long."""
        with self._lock:
            self._going[action.id] = (time.monotonic(), "")

    def progressed(self, action: Action, text: str) -> None:
        """Note how far a step is, for the heartbeat."""
        with self._lock:
            if action.id in self._going:
                self._going[action.id] = (self._going[action.id][0], text)

    def finished(self, result: ActionResult) -> None:
        """Print one line; what is simply current is only counted."""
        with self._lock:
            self._done.add(result.id)
            self._going.pop(result.id, None)
            if not self._quiet and result.outcome is not Outcome.CURRENT:
                print(finished_line(result, len(self._done), self._total), file=self._stream, flush=True)

    def _beat(self) -> None:
        while not self._stop.wait(self._heartbeat):
            with self._lock:
                going = [_going_text(name, *row) for name, row in self._going.items()]
                done = len(self._done)
            if going:
                print(f"[{done}/{self._total}] running: {', '.join(going)}", file=self._stream, flush=True)


class LiveDisplay:
    """A redrawn block of what is going, below the lines of what is done."""

    def __init__(self, total: int) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._total = total
        self._done: set[str] = set()  # a run that starts over ends an action twice
        self._bars: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def waiting(self, action: Action, why: str) -> None:
        """Show what the action waits for, where its bar will be."""
        with self._lock:
            self._progress.update(self._bar(action.id), text=f"waits: {why}")

    def started(self, action: Action) -> None:
        """Show a bar for the action; a wait before does not count."""
        with self._lock:
            self._progress.reset(self._bar(action.id), text="")

    def _bar(self, name: str) -> Any:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=None, text="")
        return self._bars[name]

    def progressed(self, action: Action, text: str) -> None:
        """Move the action's bar: the text starts with ``done/total``."""
        with self._lock:
            if action.id in self._bars:
                done, total = _fraction(text)
                self._progress.update(self._bars[action.id], completed=done, total=total, text=text)

    def finished(self, result: ActionResult) -> None:
        """Drop the bar and print the line."""
        from rich.text import Text  # noqa: PLC0415 - only a terminal needs rich

        styles = {Outcome.RAN: "green", Outcome.CACHED: "cyan", Outcome.FAILED: "bold red"}
        with self._lock:
            self._done.add(result.id)
            if result.id in self._bars:
                self._progress.remove_task(self._bars.pop(result.id))
            if result.outcome is not Outcome.CURRENT:
                line = finished_line(result, len(self._done), self._total)
                self._console.print(Text(line, style=styles.get(result.outcome, "yellow")))


def finished_line(result: ActionResult, done: int, total: int) -> str:
    """Return the line for a finished action."""
    width = len(str(total))
    took = f" {result.seconds:6.1f}s" if result.outcome is Outcome.RAN else " " * 8
    text = result.message.splitlines()[0] if result.message else _first_reason(result)
    head = f"[{done:{width}}/{total}] {SYMBOLS[result.outcome]}{took}  {result.id}"
    return f"{head}  ({text})" if text else head


def _first_reason(result: ActionResult) -> str:
    if not result.why:
        return ""
    first = result.why[0]
    values = f" {first.old} -> {first.new}" if first.old or first.new else ""
    more = f", and {len(result.why) - 1} more" if len(result.why) > 1 else ""
    return f"{first.kind}: {first.what}{values}{more}"


def _going_text(name: str, since: float, text: str) -> str:
    took = f"{time.monotonic() - since:.0f}s"
    return f"{name} {took} {text}".rstrip()


def _fraction(text: str) -> tuple[float, float | None]:
    done, slash, rest = text.partition("/")
    total = rest.split(" ", 1)[0]
    if slash and done.isdigit() and total.isdigit():
        return float(done), float(total)
    return 0.0, None
