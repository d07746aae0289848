"""Which nodes of a graph an entry of ``keep_float`` means."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import fail

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TYPE_PREFIX = "op:"
_SUGGESTIONS = 3


def select_nodes(model: Any, groups: Mapping[str, tuple[str, ...]], entries: Iterable[str]) -> frozenset[str]:
    """Return the names of all nodes that the entries mean.

    Args:
        model: An ``onnx.ModelProto`` whose nodes all have names.
        groups: Node names by named group.
        entries: Named groups, patterns of node names (``*``, ``?``, ``[...]``), or ``op:Type``.

    Raises:
        StepFailure: An entry means no node at all; ``decode`` may, where the outputs are raw.
    """
    chosen: set[str] = set()
    for entry in entries:
        found = _matches(model, groups, entry)
        if not found and not (entry == "decode" and groups.get("last")):
            # Where the last weighted nodes are the outputs, nothing is decoded: then nothing is kept.
            fail(
                f"keep_float: {entry!r} matches no node of the model", hint=_what_exists(model, groups, entry)
            )
        chosen.update(found)
    return frozenset(chosen)


def _matches(model: Any, groups: Mapping[str, tuple[str, ...]], entry: str) -> tuple[str, ...]:
    if entry in groups:
        return groups[entry]
    if entry.startswith(_TYPE_PREFIX):
        wanted = entry.removeprefix(_TYPE_PREFIX)
        return tuple(node.name for node in model.graph.node if node.op_type == wanted)
    return tuple(node.name for node in model.graph.node if fnmatchcase(node.name, entry))


def _what_exists(model: Any, groups: Mapping[str, tuple[str, ...]], entry: str) -> str:
    present = ", ".join(f"{name} ({len(nodes)} nodes)" for name, nodes in groups.items() if nodes) or "none"
    types = ", ".join(f"{_TYPE_PREFIX}{name}" for name in sorted({node.op_type for node in model.graph.node}))
    names = [node.name for node in model.graph.node]
    near = (
        difflib.get_close_matches(entry.strip("*"), names, n=_SUGGESTIONS, cutoff=0.4) or names[:_SUGGESTIONS]
    )
    return f"there are groups: {present}; types: {types}; nodes such as {', '.join(near)}"
