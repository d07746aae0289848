"""What every action of a run shares, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgebuild.action import Action, ActionKey, ActionResult
    from edgebuild.cache.action_cache import ActionCache
    from edgebuild.environment.surroundings import Surroundings
    from edgebuild.memo import Memo
    from edgebuild.process.worker import Workers


class Listener(Protocol):
    """Whoever shows progress."""

    def waiting(self, action: Action, why: str) -> None:
        """The action has been waiting for a while, for something that is not its own."""

    def started(self, action: Action) -> None:
        """A process is about to start."""

    def progressed(self, action: Action, text: str) -> None:
        """The step said how far it is."""

    def finished(self, result: ActionResult) -> None:
        """The action ended, one way or another."""


class LastKeys(Protocol):
    """Which key each action had the last time."""

    def last(self, action: str) -> ActionKey | None:
        """Return the key of the action's last success."""

    def note(self, action: str, key: ActionKey) -> None:
        """Note a success."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What every action of a run shares.

    Attributes:
        cache: Records and content.
        memo: Remembered digests of the user's files.
        journal: Last keys in this workspace.
        identities: Identity of every tool the plan names.
        environ: The caller's environment; only declared variables reach a step.
        machine: Processor identity.
        folder: ``.edgebuild/<name>`` in the workspace.
        workspace: The manifest's folder.
        listener: Whoever shows progress.
        force: Ids of actions to run although a result is there.
        workers: What may serve edgebuild's own steps in place of plain processes.
        late: Texts of rendered files that are known only now; in no key, because what they say follows from
            what is in it, or is a measurement.
        surroundings: Where the processes of toolchains with an environment of their own run, by toolchain.
    """

    cache: ActionCache
    memo: Memo
    journal: LastKeys
    identities: Mapping[str, str]
    environ: Mapping[str, str]
    machine: str
    folder: Path
    workspace: Path
    listener: Listener
    force: frozenset[str] = field(default_factory=frozenset)
    workers: Workers | None = None
    late: Mapping[str, str] = field(default_factory=dict)
    surroundings: Mapping[str, Surroundings] = field(default_factory=dict)
