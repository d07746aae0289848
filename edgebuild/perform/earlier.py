"""An action's key, what an earlier run left under it, and why that does not do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.action import ActionKey, ActionResult, Outcome, Reason
from edgebuild.perform.collect import as_ruled
from edgebuild.perform.key import action_key, key_document
from edgebuild.perform.place import Inputs, read_inputs
from edgebuild.perform.why import reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.action import Action
    from edgebuild.cache.action_cache import Record
    from edgebuild.perform.context import Context


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
    if record is None or _unread(action, record):
        return None
    context.cache.share(record, action.id, repeatable=not action.machine)
    current = context.journal.last(action.id) == prepared.key
    return ActionResult(
        id=action.id,
        outcome=Outcome.CURRENT if current else Outcome.CACHED,
        key=prepared.key,
        artifacts=record.artifacts,
        findings=as_ruled(record.findings, action.findings),
        why=() if current else explain(action, prepared, context),
    )


def _unread(action: Action, record: Record) -> tuple[str, ...]:
    """Return the rules that reject and were not there when the log of a result was read."""
    return tuple(pattern for pattern in action.rejects if pattern not in record.rules)


def again(action: Action, prepared: Prepared, context: Context) -> Reason:
    """Return why an action runs although nothing has changed that could change its output."""
    record = context.cache.peek(prepared.key)
    new = _unread(action, record) if record is not None else ()
    if new:
        return Reason(kind="rule", what=f"a finding rejects now that was not looked for: {new[0]!r}")
    return Reason(kind="output", what=context.cache.lost(prepared.key))


def explain(action: Action, prepared: Prepared, context: Context) -> tuple[Reason, ...]:
    """Return what differs from the action's last success in this workspace."""
    last = context.journal.last(action.id)
    record = context.cache.known(last) if last else None
    if last and record is None:
        return (Reason(kind="output", what="the result of its last run is gone from the store"),)
    return reasons(
        record.document if record else None,
        prepared.document,
        record.trees if record else {},
        prepared.inputs.trees,
        (record.texts if record else {}, dict(action.files)),
    )
