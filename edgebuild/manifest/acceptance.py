"""The ``acceptance`` section of a complete target: gates, and those that make no sense. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebuild.gates import EVIDENCE, GATE_KINDS, METRICS, PER_CLASS, Gate, MetricKind
from edgebuild.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgebuild.document.node import Node
    from edgebuild.errors import Problem

IMPOSSIBLE_ABOVE = 1.0
"""Metrics without a unit are ratios in 0..1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What a target's gates can refer to.

    Attributes:
        task: The model's task; empty: not known.
        classes: Class names, or None where they are not known.
        has_dataset: Whether there is a dataset to validate on.
    """

    task: str
    classes: tuple[str, ...] | None
    has_dataset: bool


def read_gates(target: Node, path: str, scope: Scope) -> tuple[tuple[Gate, ...], list[Problem]]:
    """Return the gates of a complete target in the order written, and what is wrong with them."""
    section = target.get("acceptance")
    gates: list[Gate] = []
    problems: list[Problem] = []
    for metric, node in section.entries.items() if section else ():
        where = f"{path}.acceptance.{metric}"
        found = list(_metric_problems(metric, node, where, scope))
        if not found and node.is_mapping:
            kind = METRICS[metric.partition("/")[0]]
            found = [
                *_shape_problems(metric, kind, node, where),
                *_evidence(metric, kind, node, where),
            ]
            gates += [] if found else _gates(metric, node)
        problems += found
    return tuple(gates), problems


def _gates(metric: str, node: Node) -> Iterator[Gate]:
    evidence = node.get("evidence")
    if evidence is not None and evidence.text not in EVIDENCE:
        return  # the schema says so
    for kind in GATE_KINDS:
        limit = _limit(node, kind)
        if limit is not None:
            yield Gate(metric=metric, kind=kind, limit=limit, evidence=evidence.text if evidence else "")


def _limit(node: Node, kind: str) -> float | None:
    limit = node.get(kind)
    if limit is None or isinstance(limit.value, bool) or not isinstance(limit.value, int | float):
        return None
    return float(limit.value)


def _metric_problems(metric: str, node: Node, path: str, scope: Scope) -> Iterator[Problem]:
    name, slash, class_name = metric.partition("/")
    kind = METRICS.get(name)
    if kind is None or kind.source == "log":
        usable = [
            known
            for known, kind in METRICS.items()
            if kind.source != "log" and (not kind.tasks or scope.task in {"", *kind.tasks})
        ]
        hint = did_you_mean(name, usable, otherwise=f"metrics: {listed(usable, most=20)}")
        yield node.problem(path, f"there is no metric {name!r}", hint=hint, at=node.key)
    elif kind.tasks and scope.task not in {"", *kind.tasks}:
        hint = f"it exists for {listed(kind.tasks)}"
        yield node.problem(path, f"{name} does not exist for the task {scope.task}", hint=hint, at=node.key)
    elif slash and name not in PER_CLASS:
        hint = f"per class there are {listed(PER_CLASS)}"
        yield node.problem(path, f"{name} is not measured per class", hint=hint, at=node.key)
    elif slash and scope.classes is not None and class_name not in scope.classes:
        hint = did_you_mean(class_name, scope.classes)
        message = f"there is no class {class_name!r}; classes: {listed(scope.classes, most=30)}"
        yield node.problem(path, message, hint=hint, at=node.key)
    elif kind.source == "validate" and not scope.has_dataset:
        yield node.problem(path, "there is no dataset to measure it on", hint="add dataset:", at=node.key)


def _shape_problems(metric: str, kind: MetricKind, node: Node, path: str) -> Iterator[Problem]:
    limits = {name: limit for name in GATE_KINDS if (limit := _limit(node, name)) is not None}
    if set(node.entries) <= {"evidence"}:
        yield node.problem(
            path, "sets no limit", hint=f"give one of {listed(GATE_KINDS)}, or null for no gate"
        )
    if "max_drop" in limits and kind.better == "lower":
        yield _at(
            node, path, "max_drop", f"less {metric} is better, so it cannot drop too far", "use max_ratio"
        )
    if "max_ratio" in limits and kind.better == "higher":
        yield _at(
            node,
            path,
            "max_ratio",
            f"more {metric} is better, so no ratio is too high",
            "use max_drop or min",
        )
    for name in ("min", "max_drop"):
        if not kind.unit and limits.get(name, 0) > IMPOSSIBLE_ABOVE:
            what = "no model can reach that" if name == "min" else "no model can miss that"
            yield _at(node, path, name, f"{metric} is a ratio between 0 and 1: {what}", "70 percent is 0.7")
    if "min" in limits and "max" in limits and limits["min"] > limits["max"]:
        yield _at(node, path, "min", f"min {limits['min']:g} is above max {limits['max']:g}", "swap them")


def _evidence(metric: str, kind: MetricKind, node: Node, path: str) -> Iterator[Problem]:
    evidence = node.get("evidence")
    if evidence is None:
        return
    if kind.source == "artifact" and evidence.value not in {"host", None}:
        yield _at(node, path, "evidence", f"{metric} is always measured on the host", "remove evidence")
    elif evidence.value == "device":
        message = "nothing is measured on a device in this version, whatever device: the target names"
        hint = f"remove evidence to judge what is measured here, or write {metric}: null"
        yield _at(node, path, "evidence", message, hint)


def _at(node: Node, path: str, name: str, message: str, hint: str) -> Problem:
    return node.entries[name].problem(f"{path}.{name}", message, hint=hint)
