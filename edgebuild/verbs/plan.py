"""``edgebuild plan``: every action, its state and why, as a table, JSON, DOT or Mermaid."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.action import Reason
from edgebuild.errors import UsageError
from edgebuild.plan.commands import pasted
from edgebuild.plan.selection import select
from edgebuild.run.elsewhere import to_look
from edgebuild.run.forecast import Forecast, forecast
from edgebuild.run.placing import delivered
from edgebuild.run.session import Session, Silence, open_session, refuse_same_place
from edgebuild.run.spare import spare
from edgebuild.verbs.explain import reason_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgebuild.action import Action
    from edgebuild.cache.store import Store
    from edgebuild.perform.context import Context
    from edgebuild.plan.selection import Selection
    from edgebuild.remote.tier import RemoteTier

PENDING = 10
"""Exit code of ``--exit-code`` when something would run."""

COLOURS = {"run": "#f6c667", "cached": "#9ad0ec", "current": "#b7e4c7", "skipped": "#dddddd"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOptions:
    """What the user asked of ``plan``."""

    manifests: tuple[str, ...]
    words: tuple[str, ...]
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    until: str
    force: bool
    form: str
    explain: bool
    exit_code: bool
    remote: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One manifest's plan, and the state of every action of it."""

    session: Session
    states: Mapping[str, Forecast]

    @property
    def pending(self) -> bool:
        """Whether something would run."""
        return any(state.state == "run" for state in self.states.values())


def plan(options: PlanOptions) -> int:
    """Print the plan; nothing is run and nothing is required to be installed.

    Raises:
        UsageError: Several manifests are to be one drawing.
    """
    if len(options.manifests) > 1 and options.form in {"dot", "mermaid"}:
        raise UsageError(f"--format {options.form} draws one manifest", hint="name one of them")
    found = []
    for path in options.manifests:
        session = open_session(path, overrides=options.overrides, templates=options.templates)
        left_out = session.unavailable(skip_all=True)
        chosen = select(session.plan, options.words, until=options.until)
        force = chosen.asked if options.force else frozenset[str]()
        found.append(planned(session, chosen, left_out, force=force, remote=to_look(options.remote)))
    refuse_same_place(one.session for one in found)
    print_plans(found, form=options.form, explain=options.explain)
    return PENDING if options.exit_code and any(one.pending for one in found) else 0


def planned(
    session: Session,
    chosen: Selection,
    left_out: Mapping[str, str],
    *,
    force: frozenset[str],
    remote: Callable[[Store], RemoteTier | None],
) -> Planned:
    """Return the state of every action of a plan."""
    context = session.context(Silence(), force=force, remote=remote, look=True)
    return Planned(session=session, states=_states(session, chosen, left_out, context))


def print_plans(found: Sequence[Planned], *, form: str, explain: bool) -> None:
    """Print plans; of several as text each below the name of its manifest, as JSON in one list."""
    if form == "json":
        rows = [_document(one.session, one.states) for one in found]
        whole = rows[0] if len(rows) == 1 else {"schema": 1, "plans": rows}
        print(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    for one in found:
        if form in {"dot", "mermaid"}:
            print((_dot if form == "dot" else _mermaid)(one.session, one.states))
            continue
        if len(found) > 1:
            print(f"{one.session.manifest.name}:")
        print(_table(one.states, explain=explain))


def _states(
    session: Session, chosen: Selection, left_out: Mapping[str, str], context: Context
) -> dict[str, Forecast]:
    """Return the state of every action of the plan, in plan order."""
    blocked = {a.id for a in session.plan.actions if a.targets and left_out.keys() >= set(a.targets)}
    selected = set(chosen.actions)
    wanted = [a for a in session.plan.actions if a.id in selected and a.id not in blocked]
    spare(wanted, context, delivered(session.plan))
    found = forecast(wanted, context)
    for action in session.plan.actions:
        if action.id not in found:
            absent = "; ".join(left_out[name] for name in action.targets if name in left_out)
            kind, what = ("unavailable", absent) if action.id in blocked else ("unselected", "not asked for")
            why = (Reason(kind=kind, what=what),)
            found[action.id] = Forecast(id=action.id, state="skipped", why=why)
    return {action.id: found[action.id] for action in session.plan.actions}


def _document(session: Session, states: Mapping[str, Forecast]) -> dict[str, Any]:
    rows = [_row(session, action, states[action.id]) for action in session.plan.actions]
    return {"schema": 1, "name": session.manifest.name, "actions": rows}


def _row(session: Session, action: Action, state: Forecast) -> dict[str, Any]:
    return {
        "id": action.id,
        "step": action.step,
        "targets": list(action.targets),
        "needs": list(action.needs),
        "state": state.state,
        "why": [
            {"kind": r.kind, "what": r.what, "old": r.old, "new": r.new, "where": r.where} for r in state.why
        ],
        "command": list(pasted(session.plan, action)),
    }


def _table(states: Mapping[str, Forecast], *, explain: bool) -> str:
    width = max(len(name) for name in states) if states else 0
    lines = []
    for name, state in states.items():
        first = reason_text(state.why[0]) if state.why else ""
        lines.append(f"{state.state:8} {name:{width}}  {first}".rstrip())
        if explain:
            lines += [f"{'':9}{'':{width}}  {reason_text(reason)}" for reason in state.why[1:]]
    total = {s: sum(1 for state in states.values() if state.state == s) for s in COLOURS}
    lines.append(", ".join(f"{number} {name}" for name, number in total.items() if number))
    return "\n".join(lines)


def _dot(session: Session, states: Mapping[str, Forecast]) -> str:
    lines = ["digraph edgebuild {", "  rankdir=LR;", '  node [shape=box, style="rounded,filled"];']
    for action in session.plan.actions:
        state = states[action.id].state
        look = f"fillcolor={json.dumps(COLOURS[state])}, tooltip={json.dumps(state)}"
        lines.append(f"  {json.dumps(action.id)} [{look}];")
        lines += [f"  {json.dumps(need)} -> {json.dumps(action.id)};" for need in action.needs]
    return "\n".join([*lines, "}"])


def _mermaid(session: Session, states: Mapping[str, Forecast]) -> str:
    names = {action.id: f"n{index}" for index, action in enumerate(session.plan.actions)}
    lines = ["flowchart LR"]
    for action in session.plan.actions:
        label = re.sub(r'["<>]', "", action.id)
        lines.append(f'  {names[action.id]}["{label}"]:::{states[action.id].state}')
        lines += [f"  {names[need]} --> {names[action.id]}" for need in action.needs]
    lines += [f"  classDef {state} fill:{colour},color:#222" for state, colour in COLOURS.items()]
    return "\n".join(lines)
