"""``edgebuild explain``: why an action would run, or why it would not, with old and new values."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.action import ActionKey
from edgebuild.errors import UsageError
from edgebuild.plan.selection import select
from edgebuild.run.elsewhere import to_look
from edgebuild.run.forecast import forecast
from edgebuild.run.placing import delivered
from edgebuild.run.session import Session, Silence, open_session
from edgebuild.run.spare import spare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgebuild.action import Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainOptions:
    """What the user asked of ``explain``."""

    manifest: str
    words: tuple[str, ...]
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    json: bool
    against: str
    remote: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherRun:
    """The keys of another run, in the place of this workspace's own last ones."""

    keys: Mapping[str, str]

    def last(self, action: str) -> ActionKey | None:
        """Return the key that the action had in the other run."""
        key = self.keys.get(action)
        return ActionKey(key) if key else None

    def note(self, action: str, key: ActionKey) -> None:
        """Note nothing: a look at another run changes nothing."""


def read_run(path: str) -> OtherRun:
    """Read the keys of a run from its ``report.json``, or from what ``run --json`` printed.

    Raises:
        UsageError: It is no such document.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        return OtherRun(keys={row["id"]: row["key"] for row in document["actions"] if row["key"]})
    except OSError as error:
        raise UsageError(f"--against {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        hint = "give the report.json of a run, or the output of `edgebuild run --json`"
        raise UsageError(f"--against {path}: this is no run", hint=hint) from error


def explain(options: ExplainOptions) -> int:
    """Print why each chosen action would run or would not."""
    session = open_session(options.manifest, overrides=options.overrides, templates=options.templates)
    chosen = select(session.plan, options.words)
    wanted = set(chosen.actions)
    actions = [action for action in session.plan.actions if action.id in wanted]
    context = session.context(Silence(), remote=to_look(options.remote), look=True)
    if options.against:
        context = replace(context, journal=read_run(options.against))
    spare(actions, context, delivered(session.plan))
    found = forecast(actions, context)
    shown = [found[action.id] for action in actions if action.id in chosen.asked]
    if options.json:
        rows = [{"id": f.id, "state": f.state, "why": [_row(session, f.id, r) for r in f.why]} for f in shown]
        print(json.dumps({"schema": 1, "actions": rows}, indent=2, ensure_ascii=False))
        return 0
    for one in shown:
        print("\n".join(reason_lines(session, one.id, one.state, one.why)))
    return 0


def reason_lines(session: Session, action: str, state: str, why: Sequence[Reason]) -> list[str]:
    """Return an action's state and its reasons, one per line, with manifest lines where known."""
    lines = [f"{action}: {state}"]
    return lines + [f"    {reason_text(located(session, action, reason))}" for reason in why]


def reason_text(reason: Reason) -> str:
    """Return one reason in words."""
    if reason.old or reason.new:
        text = f"{reason.kind} {reason.what}: {reason.old or '(none)'} -> {reason.new or '(none)'}"
    else:
        text = f"{reason.kind}: {reason.what}"
    return f"{text}  [{reason.where}]" if reason.where else text


def located(session: Session, action: str, reason: Reason) -> Reason:
    """Return the reason with the manifest line that sets the value, when one does."""
    positions = session.manifest.positions
    for word, path in session.plan.action(action).origin:
        if word == reason.what and path in positions:
            return replace(reason, where=session.manifest.where(path))
    return reason


def _row(session: Session, action: str, reason: Reason) -> dict[str, str]:
    found = located(session, action, reason)
    return {"kind": found.kind, "what": found.what, "old": found.old, "new": found.new, "where": found.where}
