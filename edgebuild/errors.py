"""Every error a user can meet, one class per exit code.

    EdgebuildError              1   internal error
    |-- ManifestError           2   the manifest, or a file it names, is wrong (holds several problems)
    |-- UsageError              2   the command line is wrong
    |-- StepError               3   a step failed
    |   `-- StepTimeoutError    7   a step ran longer than its limit
    |-- GateError               4   an acceptance threshold was missed
    |-- ToolchainMissingError   5   a toolchain is absent or out of the supported range
    |-- DeviceError             6   a device is unavailable or its measurement untrusted
    |-- StoreError              8   the cache or store is damaged or cannot be written
    |   `-- LostError           8   bytes that were stored are gone (found again by running the action)
    `-- VerificationError       9   a package does not verify

A message says what is wrong, where, and what to do next. The command line prints it without a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """One thing wrong with a file, at a place a person can click on.

    Attributes:
        file: Path as the user knows it.
        line: 1-based line; 0 when the file as a whole is meant.
        column: 1-based column; 0 when the line as a whole is meant.
        path: Dotted path of the value inside the document, such as ``targets.rpi5.batch``.
        message: What is wrong.
        hint: What to do next, or an empty string.
    """

    file: str
    line: int = 0
    column: int = 0
    path: str = ""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])
        where = f"{place}: {self.path}: " if self.path else f"{place}: "
        return where + self.message + (f"; {self.hint}" if self.hint else "")


class EdgebuildError(Exception):
    """Base of all errors that edgebuild raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        hint = self.hint.replace("\n", "\n  ")
        return f"{self.message}\n  {hint}" if hint else self.message


class ManifestError(EdgebuildError):
    """The manifest or a file it names is wrong; carries every problem found."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(EdgebuildError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class StepError(EdgebuildError):
    """A step exited non-zero, was killed, or did not leave what it declared."""

    exit_code = 3


class StepTimeoutError(StepError):
    """A step ran longer than its limit and was killed."""

    exit_code = 7


class GateError(EdgebuildError):
    """An acceptance threshold was missed."""

    exit_code = 4


class ToolchainMissingError(EdgebuildError):
    """A toolchain that a target needs is absent or outside the supported range."""

    exit_code = 5


class DeviceError(EdgebuildError):
    """A device cannot be reached, or what it measured cannot be trusted."""

    exit_code = 6


class StoreError(EdgebuildError):
    """The content store is damaged, full or cannot be written."""

    exit_code = 8


class LostError(StoreError):
    """Bytes that a record names are not to be had: the action that made them has to run again."""


class VerificationError(EdgebuildError):
    """A package is not what its contents list says."""

    exit_code = 9
