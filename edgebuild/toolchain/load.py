"""Toolchains: load what a folder ``templates/<name>/`` says, and check a target's options against it.

:func:`load_toolchain` reads the folder once, templates included, so that planning and rendering touch no
file. No vendor's name appears here; docs/toolchains.md is the reference of the format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edgebuild.document.parse import Node, parse, read_text
from edgebuild.errors import ManifestError, Problem, UsageError
from edgebuild.toolchain.checks import consistency_faults
from edgebuild.toolchain.environment import parse_requirements
from edgebuild.toolchain.options import check_value, frozen, suggestion
from edgebuild.toolchain.parse import parse_toolchain
from edgebuild.toolchain.schema import schema_faults
from edgebuild.toolchain.templates import shown, template_problems
from edgebuild.toolchain.tools import Tool, VersionProbe
from edgebuild.toolchain.values import (
    CalibrationNeed,
    Limits,
    Measured,
    QdqNeed,
    Recipe,
    RecipeStep,
    Requirement,
    StepTemplate,
    Template,
    Toolchain,
)
from edgebuild.toolchain.where import FILE_NAME, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgebuild.toolchain.options import Option
    from edgebuild.toolchain.schema import Fault

__all__ = [
    "CalibrationNeed",
    "Limits",
    "Measured",
    "QdqNeed",
    "Recipe",
    "RecipeStep",
    "Requirement",
    "StepTemplate",
    "Template",
    "Tool",
    "Toolchain",
    "VersionProbe",
    "load_toolchain",
    "resolve_options",
    "toolchain_names",
]

OptionFault = tuple[str, str, str]
"""Option name (empty: all of them), what is wrong, what to do."""

Place = tuple[str, int, int, str]
"""File, line, column and dotted path of a value in the manifest."""


def toolchain_names(search: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of all toolchains in the folders, sorted, each once."""
    found = {path.parent.name for folder in search for path in folder.glob(f"*/{FILE_NAME}")}
    return tuple(sorted(found))


def load_toolchain(name: str, search: Sequence[Path]) -> Toolchain:
    """Read a toolchain's folder.

    Args:
        name: Name of the folder.
        search: Folders that hold toolchains; the first that has it wins.

    Raises:
        UsageError: There is none of that name; the hint lists the known ones.
        ManifestError: Its ``toolchain.yaml`` is wrong; with every problem found.
    """
    # What is no name could be the path of any folder.
    folder = place_of(name, search) if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) else None
    if folder is None:
        known = toolchain_names(search)
        raise UsageError(
            f"there is no toolchain {name!r}{suggestion(name, known)}",
            hint=f"known: {', '.join(known) or 'none'}; `--templates DIR` adds a folder of toolchains",
        )
    root = _read(folder / FILE_NAME)
    document = root.unwrap()
    files = {path.name for path in folder.iterdir() if path.is_file()}
    faults = schema_faults(document) or consistency_faults(document, files)
    if faults:
        raise ManifestError([_problem(root, fault) for fault in faults])
    if wrong := [*_requirement_problems(folder, document), *template_problems(folder, document)]:
        raise ManifestError(wrong)
    return parse_toolchain(folder, document)


def resolve_options(
    toolchain: Toolchain,
    options: Mapping[str, Any],
    where: Callable[[str], Place],
    *,
    recipe: Recipe | None = None,
) -> tuple[Mapping[str, Any], tuple[Problem, ...]]:
    """Check a target's options and fill in the defaults.

    Args:
        toolchain: Whose options they are.
        options: As the manifest gives them, without ``extra_args``.
        where: Option name -> its place in the manifest; an empty name is the target's ``options`` itself.
        recipe: The target's recipe; None: the default one.

    Returns:
        The options in the order of their declaration (one that is neither given nor has a default is
        absent), and the problems found; the options are usable only when there is none.
    """
    recipe = recipe or toolchain.default_recipe
    declared = {
        name: option
        for name, option in toolchain.options.items()
        if not option.recipes or recipe.name in option.recipes
    }
    values = {
        name: frozen(options.get(name, option.default))
        for name, option in declared.items()
        if name in options or option.default is not None
    }
    wrong = [
        *_given_faults(toolchain, recipe, declared, options),
        *_set_faults(toolchain, recipe, values, options),
    ]
    return values, tuple(_option_problem(where(name), message, hint) for name, message, hint in wrong)


def _requirement_problems(folder: Path, document: Mapping[str, Any]) -> Iterator[Problem]:
    name = document.get("environment", {}).get("requirements")
    if name:
        file = folder / name
        text = read_text(file, shown=shown(file), what="requirements")
        for line, message in parse_requirements(text)[1]:
            yield Problem(file=shown(file), line=line, message=message)


def _given_faults(
    toolchain: Toolchain, recipe: Recipe, declared: Iterable[str], options: Mapping[str, Any]
) -> Iterator[OptionFault]:
    known = (*declared, "extra_args")
    for name, value in options.items():
        option = toolchain.options.get(name)
        if option is None:
            message = f"{toolchain.name} has no option {name!r}{suggestion(name, known)}"
            yield name, message, f"known: {', '.join(known)}"
        elif name not in known:
            yield name, f"recipe {recipe.name!r} has no option {name!r}", _belongs(option)
        elif message := check_value(option, value):
            yield name, message, option.hint


def _set_faults(
    toolchain: Toolchain, recipe: Recipe, values: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[OptionFault]:
    """Yield what is wrong with the options together: values as the tools get them, and what is given."""
    for name in dict.fromkeys((*toolchain.required_options, *recipe.required_options)):
        if name not in values:
            yield "", f"{toolchain.name} needs the option {name!r}", _about(toolchain.options[name])
    for name, refused in recipe.refuse:
        if name in values and values[name] in refused:
            what = repr(values[name]) if name in given else f"{name} {values[name]!r}, the default,"
            yield name, f"{what} does not go with recipe {recipe.name!r}", toolchain.options[name].hint
    for group in toolchain.exclusive:
        both = [name for name in group if name in given]
        if len(both) > 1:
            yield both[-1], f"{' and '.join(both)} exclude each other", f"keep one of {', '.join(group)}"


def _about(option: Option) -> str:
    return option.description + (f" ({', '.join(map(str, option.enum))})" if option.enum else "")


def _belongs(option: Option) -> str:
    return f"it belongs to {', '.join(option.recipes)}"


def _option_problem(place: Place, message: str, hint: str) -> Problem:
    file, line, column, path = place
    return Problem(file=file, line=line, column=column, path=path, message=message, hint=hint)


def _read(file: Path) -> Node:
    text = read_text(file, shown=shown(file), what="toolchain")
    node, problems = parse(text, file=shown(file))
    if problems:
        raise ManifestError(problems)
    return node


def _problem(root: Node, fault: Fault) -> Problem:
    node = root
    for part in fault.path:
        child = node.entries.get(part) if isinstance(part, str) else node.items[part]
        if child is None:
            break
        node = child
    # An unknown key is pointed at itself, not at its value.
    at = node.key if fault.at_key else None
    return node.problem(".".join(map(str, fault.path)), fault.message, hint=fault.hint, at=at)
