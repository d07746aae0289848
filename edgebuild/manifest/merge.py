"""Defaults: what a target inherits, merged as trees so that every value keeps its own place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgebuild.document.node import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

INHERITED = ("quantize", "benchmark", "acceptance", "findings")
"""Top-level sections that are the defaults of every target."""


def overlay(base: Node | None, over: Node) -> Node:
    """Return ``over`` laid on ``base``: mappings merge key by key, anything else replaces.

    A key that is null in ``over`` takes back what it would inherit.
    """
    if not over.is_mapping:
        return over
    entries = dict(base.entries) if base else {}
    for name, node in over.entries.items():
        if node.value is None:
            entries.pop(name, None)
        else:
            entries[name] = overlay(entries.get(name), node)
    return replace(over, value=entries)


def targets_of(root: Node) -> Mapping[str, Node]:
    """Return a manifest's targets by name."""
    targets = root.get("targets")
    return targets.entries if targets else {}


def inherit(root: Node) -> Node:
    """Return the manifest with every target complete: sections, then ``defaults``, then its own fields."""
    targets = root.get("targets")
    if targets is None or not targets.is_mapping:
        return root
    sections = {name: node for name in INHERITED if (node := root.get(name)) is not None}
    base = overlay(None, Node(value=sections, place=root.place))
    if (defaults := root.get("defaults")) is not None and defaults.is_mapping:
        base = overlay(base, defaults)
    complete = {name: _complete(base, target) for name, target in targets.entries.items()}
    return replace(root, value={**root.entries, "targets": replace(targets, value=complete)})


def _complete(base: Node, target: Node) -> Node:
    if not target.is_mapping:
        return target if target.value is not None else replace(target, value=base.entries)
    own, ship = target.get("acceptance"), target.get("ship")
    if own is not None and own.value == {} and ship is not None and ship.value is False:
        # Nothing is demanded of a target that is only there to compare with and says so.
        base = replace(base, value={k: v for k, v in base.entries.items() if k != "acceptance"})
    return overlay(base, target)
