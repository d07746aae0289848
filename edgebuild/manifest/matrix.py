"""``matrix``: families of targets from one template, expanded as trees."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgebuild.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgebuild.document.node import Node
    from edgebuild.errors import Problem

MAX_TARGETS = 1000
"""More are a mistake in the axes: each target is several processes and a package."""

_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand(root: Node) -> tuple[Node, list[Problem]]:
    """Return the manifest with the targets of ``matrix`` under ``targets``, and what is wrong with them.

    A family of a wrong shape is left out: the schema reports it.
    """
    matrix, targets = root.get("matrix"), root.get("targets")
    if matrix is None or not (targets is None or targets.is_mapping):
        return root, []
    problems: list[Problem] = []
    entries = dict(targets.entries) if targets else {}
    for index, family in enumerate(matrix.items):
        path = f"matrix.{index}"
        for name, target in _targets(family, path, problems):
            if name in entries:
                line = entries[name].where.line
                hint = f"it is already on line {line}; put every axis into the name, or exclude it"
                problems.append(family.problem(path, f"the target name {name!r} is not unique", hint=hint))
            else:
                entries[name] = replace(target, key=family.where)
        if len(entries) > MAX_TARGETS:
            problems.append(
                family.problem(path, f"makes more than {MAX_TARGETS} targets", hint="shorten an axis")
            )
            break
    written = targets or replace(matrix, value={})
    return replace(root, value={**root.entries, "targets": replace(written, value=entries)}), problems


def _targets(family: Node, path: str, problems: list[Problem]) -> Iterator[tuple[str, Node]]:
    name, target, axes = family.get("name"), family.get("target"), _axes(family)
    if name is None or target is None or not isinstance(name.value, str) or not target.is_mapping or not axes:
        return
    problems += _unknown_axes(name, f"{path}.name", axes) + _unknown_axes(target, f"{path}.target", axes)
    excluded = family.get("exclude")
    rules = excluded.items if excluded else ()
    used: set[int] = set()
    for values in itertools.islice(itertools.product(*axes.values()), MAX_TARGETS + 1):
        chosen = dict(zip(axes, values, strict=True))
        hits = {index for index, rule in enumerate(rules) if _matches(rule, chosen)}
        used |= hits
        if not hits:
            # Vendors write their chips in capitals; target names are lower-case.
            yield _substitute(name, chosen).text.lower(), _substitute(target, chosen)
    for index, rule in enumerate(rules):
        if index not in used:
            unknown = [axis for axis in rule.entries if axis not in axes]
            hint = did_you_mean(unknown[0], axes, otherwise=f"axes: {listed(axes)}") if unknown else ""
            problems.append(rule.problem(f"{path}.exclude.{index}", "excludes nothing", hint=hint))


def _axes(family: Node) -> dict[str, tuple[Node, ...]]:
    node = family.get("axes")
    axes = {name: values.items for name, values in node.entries.items()} if node else {}
    fine = all(
        values and not any(item.is_mapping or item.items for item in values) for values in axes.values()
    )
    return axes if fine else {}


def _matches(rule: Node, chosen: Mapping[str, Node]) -> bool:
    if not rule.entries:
        return False
    return all(
        axis in chosen and chosen[axis].value in [item.value for item in (wanted.items or (wanted,))]
        for axis, wanted in rule.entries.items()
    )


def _substitute(node: Node, chosen: Mapping[str, Node]) -> Node:
    """Return the node with placeholders filled in; a value that is one placeholder keeps the axis's type."""
    if node.is_mapping:
        return replace(node, value={name: _substitute(item, chosen) for name, item in node.entries.items()})
    if node.items:
        return replace(node, value=tuple(_substitute(item, chosen) for item in node.items))
    if not isinstance(node.value, str):
        return node
    whole = _PLACEHOLDER.fullmatch(node.value)
    if whole and whole[2] in chosen:
        return replace(chosen[whole[2]], place=node.place, key=node.key)

    def fill(found: re.Match[str]) -> str:
        if found[1]:
            return f"{{{found[1]}}}"
        return chosen[found[2]].text if found[2] in chosen else found[0]

    text = _PLACEHOLDER.sub(fill, node.value)
    unknown = any(found[2] and found[2] not in chosen for found in _PLACEHOLDER.finditer(node.value))
    return replace(node, value=text, text=text, trapped=node.trapped or unknown)


def _unknown_axes(node: Node, path: str, axes: Mapping[str, Any]) -> list[Problem]:
    if node.is_mapping:
        return [p for name, item in node.entries.items() for p in _unknown_axes(item, f"{path}.{name}", axes)]
    if node.items:
        return [
            p for index, item in enumerate(node.items) for p in _unknown_axes(item, f"{path}.{index}", axes)
        ]
    words = [found[2] for found in _PLACEHOLDER.finditer(node.text) if found[2] and found[2] not in axes]
    return [
        node.problem(
            path,
            f"no axis is called {word!r}",
            hint=did_you_mean(word, axes, otherwise=f"write {{{{{word}}}}} for the text {{{word}}}"),
        )
        for word in words
    ]
