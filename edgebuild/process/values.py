"""What a process is to those who start one and those who follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """The end of a short command whose output is wanted as text (both streams, in order)."""

    exit_code: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How a process ended.

    Attributes:
        exit_code: As the process gave it; negative: the signal that killed it.
        timed_out: It was killed for running longer than its limit.
        interrupted: It was killed because the whole run was stopped.
        seconds: Wall time.
    """

    exit_code: int
    timed_out: bool
    interrupted: bool
    seconds: float


class Process(Protocol):
    """A process that :func:`execute` follows, whoever started it."""

    @property
    def pid(self) -> int:
        """Its number, which is that of its process group too."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """The end of the pipe that receives both output streams."""

    def wait(self) -> int:
        """Return the exit code once it has ended; until then its number is not given to another process."""


class Start(Protocol):
    """Whatever starts a process in a session of its own with its output in a pipe."""

    def __call__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Process:
        """Start it, or raise."""
