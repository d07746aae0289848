"""The manifest that tries a toolchain: one target per recipe, with options that a person would give. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.errors import UsageError
from edgebuild.manifest.overrides import parse_setting
from edgebuild.toolchain.options import check_value, frozen, suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgebuild.toolchain.load import Recipe, Toolchain

NAME = "toolchain-test"
"""What the manifest is called."""

IMAGES = 8
"""Calibration images, where the toolchain does not ask for more."""


def chosen_recipes(toolchain: Toolchain, names: Sequence[str]) -> list[Recipe]:
    """Return the recipes to try: those named, every one for ``all``, else the default one.

    Raises:
        UsageError: One does not exist.
    """
    if "all" in names:
        return list(toolchain.recipes.values())
    for name in names:
        if name not in toolchain.recipes:
            known = ", ".join(toolchain.recipes)
            raise UsageError(
                f"{toolchain.name} has no recipe {name!r}{suggestion(name, toolchain.recipes)}",
                hint=f"known: {known}",
            )
    return [toolchain.recipes[name] for name in names] or [toolchain.default_recipe]


def overrides(toolchain: Toolchain, recipes: Sequence[Recipe], settings: Sequence[str]) -> tuple[str, ...]:
    """Return ``NAME=VALUE`` settings of options as ``--set`` values, for the recipes that have the option.

    Raises:
        UsageError: One is not of that form, names no option of these recipes, or has a value it cannot have.
    """
    found = []
    for text in settings:
        name, sign, _ = text.partition("=")
        if not sign:
            raise UsageError(f"--option {text}: expected NAME=VALUE")
        if name not in toolchain.options:
            known = ", ".join(toolchain.options)
            raise UsageError(
                f"{toolchain.name} has no option {name!r}{suggestion(name, toolchain.options)}",
                hint=f"known: {known or 'none'}",
            )
        option = toolchain.options[name]
        value = parse_setting(text).valued(text=option.type == "string").unwrap()
        if wrong := check_value(option, frozen(value)):
            raise UsageError(f"--option {text}: {wrong}", hint=option.hint)
        having = [recipe for recipe in recipes if name in options_of(toolchain, recipe)]
        if not having:
            tried = ", ".join(recipe.name for recipe in recipes)
            hint = f"recipes that have it: {', '.join(option.recipes)}"
            raise UsageError(f"--option {text}: recipe {tried} has no option {name!r}", hint=hint)
        found += [f"targets.{recipe.name}.options.{text}" for recipe in having]
    return tuple(found)


def trial_manifest(toolchain: Toolchain, recipes: Sequence[Recipe], given: Collection[str]) -> dict[str, Any]:
    """Return the manifest, beside which ``weights.pt`` and ``data/`` are expected.

    Args:
        toolchain: The toolchain.
        recipes: What to try.
        given: Names of options that overrides set.

    Raises:
        UsageError: An option needs a value that cannot be guessed.
    """
    need = toolchain.calibration
    return {
        "edgebuild": 1,
        "name": NAME,
        "model": {
            "weights": "weights.pt",
            "task": next(iter(toolchain.limits.tasks), "detect"),
            "imgsz": list(toolchain.trial.imgsz),
        },
        "dataset": {
            "data": "data/data.yaml",
            "calibration": {"split": "train", "images": max(IMAGES, need.minimum if need else 0)},
            "validation": {"split": "val"},
        },
        "targets": {recipe.name: _target(toolchain, recipe, given) for recipe in recipes},
    }


def _target(toolchain: Toolchain, recipe: Recipe, given: Collection[str]) -> dict[str, Any]:
    has = options_of(toolchain, recipe)
    values = {name: value for name, value in toolchain.trial.options.items() if name in has}
    for name in dict.fromkeys((*toolchain.required_options, *recipe.required_options)):
        option = toolchain.options[name]
        if name in values or name in given or option.default is not None:
            continue
        if not option.enum:
            hint = f"`--option {name}=VALUE`" + (f"; {option.hint}" if option.hint else "")
            raise UsageError(f"{toolchain.name} needs a value for {name}: {option.description}", hint=hint)
        values[name] = option.enum[0]
    return {
        "toolchain": toolchain.name,
        "recipe": recipe.name,
        "options": values,
        "batch": toolchain.limits.batch[0],
        "ship": False,
    }


def options_of(toolchain: Toolchain, recipe: Recipe) -> set[str]:
    """Return the names of the options that a recipe has."""
    options = toolchain.options.items()
    return {name for name, option in options if not option.recipes or recipe.name in option.recipes}
