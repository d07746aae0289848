"""One action, start to end: key -> look up -> restore, or execute -> check outputs -> record; and why."""

from __future__ import annotations

import contextlib
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgebuild import protocol
from edgebuild.action import ActionKey, ActionResult, Outcome, Reason, action_key, key_document
from edgebuild.cache import ActionCache, Record
from edgebuild.collect import check_log, collect_outputs, find
from edgebuild.digest import canonical_json
from edgebuild.errors import EdgebuildError, StepError, StepTimeoutError, ToolchainMissingError
from edgebuild.execute import Execution, execute, log_tail, stopping
from edgebuild.place import Inputs, changed_input, place_inputs, read_inputs
from edgebuild.store import remove_tree, store_error
from edgebuild.why import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgebuild.action import Action
    from edgebuild.journal import Journal
    from edgebuild.memo import Memo

PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent)

TOOLS_FILE = "tools.json"
"""Rendered file (below ``aux/``) that perform fills with the identities of the action's tools."""


class Listener(Protocol):
    """Whoever shows progress."""

    def started(self, action: Action) -> None:
        """A process is about to start."""

    def progressed(self, action: Action, text: str) -> None:
        """The step said how far it is."""

    def finished(self, result: ActionResult) -> None:
        """The action ended, one way or another."""


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
    """

    cache: ActionCache
    memo: Memo
    journal: Journal
    identities: Mapping[str, str]
    environ: Mapping[str, str]
    machine: str
    folder: Path
    workspace: Path
    listener: Listener
    force: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """An action whose inputs are known: its key, and what the key was made from."""

    key: ActionKey
    document: Mapping[str, Any]
    inputs: Inputs


def prepare(action: Action, upstream: Mapping[str, ActionResult], context: Context) -> Prepared:
    """Compute the action key.

    Raises:
        StepError: An input file cannot be read.
    """
    inputs = read_inputs(action, upstream, context.memo)
    passed = {name: context.environ[name] for name in action.env_pass if name in context.environ}
    document = key_document(action, inputs.digests, context.identities, passed, context.machine)
    return Prepared(key=action_key(document), document=document, inputs=inputs)


def find_result(action: Action, prepared: Prepared, context: Context) -> ActionResult | None:
    """Return the result of an earlier run of an equal action, or None."""
    record = context.cache.lookup(prepared.key)
    if record is None:
        return None
    current = context.journal.last(action.id) == prepared.key
    return ActionResult(
        id=action.id,
        outcome=Outcome.CURRENT if current else Outcome.CACHED,
        key=prepared.key,
        artifacts=record.artifacts,
        findings=record.findings,
        why=() if current else explain(action, prepared, context),
    )


def explain(action: Action, prepared: Prepared, context: Context) -> tuple[Reason, ...]:
    """Return what differs from the action's last success in this workspace."""
    last = context.journal.last(action.id)
    record = context.cache.peek(last) if last else None
    if last and record is None:
        return (Reason(kind="output", what="the result of its last run is gone from the store"),)
    return reasons(
        record.document if record else None,
        prepared.document,
        record.trees if record else {},
        prepared.inputs.trees,
    )


def perform(action: Action, upstream: Mapping[str, ActionResult], context: Context) -> ActionResult:
    """Bring one action to its result. Never raises for a failure of the step or the store.

    Args:
        action: The action.
        upstream: Results of the actions it needs, all of them successful.
        context: What the run shares.
    """
    result = _perform(action, upstream, context)
    context.listener.finished(result)
    return result


def _perform(action: Action, upstream: Mapping[str, ActionResult], context: Context) -> ActionResult:
    if stopping():
        return _skipped(action, "the run was stopped")
    key: ActionKey | None = None
    try:
        prepared = prepare(action, upstream, context)
        key = prepared.key
        found = None if action.id in context.force else find_result(action, prepared, context)
        if found is None:
            with context.cache.store.lock(f"{key[:32]}"):
                # Whoever held the lock may have done the same work meanwhile, in this run or another.
                found = None if action.id in context.force else find_result(action, prepared, context)
                if found is None:
                    found = _run(action, upstream, prepared, context)
        context.journal.note(action.id, key)
    except EdgebuildError as error:
        return _failed(action, key, error, context)
    except OSError as error:
        return _failed(action, key, store_error(error, context.folder), context)
    return found


def _run(
    action: Action, upstream: Mapping[str, ActionResult], prepared: Prepared, context: Context
) -> ActionResult:
    why = (
        (Reason(kind="forced", what="--force"),)
        if action.id in context.force
        else _why_run(action, prepared, context)
    )
    context.listener.started(action)
    log = log_path(action, context)
    with _turn(action, context), _scratch(action, prepared.key, context) as scratch:
        own = is_own(action)
        place_inputs(action, upstream, context.cache.store, scratch, link=own)
        _write_tools(action, scratch, context)
        execution = _attempt(action, scratch, log, context)
        check_log(action, log)
        changed = changed_input(action, prepared.inputs, context.memo)
        if changed:
            raise StepError(
                f"{action.id}: {changed} changed while the step read it; its result was discarded",
                hint="run again when nothing writes to that file",
            )
        artifacts = collect_outputs(action, scratch, context.cache.store)
        findings = find(action.findings, log)
        context.cache.record(
            Record(
                key=prepared.key,
                artifacts=artifacts,
                findings=findings,
                document=prepared.document,
                trees=prepared.inputs.trees,
                seconds=execution.seconds,
            )
        )
    return ActionResult(
        id=action.id,
        outcome=Outcome.RAN,
        key=prepared.key,
        artifacts=artifacts,
        findings=findings,
        seconds=execution.seconds,
        log=_relative(log, context),
        why=why,
    )


def _why_run(action: Action, prepared: Prepared, context: Context) -> tuple[Reason, ...]:
    why = explain(action, prepared, context)
    if any(reason.kind == "unchanged" for reason in why):
        return (Reason(kind="output", what="its stored output is missing or was damaged"),)
    return why


def _attempt(action: Action, scratch: Path, log: Path, context: Context) -> Execution:
    """Run the process, again when the toolchain is known to need it.

    Raises:
        StepError: The last attempt failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"# {action.id}\n# {shlex.join(action.argv)}\n", encoding="utf-8")
    execution = _start(action, scratch, log, context)
    for _ in range(action.retries):
        if execution.exit_code == 0 or execution.timed_out or execution.interrupted:
            break
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"# exit {execution.exit_code}: trying again\n")
        execution = _start(action, scratch, log, context)
    if execution.exit_code == 0 and not execution.timed_out:
        return execution
    raise _failure(action, execution, log, context)


def _start(action: Action, scratch: Path, log: Path, context: Context) -> Execution:
    def on_line(line: str) -> None:
        if line.startswith(protocol.PROGRESS_PREFIX):
            context.listener.progressed(action, line.removeprefix(protocol.PROGRESS_PREFIX))

    argv = [sys.executable, *action.argv[1:]] if action.argv[0] == "python" else list(action.argv)
    try:
        return execute(
            argv,
            cwd=scratch,
            env=environment(action, scratch, context.environ),
            log=log,
            timeout=action.timeout,
            on_line=on_line if is_own(action) else None,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise ToolchainMissingError(
            f"{action.id}: {argv[0]!r} cannot be started: {error.strerror}",
            hint="`edgebuild doctor` shows what was looked for and how to get it",
        ) from error


def environment(action: Action, scratch: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of an action's process.

    It starts from nothing: a home and a temporary directory inside the scratch directory, fixed locale,
    time zone and hash seed; then what the action declares. ``PATH`` is the caller's, and not in the key:
    which tool it finds is, through the tool's identity.
    """
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    env = {
        "PATH": environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": str(scratch / "tmp"),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": "315532800",
        "PYTHONHASHSEED": "0",
        "NO_COLOR": "1",
    }
    if is_own(action):
        # Found wherever edgebuild itself was imported from, and never shadowed by a file in scratch.
        env |= {"PYTHONPATH": PACKAGE_PARENT, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        env |= {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(temporary)}
        env |= {"ORT_DISABLE_TELEMETRY": "1"}
    env |= {name: environ[name] for name in action.env_pass if name in environ}
    return env | dict(action.env)


def is_own(action: Action) -> bool:
    """Whether the action is one of edgebuild's own step programs."""
    return action.argv[:2] == ("python", "-m") and action.argv[2].startswith("edgebuild.")


def log_path(action: Action, context: Context) -> Path:
    """Return where the action's log goes."""
    return context.folder / "logs" / f"{action.id.replace('/', '.')}.log"


def _failure(action: Action, execution: Execution, log: Path, context: Context) -> EdgebuildError:
    place = _relative(log, context)
    if execution.interrupted:
        return StepError(f"{action.id}: stopped; nothing of it was kept")
    if execution.timed_out:
        return StepTimeoutError(
            f"{action.id}: killed after its limit of {action.timeout:g} s",
            hint=f"raise `timeout:` of the target if the tool needs longer; its log: {place}",
        )
    said = _own_words(action, log)
    if is_own(action) and execution.exit_code == protocol.EXIT_MISSING:
        return ToolchainMissingError(f"{action.id}: {said or 'a package is missing'}")
    how = (
        f"killed by signal {-execution.exit_code}"
        if execution.exit_code < 0
        else f"exit code {execution.exit_code}"
    )
    if said:
        return StepError(f"{action.id}: {said}", hint=f"log: {place}")
    tail = log_tail(log)
    return StepError(f"{action.id}: {shlex.join(action.argv[:3])} ...: {how}", hint=f"log: {place}\n{tail}")


def _own_words(action: Action, log: Path) -> str:
    """Return the error line of one of our own steps."""
    if not is_own(action):
        return ""
    lines = [line for line in log_tail(log, 40).splitlines() if line.startswith(protocol.ERROR_PREFIX)]
    return lines[-1].removeprefix(protocol.ERROR_PREFIX) if lines else ""


def _failed(action: Action, key: ActionKey | None, error: EdgebuildError, context: Context) -> ActionResult:
    log = log_path(action, context)
    return ActionResult(
        id=action.id,
        outcome=Outcome.FAILED,
        key=key,
        message=str(error),
        log=_relative(log, context) if log.exists() else "",
        exit_code=error.exit_code,
    )


def _skipped(action: Action, why: str) -> ActionResult:
    return ActionResult(id=action.id, outcome=Outcome.SKIPPED, message=why)


def _write_tools(action: Action, scratch: Path, context: Context) -> None:
    """Fill in the tool identities where the action asks for them (a package says what made it)."""
    if any(name == TOOLS_FILE for name, _ in action.files):
        tools = {name: context.identities[name] for name in action.tools}
        (scratch / "aux" / TOOLS_FILE).write_text(canonical_json(tools), encoding="utf-8")


@contextlib.contextmanager
def _scratch(action: Action, key: ActionKey, context: Context) -> Iterator[Path]:
    """Give the action its directory: fresh, or for a resumable action the one an interrupted attempt left."""
    if not action.resumable:
        with context.cache.store.scratch() as folder:
            yield folder
        return
    folder = context.folder / "resume" / key
    for name in ("in", "aux", "out", "tmp"):
        if (folder / name).exists():
            remove_tree(folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    remove_tree(folder)


@contextlib.contextmanager
def _turn(action: Action, context: Context) -> Iterator[None]:
    """Let a measurement run alone on this machine; everything else may run side by side."""
    with context.cache.store.turn(exclusive=action.machine):
        yield


def _relative(path: Path, context: Context) -> str:
    with contextlib.suppress(ValueError):
        return path.relative_to(context.workspace).as_posix()
    return str(path)
