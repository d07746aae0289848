"""One action, start to end: key -> look up -> restore, or execute -> check outputs -> record."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from edgebuild.action import ActionResult, Finding, Outcome, Reason
from edgebuild.cache.action_cache import Record
from edgebuild.cache.store import remove_tree, store_error
from edgebuild.digest import PREFIX, canonical_json, digest_text
from edgebuild.errors import EdgebuildError, StepError
from edgebuild.lock import GaveUpError
from edgebuild.perform.attempt import TEMPORARY, Attempted, attempt, crashed, failed
from edgebuild.perform.collect import check_log, collect_outputs, find, read_log, said_findings
from edgebuild.perform.earlier import Prepared, again, explain, find_result, prepare
from edgebuild.perform.patience import MEASUREMENT, OTHER_STEPS, SAME_LOG, SAME_WORK, at_work, patience
from edgebuild.perform.place import changed_input, place_inputs
from edgebuild.process.execute import stopping
from edgebuild.process.orphans import kill_inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgebuild.action import Action, ActionKey, Artifact
    from edgebuild.perform.context import Context

LAID_OUT = frozenset({"in", "aux", "out", TEMPORARY})
"""What of a resumable action's directory is made anew for every attempt."""

SEEN_INSIDE = ("artifact", "runtime")
"""Inputs of a step of ours that a runtime file in a container sees."""

LAST_WORDS = 15
"""How many lines of a log end the message of a step that exited with 0 and did not do its work."""

TOOLS_FILE = "tools.json"
"""Rendered file (below ``aux/``) that perform fills with the identities of the action's tools."""


def perform(action: Action, upstream: Mapping[str, ActionResult], context: Context) -> ActionResult:
    """Bring one action to its result. Never raises for a failure of the step or the store.

    Args:
        action: The action.
        upstream: Results of the actions it needs, all of them successful.
        context: What the run shares.
    """
    try:
        result = _perform(action, upstream, context)
    except Exception as error:  # noqa: BLE001 - a bug of ours must not look like a skipped action
        result = ended_by(error, action, context)
    context.listener.finished(result)
    return result


def ended_by(error: Exception, action: Action, context: Context) -> ActionResult:
    """Return the result of an action that an error ended with no step running; a bug is an error too."""
    if isinstance(error, GaveUpError):
        return _skipped(action)
    if isinstance(error, EdgebuildError | OSError):
        return failed(action, _as_error(error, context))
    log = log_path(action, context)
    return crashed(action, error, log, _relative(log, context))


def _perform(action: Action, upstream: Mapping[str, ActionResult], context: Context) -> ActionResult:
    if stopping():
        return _skipped(action)
    key: ActionKey | None = None
    try:
        prepared = prepare(action, upstream, context)
        key = prepared.key
        found = _known(action, prepared, context)
        if found is None:
            with (
                context.cache.store.lock(key[:32], give_up=patience(action, context, SAME_WORK)),
                # Another run in this workspace, with other options, writes to the same log.
                context.cache.store.lock(
                    _log_lock(action, context), give_up=patience(action, context, SAME_LOG)
                ),
            ):
                # Whoever held the lock may have done the same work meanwhile, in this run or another.
                found = _known(action, prepared, context) or _run(action, upstream, prepared, context)
        if found.outcome is not Outcome.FAILED:
            context.journal.note(action.id, key)
    except (EdgebuildError, OSError) as error:
        return replace(ended_by(error, action, context), key=key)
    return found


def _known(action: Action, prepared: Prepared, context: Context) -> ActionResult | None:
    return None if action.id in context.force else find_result(action, prepared, context)


def _run(
    action: Action, upstream: Mapping[str, ActionResult], prepared: Prepared, context: Context
) -> ActionResult:
    why = _why_run(action, prepared, context)
    log = log_path(action, context)
    log.unlink(missing_ok=True)
    others = OTHER_STEPS if action.machine else MEASUREMENT
    try:
        with (
            context.cache.store.turn(exclusive=action.machine, give_up=patience(action, context, others)),
            at_work(action),
            _scratch(action, prepared.key, context) as scratch,
        ):
            context.listener.started(action)
            done = _attempt(action, upstream, scratch, context)
            record = _record(action, prepared, done, scratch, context)
    except (EdgebuildError, OSError) as error:
        wrong = _as_error(error, context)
        return replace(failed(action, wrong, log, _relative(log, context)), key=prepared.key, why=why)
    return ActionResult(
        id=action.id,
        outcome=Outcome.RAN,
        key=prepared.key,
        artifacts=record.artifacts,
        findings=record.findings,
        seconds=done.seconds,
        log=_relative(log, context),
        why=why,
    )


def _attempt(
    action: Action, upstream: Mapping[str, ActionResult], scratch: Path, context: Context
) -> Attempted:
    surroundings = context.surroundings.get(action.environment)
    copied = SEEN_INSIDE if surroundings is not None and surroundings.container is not None else ()

    def lay_out() -> None:
        for child in scratch.iterdir():
            if child.name in LAID_OUT or not action.resumable:
                if child.is_dir() and not child.is_symlink():
                    remove_tree(child)
                else:
                    child.unlink()
        place_inputs(action, upstream, context.cache.store, scratch, link=bool(action.program), copied=copied)
        _write_tools(action, scratch, context)

    return attempt(
        action,
        scratch=scratch,
        log=log_path(action, context),
        environ=context.environ,
        lay_out=lay_out,
        progress=lambda text: context.listener.progressed(action, text),
        surroundings=surroundings,
        workers=context.workers,
    )


def _record(action: Action, prepared: Prepared, done: Attempted, scratch: Path, context: Context) -> Record:
    """Prove that an action did what it says, keep what it left, and write the record last of all.

    Raises:
        StepError: Its log or an output contradicts success, or an input changed meanwhile.
        StoreError: The store cannot take it.
    """
    text = read_log(log_path(action, context), done.said)
    with _last_words(text):
        check_log(action, text)
    changed = changed_input(action, prepared.inputs, context.memo)
    if changed:
        raise StepError(
            f"{action.id}: {changed} changed while the step read it; its result was discarded",
            hint="run again when nothing writes to that file",
        )
    with _last_words(text):
        artifacts = collect_outputs(action, scratch, context.cache.store)
    said = (*find(action.findings, text), *(said_findings(text) if action.program else ()))
    record = Record(
        key=prepared.key,
        artifacts=artifacts,
        findings=(*said, *_other_bytes(action, prepared, artifacts, context)),
        document=prepared.document,
        trees=prepared.inputs.trees,
        texts=dict(action.files),
        seconds=done.seconds,
        rules=tuple(dict.fromkeys(rule.pattern for rule in action.findings)),
    )
    context.cache.record(record, action.id, repeatable=not action.machine)
    return record


@contextlib.contextmanager
def _last_words(text: str) -> Iterator[None]:
    """Have an error end with what the process said last: it exited with 0, so nothing else says why."""
    try:
        yield
    except StepError as error:
        error.hint = "\n".join(filter(None, [error.hint, *text.splitlines()[-LAST_WORDS:]]))
        raise


def _other_bytes(
    action: Action, prepared: Prepared, artifacts: tuple[Artifact, ...], context: Context
) -> Iterator[Finding]:
    """Yield a finding when an equal action once left other bytes: the step is not reproducible."""
    before = context.cache.peek(prepared.key)
    if before is None or action.machine:  # no two measurements are equal
        return
    changed = [new.role for new, old in zip(artifacts, before.artifacts, strict=True) if new != old]
    if changed:
        yield Finding(
            id="not-reproducible",
            level="note",
            message=f"{action.id}: {', '.join(changed)} came out different from an equal earlier run",
            hint="the key holds everything declared; something undeclared, or chance, changes the bytes",
        )


def _as_error(error: EdgebuildError | OSError, context: Context) -> EdgebuildError:
    if isinstance(error, EdgebuildError):
        return error
    return store_error(error, context.folder, root=context.cache.store.root)


def _why_run(action: Action, prepared: Prepared, context: Context) -> tuple[Reason, ...]:
    if action.id in context.force:
        return (Reason(kind="forced", what="--force"),)
    why = explain(action, prepared, context)
    if any(reason.kind == "unchanged" for reason in why):
        return (again(action, prepared, context),)
    return why


def log_path(action: Action, context: Context) -> Path:
    """Return where the action's log goes."""
    return context.folder / "logs" / f"{action.id.replace('/', '.')}.log"


def _log_lock(action: Action, context: Context) -> str:
    return f"log-{digest_text(str(log_path(action, context))).removeprefix(PREFIX)[:32]}"


def _skipped(action: Action) -> ActionResult:
    return ActionResult(id=action.id, outcome=Outcome.SKIPPED, message="the run was stopped")


def _write_tools(action: Action, scratch: Path, context: Context) -> None:
    """Fill in the tool identities where the action asks for them (a package says what made it)."""
    if any(name == TOOLS_FILE for name, _ in action.files):
        tools = {name: context.identities[name] for name in action.tools}
        (scratch / "aux" / TOOLS_FILE).write_text(canonical_json(tools), encoding="utf-8")
    for name in context.late.keys() & dict(action.files).keys():
        (scratch / "aux" / name).write_text(context.late[name], encoding="utf-8")


@contextlib.contextmanager
def _scratch(action: Action, key: ActionKey, context: Context) -> Iterator[Path]:
    """Give the action its directory: fresh, or for a resumable action the one an interrupted attempt left."""
    if not action.resumable:
        with context.cache.store.scratch() as folder:
            yield folder
        return
    folder = context.folder / "resume" / key
    folder.mkdir(parents=True, exist_ok=True)
    kill_inside(folder)  # a run that was killed may have left the process going that it had started here
    yield folder
    remove_tree(folder)  # only when nothing went wrong: an error is raised where the directory is used


def _relative(path: Path, context: Context) -> str:
    with contextlib.suppress(ValueError):
        return path.relative_to(context.workspace).as_posix()
    return str(path)
