"""``edgebuild commands``: every command of the plan, ready to paste."""

from __future__ import annotations

import json
from dataclasses import dataclass

from edgebuild.plan.commands import comment, pasted, script
from edgebuild.plan.selection import select
from edgebuild.run.session import look_here, open_plan


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandsOptions:
    """What the user asked of ``commands``."""

    manifest: str
    words: tuple[str, ...]
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    json: bool


def commands(options: CommandsOptions) -> int:
    """Print the commands; needs neither the toolchains nor the model to be there."""
    plan = open_plan(options.manifest, look_here(), overrides=options.overrides, templates=options.templates)
    chosen = set(select(plan, options.words).actions)
    actions = [action for action in plan.actions if action.id in chosen]
    if options.json:
        rows = [
            {"id": a.id, "argv": list(pasted(plan, a)), "env": dict(a.env), "files": dict(a.files)}
            for a in actions
        ]
        print(json.dumps({"schema": 1, "commands": rows}, indent=2, ensure_ascii=False))
    else:
        print(comment(f"run from {plan.manifest.folder}; each block reads what the ones before it wrote"))
        print(script(plan, actions), end="")
    return 0
