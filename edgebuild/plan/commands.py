"""The commands of a plan as a person can paste them: the same argv, with paths of the workspace. Pure."""

from __future__ import annotations

import os
import re
import shlex
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgebuild.action import ActionInput, FileInput, FindingsInput, TreeInput
from edgebuild.plan.chain import ONE_TO_MANY
from edgebuild.toolchain.where import toolchain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from edgebuild.action import Action, Input
    from edgebuild.plan.plan import Plan


def folder(plan: Plan, action_id: str) -> str:
    """Return where an action's outputs go when its command is pasted: ``build/<name>/<action id>``."""
    return f"build/{plan.manifest.name}/{action_id}"


def pasted(plan: Plan, action: Action) -> tuple[str, ...]:
    """Return the argv with every scratch path replaced by one in the workspace."""
    places = _places(plan, action)
    return tuple(_replace(word, places) for word in action.argv)


def script(plan: Plan, actions: Iterable[Action]) -> str:
    """Return shell text that does what the actions do, in order, from the workspace's folder."""
    return "\n".join(_block(plan, action) for action in actions)


def comment(text: str) -> str:
    """Return a line that a shell skips; a name may hold a line break, and code would come after it."""
    return "# " + "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def assumed(plan: Plan, action: Action) -> list[str]:
    """Return in words what is not as the manifest says, and the versions of tools that are not here."""
    targets = [target for target in plan.targets if target.name in action.targets]
    toolchains = {target.toolchain.name: target.versions for target in targets}
    fitted = [one for target in targets for one in target.notes if one.id.endswith("-fitted")]
    # The float model that targets are compared with is exported as the manifest says.
    changed = re.search(rf"^export@.*(op\d+|static|{ONE_TO_MANY})", action.id)
    notes = [one.message for one in fitted] if changed else []
    return notes + [
        f"{name}/{chosen.tool} is not here: this is for version {chosen.text}"
        for name, versions in toolchains.items()
        for chosen in versions
        if chosen.assumed and f"{name}/{chosen.tool}" in action.tools
    ]


def _block(plan: Plan, action: Action) -> str:
    here = folder(plan, action.id)
    parents = {f"{here}/{PurePosixPath(output.path).parent}".removesuffix("/.") for output in action.outputs}
    lines = [comment(f"{action.id}: {action.step} for {', '.join(action.targets)}")]
    if action.environment:
        folders = {target.toolchain.name: target.toolchain.folder for target in plan.targets}
        words = toolchain_words(folders[action.environment], plan.manifest.folder)
        lines.append(f"# in the environment of {action.environment}: edgebuild toolchain show {words}")
    lines += [comment(note) for note in assumed(plan, action)]
    lines.append(shlex.join(["mkdir", "-p", *sorted(parents)]))
    places = _places(plan, action)
    for name, text in action.files:
        place = f"{here}/aux/{name}"
        lines.append(shlex.join(["mkdir", "-p", str(PurePosixPath(place).parent)]))
        # A vendor's file may name paths; ours are documents, and describe what runs in scratch.
        shown = text if action.program else _replace(text, places)
        lines += [f"cat > {shlex.quote(place)} <<'EDGEBUILD_EOF'", shown.rstrip("\n"), "EDGEBUILD_EOF"]
    for item in action.inputs:
        if isinstance(item, FindingsInput):
            lines.append(
                f"echo '[]' > {shlex.quote(_place(plan, action, item))}  # logs: known in a run only"
            )
    prefix = [f"{name}={shlex.quote(value)}" for name, value in action.env]
    lines.append(" ".join([*prefix, shlex.join(pasted(plan, action))]))
    return "\n".join(lines) + "\n"


def _places(plan: Plan, action: Action) -> Mapping[str, str]:
    """Return scratch path prefix -> workspace path."""
    places = {"out": folder(plan, action.id), "aux": f"{folder(plan, action.id)}/aux"}
    for item in action.inputs:
        name = "" if isinstance(item, TreeInput) else item.name
        places[f"in/{item.role}/{name}".rstrip("/")] = _place(plan, action, item)
    return places


def _place(plan: Plan, action: Action, item: Input) -> str:
    if isinstance(item, ActionInput):
        return f"{folder(plan, item.action)}/{plan.action(item.action).output(item.output).path}"
    if isinstance(item, FindingsInput):
        return f"{folder(plan, action.id)}/{item.name}"
    if isinstance(item, FileInput):
        return _relative(plan, item.path)
    # The deepest folder with all the images: labels are found from there by the usual rule.
    folders = [str(PurePosixPath(name).parent) for name in item.files if not name.endswith(".txt")]
    return _relative(plan, item.root / (os.path.commonpath(folders) if folders else ""))


def _relative(plan: Plan, path: Path) -> str:
    return os.path.relpath(path, plan.manifest.folder)


def _replace(text: str, places: Mapping[str, str]) -> str:
    """Replace scratch paths, the longest that fits, where they stand as whole path prefixes.

    All in one go: what a path is replaced with may look like a scratch path itself.
    """
    pattern = _pattern(tuple(filter(None, places)))
    return pattern.sub(lambda match: places[match.group(0)], text) if pattern else text


@lru_cache(maxsize=64)
def _pattern(prefixes: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return what finds the prefixes; the actions of one kind all have the same ones."""
    longest = sorted(prefixes, key=len, reverse=True)
    if not longest:
        return None
    return re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, longest))})(?=$|[/\s\"',;:])")
