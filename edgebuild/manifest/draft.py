"""What of a manifest with mistakes can be judged further: the rest of it, without them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgebuild.document.node import Node
    from edgebuild.errors import Problem
    from edgebuild.manifest.values import Manifest

TASK = ("model", "task")


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A manifest as far as it could be read, and what is wrong with it.

    Attributes:
        manifest: All of it where nothing is wrong; else without what is, or None when too little is left.
        problems: What is wrong.
        dataset_known: False: there is a dataset, and what is in it is not known.
    """

    manifest: Manifest | None
    problems: tuple[Problem, ...] = ()
    dataset_known: bool = True


def without(root: Node, paths: Iterable[tuple[str, ...]]) -> Node:
    """Return a manifest without the entries at some paths; what follows from a mistake is none itself."""
    for path in paths:
        root = _without(root, path)
    return root


def _without(node: Node, path: tuple[str, ...]) -> Node:
    name, *rest = path or ("",)
    if name not in node.entries:
        return node
    kept = {key: item for key, item in node.entries.items() if key != name or rest}
    if rest:
        kept[name] = _without(node.entries[name], tuple(rest))
    return replace(node, value=kept)
