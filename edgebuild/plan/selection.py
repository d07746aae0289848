"""Which actions the user means: targets, ``target/step``, steps, globs, ``--until STEP``. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from edgebuild.errors import UsageError
from edgebuild.plan.plan import STEP_ORDER
from edgebuild.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgebuild.action import Action
    from edgebuild.plan.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What to bring up to date.

    Attributes:
        actions: Ids of everything to do, in plan order, with all they need.
        asked: Ids that the user named (all of them when nothing was named): ``--force`` means these.
        targets: Names of the targets whose verdict is among them: the run says what came of these.
    """

    actions: tuple[str, ...]
    asked: frozenset[str]
    targets: tuple[str, ...]


def select(
    plan: Plan, words: Sequence[str] = (), *, until: str = "", without: Iterable[str] = ()
) -> Selection:
    """Resolve what the user asked for.

    Args:
        plan: The plan.
        words: Targets, ``target/step``, shared action ids, steps, globs, tags (``tag:NAME``).
        until: Last step of the chain to do.
        without: Names of targets to leave out.

    Raises:
        UsageError: A word matches nothing; the message suggests what exists.
    """
    left_out = set(without)
    offered = [a for a in plan.actions if not a.targets or set(a.targets) - left_out]
    asked = _asked(plan, words, left_out) & {a.id for a in offered}
    if until and asked:  # nothing, when all of it is left out
        within = plan.with_needs(asked)
        asked = _until(plan, [a for a in offered if a.id in within], until)
    wanted = plan.with_needs(asked)
    targets = tuple(t.name for t in plan.targets if t.name not in left_out and t.verdict in wanted)
    return Selection(
        actions=tuple(a.id for a in plan.actions if a.id in wanted), asked=frozenset(asked), targets=targets
    )


def own_targets(plan: Plan, chosen: Selection) -> frozenset[str]:
    """Return the targets of which something is chosen that is theirs alone: they need their tools."""
    own = {name.partition("/")[0] for name in chosen.actions if "/" in name}
    return frozenset(t.name for t in plan.targets if t.name in own)


def names(plan: Plan) -> tuple[str, ...]:
    """Return every word that selects something, for messages."""
    ids = [a.id for a in plan.actions]
    steps = [a.step for a in plan.actions]
    through = [f"{target}/{a.step}" for a in plan.actions for target in a.targets]
    return tuple(dict.fromkeys([*(t.name for t in plan.targets), *ids, *steps, *through]))


def _asked(plan: Plan, words: Sequence[str], left_out: set[str]) -> set[str]:
    if not words:
        return {a.id for a in plan.actions}
    asked: set[str] = set()
    for word in words:
        found = _matching(plan, word, left_out)
        if not found and not (left_out and _matching(plan, word)):
            targets = ", ".join(t.name for t in plan.targets)
            near = did_you_mean(word, names(plan), otherwise=f"targets: {targets}")
            raise UsageError(
                f"nothing in the plan is called {word!r}", hint=f"{near}; `edgebuild plan` lists every action"
            )
        asked |= found
    return asked


def _matching(plan: Plan, word: str, left_out: Iterable[str] = ()) -> set[str]:
    """Return what a word means; of targets that are left out, nothing by their names."""
    if "/" in word and any(word == a.id for a in plan.actions):
        return {word}  # not also a shared step that happens to be for this target
    found: set[str] = set()
    for target in plan.targets:
        tags = next(t.tags for t in plan.manifest.targets if t.name == target.name)
        named = fnmatchcase(target.name, word) or (word.startswith("tag:") and word[4:] in tags)
        if named and target.name not in left_out:
            found |= set(target.actions)
    for action in plan.actions:
        own = [name for name in action.targets if name not in left_out]
        spellings = [action.id, action.step, *(f"{name}/{action.step}" for name in own)]
        if any(fnmatchcase(spelling, word) for spelling in spellings):
            found.add(action.id)
    return found


def _until(plan: Plan, offered: Sequence[Action], until: str) -> set[str]:
    """Return what of the offered actions is not behind the step where the user wants to stop."""
    early = {a.id for a in offered if _rank(a.step) <= _rank(until)}
    if until in STEP_ORDER:
        return early
    last = {a.id for a in offered if a.step == until}
    if not last:
        known = tuple(dict.fromkeys(a.step for a in plan.actions))
        hint = did_you_mean(until, known, otherwise=f"steps: {', '.join(known)}")
        raise UsageError(f"there is no step {until!r}", hint=hint)
    # A vendor's steps share one place in the chain: what reads the chosen one comes after it.
    return {name for name in early if name in last or not plan.with_needs([name]) & last}


def _rank(step: str) -> int:
    return STEP_ORDER.index(step if step in STEP_ORDER else "compile")
