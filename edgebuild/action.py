"""Actions: one fully rendered unit of work as a value, and what came of it.

An action runs in a scratch directory of its own. Its inputs lie under ``in/<role>/``, its rendered
files under ``aux/``, and it writes its outputs under ``out/``; its argv uses these relative paths only.
So the argv names no machine, and its text can be part of the action key as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NewType

from edgebuild.action_input import ActionInput, FileInput, FindingsInput, Input, TreeInput

if TYPE_CHECKING:
    from edgebuild.digest import Digest

__all__ = [
    "Action",
    "ActionInput",
    "ActionKey",
    "ActionResult",
    "Artifact",
    "Evidence",
    "FileInput",
    "Finding",
    "FindingsInput",
    "Input",
    "LogRule",
    "Outcome",
    "Output",
    "Reason",
    "Success",
    "TreeInput",
]

ActionKey = NewType("ActionKey", str)
"""64 hexadecimal digits: the SHA-256 of everything that can change the action's output bytes."""

Evidence = Literal["host", "emulator", "proxy", "device"]
"""Where a metric was measured (design: host = the artifact itself, run here; proxy = another stands in)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A file or tree that the action must leave, complete, when it exits 0.

    Attributes:
        role: What consumers call it.
        path: Relative POSIX path below ``out/`` (a glob is not allowed).
        tree: The output is a directory.
        magic: Bytes, in hexadecimal, that the file must start with, or an empty string.
        holds: Files that the directory must hold, relative POSIX paths.
        matches: Regular expression that the file's text must match somewhere, or an empty string.
    """

    role: str
    path: str
    tree: bool = False
    magic: str = ""
    holds: tuple[str, ...] = ()
    matches: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something a tool said that a person should know: a rule of the toolchain matched its log."""

    id: str
    level: Literal["note", "warning", "error"]
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogRule:
    """A regular expression over a tool's log.

    Attributes:
        pattern: Regular expression, searched per line; empty: it always holds.
        id: Short stable name, such as ``cpu-fallback``.
        level: How bad a match is.
        hint: What to do about it.
        message: What is said instead of the line, or empty.
        options: Option -> values; the rule is one of targets that have one of each.
    """

    pattern: str
    id: str
    level: Literal["note", "warning", "error"] = "warning"
    hint: str = ""
    message: str = ""
    options: tuple[tuple[str, tuple[object, ...]], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Success:
    """What a log must and must not contain for the action to count as done (exit code 0 is not proof)."""

    log_has: tuple[str, ...] = ()
    log_lacks: tuple[str, ...] = ()


OWN = "edgebuild."
"""What the names of edgebuild's own step programs begin with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """One process to run, as a value. Equal actions do equal work; ids and labels are not identity.

    Attributes:
        id: ``<target>/<step>``, or ``<step>[@<variant>]`` when targets share it.
        step: Step name, such as ``export``.
        argv: The command; ``python`` as the first word is the interpreter that runs edgebuild, or that of
            the environment.
        env: Variables set for the process, on top of the fixed minimal environment.
        env_pass: Names of variables taken from the caller's environment when set (part of the key).
        env_locate: Likewise, of variables that only say where things are (not part of the key: the tools'
            identities stand for what is there).
        environment: Toolchain in whose own environment the process runs, or, for a step of ours, that its
            runtime file runs in; empty: the caller's. ``environment:<toolchain>`` is then among the tools.
        inputs: In the order of the roles.
        outputs: In the order of the roles.
        files: Rendered auxiliary files: path below ``aux/`` -> text.
        tools: Tools whose identity is part of the key: ``toolchain/tool`` names, or for edgebuild's own
            steps ``distribution:<name>`` and ``code:<module>``.
        machine: The output depends on this machine's processor (a benchmark does).
        resumable: An interrupted attempt's scratch directory is kept and used again.
        rejects: Patterns of the findings that reject a target: a log that was not read with all of them is
            not believed.
        timeout: Seconds, or None; it cannot change the bytes, so it is not part of the key.
        retries: Further attempts after a failure, for tools known to need one.
        targets: Names of the targets it is for.
        origin: (option or role, dotted manifest path) pairs, so that an explanation can name the line.
    """

    id: str = field(compare=False)
    step: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    env_pass: tuple[str, ...] = ()
    env_locate: tuple[str, ...] = field(default=(), compare=False)
    environment: str = ""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...]
    files: tuple[tuple[str, str], ...] = ()
    tools: tuple[str, ...] = ()
    machine: bool = False
    resumable: bool = field(default=False, compare=False)
    success: Success = field(default_factory=Success)
    findings: tuple[LogRule, ...] = field(default=(), compare=False)
    rejects: tuple[str, ...] = field(default=(), compare=False)
    timeout: float | None = field(default=None, compare=False)
    retries: int = field(default=0, compare=False)
    targets: tuple[str, ...] = field(default=(), compare=False)
    origin: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the actions whose outputs or findings this one reads, each once, in order."""
        named = [i.action for i in self.inputs if isinstance(i, ActionInput)]
        heard = [name for i in self.inputs if isinstance(i, FindingsInput) for name in i.actions]
        return tuple(dict.fromkeys([*named, *heard]))

    @property
    def program(self) -> str:
        """The module that it runs when it is a step program of edgebuild's own, else nothing."""
        module = self.argv[2] if self.argv[:2] == ("python", "-m") and len(self.argv) > 2 else ""
        return module if module.startswith(OWN) else ""

    def output(self, role: str) -> Output:
        """Return the output with this role.

        Raises:
            KeyError: There is none; a plan is checked for that, so it is a bug.
        """
        for output in self.outputs:
            if output.role == role:
                return output
        raise KeyError(f"{self.id} has no output {role!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A file or tree that an action left, by content.

    Attributes:
        role: Output role.
        digest: Of the content; for a tree, of its listing.
        size: Bytes in all.
        entries: For a tree its (relative path, digest, size) rows, sorted; empty for a file.
    """

    role: str
    digest: Digest
    size: int
    entries: tuple[tuple[str, Digest, int], ...] = ()
    tree: bool = False


class Outcome(StrEnum):
    """What happened to an action in a run."""

    RAN = "ran"
    CACHED = "cached"
    CURRENT = "current"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionResult:
    """What came of one action in one run.

    Attributes:
        id: The action's id.
        outcome: What happened.
        key: The action key, or None when it never got one (its inputs were missing).
        artifacts: Its outputs by content; empty unless it succeeded.
        seconds: Wall time of the process in this run, 0 when none ran.
        message: Why it failed or was skipped; empty otherwise.
        log: Path of the log, relative to the workspace, or empty.
        exit_code: edgebuild's exit code for this failure, 0 otherwise.
        why: Reasons, for ``--explain`` and the report.
    """

    id: str
    outcome: Outcome
    key: ActionKey | None = None
    artifacts: tuple[Artifact, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    message: str = ""
    log: str = ""
    exit_code: int = 0
    why: tuple[Reason, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether its outputs are there, made now or before."""
        return self.outcome not in {Outcome.FAILED, Outcome.SKIPPED}

    def artifact(self, role: str) -> Artifact:
        """Return the artifact of an output role.

        Raises:
            KeyError: The action left none; plans are checked for that, so it is a bug.
        """
        for artifact in self.artifacts:
            if artifact.role == role:
                return artifact
        raise KeyError(f"{self.id} left no {role!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One reason why an action runs, or does not.

    Attributes:
        kind: ``new``, ``input``, ``command``, ``file``, ``option``, ``tool``, ``environment``, ``code``,
            ``machine``, ``output``, ``rule``, ``forced``, ``unchanged`` or ``unavailable``.
        what: The thing that differs: a path, an option, a tool.
        old: Its former value, in words; empty when there was none.
        new: Its value now; empty when it is gone.
        where: ``file:line`` of the manifest where the value is set, when it is set there.
    """

    kind: str
    what: str
    old: str = ""
    new: str = ""
    where: str = ""
