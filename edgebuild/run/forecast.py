"""What a run would do, without doing it: the state of every action, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from edgebuild.action import ActionInput, ActionResult, FindingsInput, Outcome, Reason
from edgebuild.errors import StepError
from edgebuild.perform.earlier import again, explain, find_result, prepare
from edgebuild.perform.why import reasons

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgebuild.action import Action
    from edgebuild.perform.context import Context

State = Literal["run", "cached", "current", "skipped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What would become of one action.

    Attributes:
        state: ``run``: its process would start (it may still be cut off when what it waits for comes out
            equal); ``cached``: an earlier result would be used; ``current``: the same result as last time
            here; ``skipped``: not selected or its toolchain is absent.
        result: The result that would be used, when there is one.
        why: Reasons; one of kind ``unchanged`` says why it would not run.
    """

    id: str
    state: State
    why: tuple[Reason, ...]
    result: ActionResult | None = None


def forecast(actions: Sequence[Action], context: Context) -> dict[str, Forecast]:
    """Return what would become of each action.

    Args:
        actions: In plan order, with everything they need among them.
        context: What a run would share.
    """
    found: dict[str, Forecast] = {}
    results: dict[str, ActionResult] = {}
    for action in actions:
        found[action.id] = _one(action, results, found, context)
    return found


def _one(
    action: Action, results: dict[str, ActionResult], found: Mapping[str, Forecast], context: Context
) -> Forecast:
    waits = [name for name in action.needs if name not in results]
    if waits:
        anyway = _anyway(action, results, context)
        why = (_waiting(waits, {} if anyway else found), *anyway)
        return Forecast(id=action.id, state="run", why=why)
    try:
        prepared = prepare(action, results, context)
    except StepError as error:
        return Forecast(id=action.id, state="run", why=(Reason(kind="input", what=error.message),))
    result = None if action.id in context.force else find_result(action, prepared, context)
    if result is None:
        why = explain(action, prepared, context)
        if action.id in context.force:
            why = (Reason(kind="forced", what="--force"),)
        elif why[0].kind == "unchanged":
            why = (again(action, prepared, context),)
        return Forecast(id=action.id, state="run", why=why)
    results[action.id] = result
    if result.outcome is Outcome.CURRENT:
        unchanged = Reason(kind="unchanged", what="nothing that can change its output")
        return Forecast(id=action.id, state="current", why=(unchanged,), result=result)
    return Forecast(id=action.id, state="cached", why=result.why, result=result)


def _anyway(action: Action, results: Mapping[str, ActionResult], context: Context) -> tuple[Reason, ...]:
    """Return what is different already, whatever those leave that have to run first."""
    last = context.journal.last(action.id)
    record = context.cache.known(last) if last else None
    if record is None:
        return ()
    pending = {i.role for i in action.inputs if isinstance(i, ActionInput) and i.action not in results}
    heard = [i for i in action.inputs if isinstance(i, FindingsInput)]
    pending |= {i.role for i in heard if not set(i.actions) <= results.keys()}
    known = tuple(item for item in action.inputs if item.role not in pending)
    try:
        prepared = prepare(replace(action, inputs=known), results, context)
    except StepError as error:
        return (Reason(kind="input", what=error.message),)
    inputs = {role: row for role, row in record.document["inputs"].items() if role not in pending}
    why = reasons(
        {**record.document, "inputs": inputs},
        prepared.document,
        record.trees,
        prepared.inputs.trees,
        (record.texts, dict(action.files)),
    )
    return tuple(reason for reason in why if reason.kind != "unchanged")


def _waiting(waits: list[str], found: Mapping[str, Forecast]) -> Reason:
    """Say what has to run first; when that only runs again, it may come out equal and end there.

    Args:
        waits: What has to run first.
        found: What would become of it; empty where that makes no difference.
    """
    again = found and all(reason.kind != "new" for name in waits for reason in found[name].why)
    cut = "; may be cut off" if again else ""
    return Reason(kind="input", what=f"{', '.join(waits)} would run first{cut}")
