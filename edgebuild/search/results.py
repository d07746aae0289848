"""What a search knows before it starts: the model's blocks, what an earlier one found, what can be varied."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from edgebuild.errors import EdgebuildError
from edgebuild.plan.candidates import BlockFacts, Candidate, Limits, Ranges, Space
from edgebuild.plan.quantization import DEFAULT_KEEP, DEFAULT_PERCENTILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgebuild.action import Action, Artifact
    from edgebuild.perform.context import Context

GROUPS = ("attention", "head", "first")
"""Named groups that a search tries; ``decode`` and ``last`` are in the default."""

FEW_IMAGES = 64
"""Calibration images of the cheaper of the ways to measure ranges."""

MOVED = 0.01
"""From this relative change on, a block's weights have moved, and it is measured anew."""


class Model:
    """A model's blocks and groups, as the ``blocks`` step describes them."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.blocks: list[dict[str, Any]] = list(document["blocks"])
        self.groups: dict[str, list[str]] = dict(document["groups"])
        self._all: list[str] = list(document["nodes"])
        self._by_label = {block["label"]: block for block in self.blocks}

    def nodes(self, name: str) -> list[str]:
        """Return the nodes of a block or a group; none when there is neither."""
        block = self._by_label.get(name)
        return list(block["nodes"]) if block else list(self.groups.get(name, ()))

    def is_block(self, name: str) -> bool:
        """Whether this is the label of a block."""
        return name in self._by_label

    def entries(self, label: str) -> tuple[str, ...]:
        """Return ``keep_float`` entries for a block: one glob where one means just its nodes."""
        wanted = self.nodes(label)
        common = _common(wanted)
        inside = {name for name in self._all if name.startswith(common)}
        if common.endswith("/") and inside == set(wanted):
            return (f"{_literal(common)}*",)
        return tuple(_literal(name) for name in wanted)


def kept(keep: Iterable[str], model: Model) -> tuple[str, ...]:
    """Return ``keep_float`` entries for groups, blocks and what else the manifest names."""
    found: list[str] = []
    for name in keep:
        found += model.entries(name) if model.is_block(name) else [name]
    return tuple(dict.fromkeys(found))


def space(settings: Mapping[str, Any], model: Model, earlier: Mapping[str, Any] | None) -> Space:
    """Return what can be varied.

    Args:
        settings: The search's settings file.
        model: The model's blocks.
        earlier: ``search.json`` of the last search here, or None.
    """
    types = settings["quantize"]
    base = tuple(types["keep_float"])
    default = _ranges(types["method"], types["percentile"])
    usable = earlier if earlier and _comparable(earlier, settings) else None
    inside = {node for name in base for node in model.nodes(name)}
    groups = [name for name in GROUPS if set(model.nodes(name)) - inside]
    return Space(
        base=base,
        ranges=default,
        less=("decode",) if base == DEFAULT_KEEP else None,
        blocks=tuple(_facts(block, usable) for block in model.blocks),
        branches=tuple(block["label"] for block in model.blocks if block["kind"] != "body"),
        groups=tuple(groups),
        other_ranges=tuple(_others(default, int(settings["calibration_images"]))),
        previous=tuple(_previous(usable, model)) if usable else (),
    )


def limits(settings: Mapping[str, Any]) -> Limits:
    """Return what the manifest asks for."""
    asked = settings["limits"]
    return Limits(max_drop=asked["max_drop"], max_slowdown=asked["max_slowdown"], budget=asked["budget"])


def last_search(action: Action, context: Context) -> dict[str, Any] | None:
    """Return ``search.json`` of the search's last success in this workspace, if it can still be had.

    It is a hint, not an input: it changes which questions are asked, and every point is measured anew.
    """
    key = context.journal.last(action.id)
    try:
        record = context.cache.known(key) if key else None
        artifact = next((a for a in record.artifacts if a.role == "search"), None) if record else None
        found = read(context, artifact) if artifact else None
    except (EdgebuildError, OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == 1 else None


def read(context: Context, artifact: Artifact) -> Any:
    """Return the JSON document that an action left."""
    context.cache.store.require(artifact)
    return json.loads(context.cache.store.blob(artifact.digest).read_text(encoding="utf-8"))


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the estimated relative change of a block's weights between two sketches."""
    pairs = zip(one["sums"], other["sums"], strict=True)
    moved = math.sqrt(math.fsum((a - b) ** 2 for a, b in pairs))
    size = max(one["norm"], other["norm"])
    return moved / size if size else 0.0


def _facts(block: Mapping[str, Any], earlier: Mapping[str, Any] | None) -> BlockFacts:
    before = {row["label"]: row for row in earlier["blocks"]}.get(block["label"]) if earlier else None
    if before is None or before["shape"] != block["shape"]:
        return BlockFacts(label=block["label"], share=block["share"])
    same = before["weights"] == block["weights"]
    moved = not same and distance(before["sketch"], block["sketch"]) >= MOVED
    return BlockFacts(
        label=block["label"], share=block["share"], moved=moved, noise=before["noise"], gain=before["gain"]
    )


def _comparable(earlier: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether an earlier search's figures mean the same: only the model and the limits may differ."""
    same = ("task", "metric", "imgsz", "batch", "quantize", "threads")
    return all(earlier["settings"].get(name) == settings[name] for name in same)


def _previous(earlier: Mapping[str, Any], model: Model) -> Iterable[Candidate]:
    """Yield the last search's front, its choice first, as far as this model has the same blocks."""
    rows = [row for row in earlier["points"] if row["front"] or row["chosen"]]
    for row in sorted(rows, key=lambda row: not row["chosen"]):
        names = tuple(row["keep"])
        lost = [n for n in names if not model.is_block(n) and not model.nodes(n) and n not in earlier["base"]]
        if not lost:
            yield Candidate(keep=names, ranges=Ranges(**row["ranges"]))


def _ranges(method: str, percentile: float, images: int = 0) -> Ranges:
    return Ranges(
        method=method, percentile=float(percentile) if method == "percentile" else 0.0, images=images
    )


def _others(default: Ranges, available: int) -> Iterable[Ranges]:
    """Yield ways to measure ranges besides the default's, the most promising first."""
    few = FEW_IMAGES if available > FEW_IMAGES else 0
    for method, images in (
        ("percentile", few), ("minmax", few), ("percentile", 0), ("minmax", 0), ("entropy", few),
    ):  # fmt: skip
        found = _ranges(method, DEFAULT_PERCENTILE, images)
        if found != default and (images or not few or method != "entropy"):
            yield found


def _common(names: Sequence[str]) -> str:
    """Return the longest prefix that names share, up to a slash."""
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first.rfind("/", 0, same) + 1]


def _literal(name: str) -> str:
    """Return a pattern that means just this name."""
    return re.sub(r"([*?[])", r"[\1]", name)
