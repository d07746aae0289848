"""What a run had of its remote cache: counts, warnings, findings, and whether it is still worth asking."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.amounts import size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgebuild.action import ActionKey, Finding

PATIENCE = 3
"""Failures in a row after which a remote is left alone for the rest of the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteSummary:
    """What a run had of its remote cache.

    Attributes:
        url: The address, without credentials.
        mode: ``read`` or ``read-write``.
        records_hit: Records that were there.
        records_missed: Records that were not, or could not be had.
        blobs_down: Blobs downloaded and found to be sound.
        bytes_down: Their bytes.
        records_up: Records uploaded.
        blobs_up: Blobs uploaded.
        bytes_up: Their bytes.
        rejected: Downloads that were not what their name says.
        failures: Requests that failed.
        dropped: Results that were to be uploaded and were not.
        left_alone: It failed so often in a row that it was not asked any more.
        warnings: What a person should read, one of each kind.
        findings: (action id, finding) where the remote holds another result of an equal action.
    """

    url: str
    mode: str
    records_hit: int = 0
    records_missed: int = 0
    blobs_down: int = 0
    bytes_down: int = 0
    records_up: int = 0
    blobs_up: int = 0
    bytes_up: int = 0
    rejected: int = 0
    failures: int = 0
    dropped: int = 0
    left_alone: bool = False
    warnings: tuple[str, ...] = ()
    findings: tuple[tuple[str, Finding], ...] = ()

    def line(self) -> str:
        """Return it as one line for people."""
        words = [
            f"{self.records_hit} hit, {self.records_missed} missed",
            f"{self.blobs_down} files down ({size_text(self.bytes_down)})",
        ]
        if self.mode == "read-write":
            words.append(
                f"{self.records_up} results and {self.blobs_up} files up ({size_text(self.bytes_up)})"
            )
        words += [f"{self.rejected} damaged"] if self.rejected else []
        words += [f"{self.failures} failed"] if self.failures else []
        words += [f"{self.dropped} not uploaded"] if self.dropped else []
        words += [f"left alone after {PATIENCE} failures in a row"] if self.left_alone else []
        return f"remote {self.url}: {', '.join(words)}"

    def document(self) -> dict[str, Any]:
        """Return it as a JSON document; a finding is a row with the id of its action."""
        rows = [{"action": action_id, **asdict(finding)} for action_id, finding in self.findings]
        return {**asdict(self), "warnings": list(self.warnings), "findings": rows}


class Ledger:
    """Notes what happens with a remote; may be used from several threads."""

    def __init__(self, url: str, warn: Callable[[str], None]) -> None:
        self.url = url
        self._warn = warn
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._warnings: dict[str, str] = {}
        self._findings: dict[ActionKey, tuple[str, Finding]] = {}
        self._in_a_row = 0
        self._left_alone = False

    @property
    def left_alone(self) -> bool:
        """Whether the remote failed so often in a row that asking it only costs time."""
        return self._left_alone

    def count(self, **more: int) -> None:
        """Add to counts, named as in the summary."""
        with self._lock:
            for name, number in more.items():
                self._counts[name] = self._counts.get(name, 0) + number

    def answered(self) -> None:
        """Note that the remote gave an answer, whatever it was."""
        with self._lock:
            self._in_a_row = 0

    def failed(self, why: object) -> None:
        """Note that a request failed."""
        with self._lock:
            self._in_a_row += 1
            self._left_alone = self._left_alone or self._in_a_row >= PATIENCE
        self.count(failures=1)
        self.say("failed", f"{why}; what it does not give is built here")

    def rejected(self, what: object) -> None:
        """Note a download that was not what its name says."""
        self.count(rejected=1)
        self.say("damaged", f"{what}; discarded, and built here")

    def say(self, kind: str, text: str) -> None:
        """Warn, once of each kind."""
        text = f"remote cache {self.url}: {text}"
        with self._lock:
            if kind in self._warnings:
                return
            self._warnings[kind] = text
        self._warn(text)

    def find(self, key: ActionKey, action_id: str, finding: Finding) -> None:
        """Note a finding about an action, once per key."""
        with self._lock:
            self._findings.setdefault(key, (action_id, finding))

    def summary(self, mode: str, *, dropped: int) -> RemoteSummary:
        """Return what was noted so far; ``dropped`` counts the results that never had their turn."""
        with self._lock:
            counts = {**self._counts, "dropped": self._counts.get("dropped", 0) + dropped}
            return RemoteSummary(
                url=self.url,
                mode=mode,
                left_alone=self._left_alone,
                warnings=tuple(self._warnings.values()),
                findings=tuple(self._findings.values()),
                **counts,
            )
