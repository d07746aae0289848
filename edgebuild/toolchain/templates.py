"""The templates of a toolchain's folder: read, and checked before any of them is rendered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.document.parse import read_plain
from edgebuild.errors import ManifestError, Problem
from edgebuild.lint import command_problems, path_problems, programs, text_problems
from edgebuild.template import GRAPH_VARIABLES, PACKAGE_VARIABLES, VARIABLES, named, near
from edgebuild.toolchain.values import Template

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from edgebuild.toolchain.values import Recipe, Toolchain

PYTHON = "python"
"""What a command that starts a Python program begins with."""


def shown(file: Path) -> str:
    """Return a path as short as it can be clicked on: from the current directory, where it is below that."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def read_template(file: Path) -> Template:
    """Return a template.

    Raises:
        ManifestError: It cannot be read, or is not UTF-8.
    """
    return Template(name=shown(file), text=read_plain(file, shown=shown(file), what="template"))


def template_problems(folder: Path, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the templates that a checked ``toolchain.yaml`` names, each once."""
    package = document.get("package", {})
    texts = {(file, PACKAGE_VARIABLES) for file in package.get("files", {}).values()}
    texts |= {(package["readme"], PACKAGE_VARIABLES)} if "readme" in package else set()
    for name, step in document.get("steps", {}).items():
        yield from _command_problems(folder, name, step, document)
        for file in step.get("files", {}).values():
            late = not isinstance(file, str)
            texts.add((file["template"], GRAPH_VARIABLES) if late else (file, VARIABLES))
    for file, known in sorted(texts, key=lambda one: one[0]):
        try:
            template = read_template(folder / file)
        except ManifestError as error:
            yield from error.problems
            continue
        yield from text_problems(template.text, template.name, known)


def program_fault(
    step: str, word: str, tools: Collection[str], declared: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return what is wrong with the first word of a command, and what to do; None: nothing.

    What a command starts has to be a tool of its step: else a result would stay when the program changes.

    Args:
        step: Name of the step.
        word: The first word.
        tools: Tools that the step depends on.
        declared: Executables of all tools, by name.
    """
    own = [declared[name] for name in tools if declared[name]]
    if word in {PYTHON, *own}:
        return None
    owner = next((name for name, executable in declared.items() if executable == word), "")
    if owner:
        message = f"{word!r} is the tool {owner!r}, which is not among the tools of step {step!r}"
        return message, f"add it to steps.{step}.tools: else a result would stay when the tool changes"
    message = f"{word!r} is no executable of a tool of step {step!r}{near(word, [*own, PYTHON])}"
    hint = f"a command begins with {' or '.join(dict.fromkeys([*own, PYTHON]))}"
    return message, f"{hint}; variables belong in `env`" if "=" in word else hint


def takes_extra_args(toolchain: Toolchain, recipe: Recipe) -> bool:
    """Say whether a template of the recipe's steps names ``extra_args``."""
    steps = [toolchain.steps[entry.step] for entry in recipe.steps]
    texts = [step.command.text for step in steps]
    texts += [template.text for step in steps for _, template in step.files]
    texts += [file.template.text for step in steps for file in step.graph_files]
    return any("extra_args" in text and "extra_args" in named(text) for text in texts)


def _command_problems(
    folder: Path, name: str, step: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[Problem]:
    try:
        template = read_template(folder / step["command"])
    except ManifestError as error:
        yield from error.problems
        return
    found = command_problems(template.text, template.name)
    if "image" not in document.get("environment", {}):  # an image looks the same everywhere
        found = (*found, *path_problems(template.text, template.name))
    yield from found
    if found:
        return
    declared = {tool: one.get("executable", "") for tool, one in document["tools"].items()}
    for word, line, column in programs(template.text):
        if fault := program_fault(name, word, step["tools"], declared):
            message, hint = fault
            yield Problem(file=template.name, line=line, column=column, message=message, hint=hint)
