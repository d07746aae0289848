"""Which results may do without their bytes: a remote cache has these, and nothing here reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.action import ActionInput
from edgebuild.cache import away
from edgebuild.run.forecast import forecast

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from edgebuild.action import Action, ActionKey, ActionResult
    from edgebuild.cache.store import Store
    from edgebuild.perform.context import Context


def spare(actions: Sequence[Action], context: Context, delivered: Iterable[tuple[str, str]]) -> None:
    """Let results be current without bytes that only a remote cache has, as far as nobody needs them.

    Where a remote cache is connected there is nothing to decide: bytes come when they are needed.

    Args:
        actions: What is to be brought up to date, in plan order.
        context: What the run shares; its cache is told.
        delivered: Action and role of what is put into the workspace, or what reports read.
    """
    cache = context.cache
    noted = away.keys(cache.store.root)
    if not noted or cache.elsewhere is not None:
        return
    cache.spared = noted
    found = forecast(actions, context)
    needed = set(delivered)
    again: set[ActionKey] = set()
    for action in reversed(actions):  # whoever reads an output comes before whoever makes it
        result = found[action.id].result
        if result is not None and result.key and _lacks(action, result, needed, cache.store):
            again.add(result.key)
            result = None
        if result is None:
            needed |= {(item.action, item.output) for item in action.inputs if isinstance(item, ActionInput)}
    known = {one.result.key for one in found.values() if one.result and one.result.key}
    cache.spared = (noted & known) - again


def _lacks(action: Action, result: ActionResult, needed: Collection[tuple[str, str]], store: Store) -> bool:
    """Whether something that is needed of a result is not here."""
    return any((action.id, one.role) in needed and not store.has_artifact(one) for one in result.artifacts)
