"""``edgebuild toolchain show``: all that a toolchain offers and asks for, for people or as a document."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.amounts import counted
from edgebuild.environment.surroundings import kind_of
from edgebuild.plan.limits import own_least
from edgebuild.plan.trial import options_of
from edgebuild.run.session import search_path
from edgebuild.toolchain.load import load_toolchain
from edgebuild.verbs.layout import entry, table, terminal_width
from edgebuild.verbs.toolchain import install_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.action import LogRule
    from edgebuild.toolchain.load import Limits, Recipe, Toolchain
    from edgebuild.toolchain.options import Option


def show(name: str, templates: tuple[str, ...], *, as_json: bool) -> int:
    """Print what a toolchain offers: recipes, limits, tools, environment, options, findings, device tools.

    Raises:
        UsageError: There is no such toolchain.
    """
    toolchain = load_toolchain(name, search_path(Path.cwd(), templates))
    found = _document(toolchain)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(found, terminal_width())))
    return 0


def _document(toolchain: Toolchain) -> dict[str, Any]:
    needs = toolchain.environment
    return {
        "schema": 1,
        "name": toolchain.name,
        "title": toolchain.title,
        "folder": os.path.relpath(toolchain.folder),
        "links": list(toolchain.links),
        "recipes": [_recipe(one, toolchain) for one in toolchain.recipes.values()],
        "limits": _limits(toolchain.limits),
        "calibration": _calibration(toolchain),
        "tools": [
            {"name": tool.name, "supported": tool.supported, "get": tool.get}
            for tool in toolchain.tools.values()
        ],
        "environment": {
            "kind": kind_of(toolchain),
            "state": install_state(toolchain),
            "python": needs.python,
            "requirements": [line for group in needs.requirements for line in group.lines],
            "system": [need.name for need in needs.system],
            "activate": list(needs.activate),
            "image": needs.image,
            "pass": list(toolchain.env_pass),
            "locate": list(needs.locate),
        },
        "options": [_option(option, toolchain) for option in toolchain.options.values()],
        "findings": [
            {"id": rule.id, "level": rule.level, "hint": rule.hint or rule.message}
            for rule in _firsts(toolchain.findings)
        ],
        "device": [
            {"name": tool.name, "kind": tool.kind, "finds": list(tool.finds)} for tool in toolchain.device
        ],
    }


def _firsts(rules: Sequence[LogRule]) -> Iterator[LogRule]:
    """Yield the first rule of each finding: what it is called and means is the same in all of them."""
    seen: set[str] = set()
    for rule in rules:
        if rule.id not in seen:
            seen.add(rule.id)
            yield rule


def _recipe(recipe: Recipe, toolchain: Toolchain) -> dict[str, Any]:
    required = [*toolchain.required_options, *recipe.required_options]
    return {
        "name": recipe.name,
        "title": recipe.title,
        "precision": recipe.precision,
        "default": recipe is toolchain.default_recipe,
        "evidence": recipe.evaluate.evidence if recipe.evaluate else "none",
        "head": recipe.head,
        "heads": list(recipe.heads),
        "least_opset": own_least(recipe)[0],
        "required_options": [name for name in required if name in options_of(toolchain, recipe)],
        "refuse": {name: list(values) for name, values in recipe.refuse},
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "opset": list(limits.opset),
        "batch": list(limits.batch),
        "dynamic": limits.dynamic,
        "end2end": limits.end2end,
        "tasks": list(limits.tasks),
        "refuse": list(limits.refuse),
        "size_mb": limits.size_mb,
    }


def _calibration(toolchain: Toolchain) -> dict[str, Any] | None:
    need = toolchain.calibration
    if need is None:
        return None
    return {"format": need.format, "minimum": need.minimum, "useful_maximum": need.useful_maximum}


def _option(option: Option, toolchain: Toolchain) -> dict[str, Any]:
    return {
        "name": option.name,
        "type": _type(option),
        "default": option.default,
        "required": option.name in toolchain.required_options,
        "recipes": list(option.recipes),
        "description": option.description,
    }


def _type(option: Option) -> str:
    """Return an option's type with what limits its values, in a few words."""
    if option.enum:
        return " | ".join(map(str, option.enum))
    if option.items:
        return f"list of {_type(option.items)}s"
    least, greatest = option.minimum, option.maximum
    if least is not None and greatest is not None:
        return f"{option.type} from {least:g} to {greatest:g}"
    bounds = [f"of at least {least:g}"] if least is not None else []
    bounds += [f"of at most {greatest:g}"] if greatest is not None else []
    bounds += [f"/{option.pattern}/"] if option.pattern else []
    return " ".join([option.type, *bounds])


def _lines(found: Mapping[str, Any], width: int) -> Iterator[str]:
    yield f"{found['name']}  {found['title']}"
    yield from (f"  {link}" for link in found["links"])
    parts: list[tuple[str, Sequence[tuple[str, ...]]]] = [
        ("recipes", [_recipe_cells(one) for one in found["recipes"]]),
        ("limits", list(_limit_cells(found))),
        ("tools", [(tool["name"], tool["supported"], tool["get"]) for tool in found["tools"]]),
        ("environment", list(_environment_cells(found["environment"]))),
    ]
    for heading, rows in parts:
        if rows:
            yield from ("", heading, *table(rows, indent="  ", width=width))
    yield from ("", "options", *_option_lines(found["options"], width))
    last: list[tuple[str, Sequence[tuple[str, ...]]]] = [
        ("findings", [(one["id"], one["level"], one["hint"]) for one in found["findings"]]),
        ("output that can be read", [(t["name"], t["kind"], ", ".join(t["finds"])) for t in found["device"]]),
    ]
    for heading, rows in last:
        if rows:
            yield from ("", heading, *table(rows, indent="  ", width=width))


def _recipe_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    text = one["title"]
    if one["heads"] != ["full"]:
        text += f"; head {' or '.join([one['head'], *(h for h in one['heads'] if h != one['head'])])}"
    text += f"; ONNX opset {one['least_opset']} and more" if one["least_opset"] > 1 else ""
    text += f"; needs {', '.join(one['required_options'])}" if one["required_options"] else ""
    text += "".join(
        f"; not with {name}: {', '.join(map(str, values))}" for name, values in one["refuse"].items()
    )
    return (one["name"], "default" if one["default"] else "", one["precision"], one["evidence"], text)


def _limit_cells(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    limits, need = found["limits"], found["calibration"]
    yield "opset", _range(limits["opset"])
    yield "batch", _range(limits["batch"])
    yield "shapes", "fixed or dynamic" if limits["dynamic"] else "fixed"
    if limits["tasks"]:
        yield "tasks", ", ".join(limits["tasks"])
    if not limits["end2end"]:
        yield "head", "none that selects its boxes itself"
    if limits["refuse"]:
        yield "operators", f"not {', '.join(limits['refuse'])}"
    if limits["size_mb"] is not None:
        yield "size", f"ONNX of at most {limits['size_mb']:g} MB"
    if need:
        most = f"; more than {need['useful_maximum']} do not help" if need["useful_maximum"] else ""
        yield "calibration", f"{need['format']}, at least {counted(need['minimum'], 'image')}{most}"


def _range(pair: Sequence[int | None]) -> str:
    least, greatest = pair
    if greatest is None:
        return "any" if least == 1 else f"{least} or more"
    return str(least) if least == greatest else f"{least} to {greatest}"


def _environment_cells(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "tools", f"{found['kind']}{', ' if found['state'] else ''}{found['state']}"
    for word in ("python", "image"):
        if found[word]:
            yield word, found[word]
    for word in ("requirements", "activate", "system", "pass", "locate"):
        if found[word]:
            yield word, ", ".join(found[word])


def _option_lines(options: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    for option in options:
        default = "" if option["default"] is None else f", default {json.dumps(option['default'])}"
        need = ", required" if option["required"] else ""
        only = f", recipes {', '.join(option['recipes'])}" if option["recipes"] else ""
        yield from entry(f"  {option['name']}: ", f"{option['type']}{default}{need}{only}", width=width)
        yield from entry("      ", option["description"], width=width)
    yield "  extra_args: list of strings"
    yield from entry("      ", "Further words for the compile command.", width=width)
