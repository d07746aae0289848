"""One plan out of several that differ in a setting: what is equal in all of them is there once. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgebuild.action_input import ActionInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgebuild.action import Action
    from edgebuild.plan.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """The actions of several plans.

    Attributes:
        actions: In an order they can run in. One that is equal in all plans keeps its id; one that is not has
            the label of its plan before it: ``16-images/calibrate``.
        names: Label and id in that plan -> id here.
    """

    actions: tuple[Action, ...]
    names: Mapping[tuple[str, str], str]


def combine(plans: Mapping[str, Plan], wanted: Iterable[str]) -> Sweep:
    """Put plans together.

    Args:
        plans: By label; each has the wanted actions.
        wanted: Ids to bring up to date; what they need comes with them.

    Returns:
        The actions of all plans. Ids are no part of an action's key: results are shared with ordinary runs.
    """
    roots = tuple(wanted)
    first = next(iter(plans.values()))
    shared = _shared(plans, roots)
    actions: dict[str, Action] = {}
    names: dict[tuple[str, str], str] = {}
    for name in _needed(first, roots):
        if name in shared:
            actions[name] = first.action(name)
    for label, plan in plans.items():
        for name in _needed(plan, roots):
            known = name if name in shared else f"{label}/{name}"
            names[label, name] = known
            if known not in actions:
                actions[known] = _renamed(plan.action(name), known, label, shared)
    return Sweep(actions=tuple(actions.values()), names=names)


def _shared(plans: Mapping[str, Plan], roots: Iterable[str]) -> frozenset[str]:
    """Return the ids that mean the same in all plans: equal actions that need only such."""
    first, *others = plans.values()
    found: set[str] = set()
    for name in _needed(first, roots):
        action = replace(first.action(name), targets=())
        same = all(_has(plan, name) and replace(plan.action(name), targets=()) == action for plan in others)
        if same and found.issuperset(action.needs):
            found.add(name)
    return frozenset(found)


def _has(plan: Plan, name: str) -> bool:
    return any(action.id == name for action in plan.actions)


def _renamed(action: Action, name: str, label: str, shared: frozenset[str]) -> Action:
    inputs = tuple(
        replace(item, action=f"{label}/{item.action}")
        if isinstance(item, ActionInput) and item.action not in shared
        else item
        for item in action.inputs
    )
    return replace(action, id=name, inputs=inputs)


def _needed(plan: Plan, roots: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of the roots and of all that they need, in plan order."""
    found = plan.with_needs(roots)
    return tuple(action.id for action in plan.actions if action.id in found)
