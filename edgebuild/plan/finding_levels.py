"""How much a manifest makes of what tools say: levels by finding, and ids that nothing can ever say. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from edgebuild.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from edgebuild.action import Action, Finding, LogRule
    from edgebuild.errors import Problem
    from edgebuild.manifest.values import Manifest
    from edgebuild.toolchain.load import Toolchain

OWN = (
    "calibration-class-missing",
    "calibration-class-rare",
    "calibration-copies",
    "calibration-coverage",
    "calibration-few",
    "calibration-many",
    "calibration-near-validation",
    "calibration-one-class",
    "calibration-shift",
    "calibration-size",
    "choice-without-node",
    "head-fitted",
    "noisy-latency",
    "not-reproducible",
    "opset-fitted",
    "other-cpu-family",
    "quantize-groups",
    "shapes-fitted",
    "step-warning",
    "version-assumed",
    "version-unknown",
)
"""Findings of edgebuild's own steps; a toolchain declares those of its tools."""

_SEVERITY = ("error", "warning", "note")

LEVELS: dict[str, Literal["error", "warning", "note"]] = {
    "error": "error",
    "warning": "warning",
    "note": "note",
}
"""How much a finding matters, by name."""


def known_findings(toolchains: Iterable[Toolchain]) -> tuple[str, ...]:
    """Return the id of everything that can be found, sorted."""
    declared = (rule.id for toolchain in toolchains for rule in toolchain.findings)
    return tuple(sorted({*OWN, *declared}))


def finding_problems(manifest: Manifest, toolchains: Mapping[str, Toolchain]) -> Iterator[Problem]:
    """Yield the ids in ``findings`` that neither a toolchain of the manifest nor a step of ours knows."""
    known = known_findings(toolchains.values())
    seen: set[tuple[int, int]] = set()
    for target in manifest.targets:
        for name, _ in target.findings:
            path = f"targets.{target.name}.findings.{name}"
            place = manifest.positions.get(path, (0, 0))
            if name in known or place in seen:
                continue
            seen |= {place} if place[0] else set()
            hint = did_you_mean(name, known, otherwise=f"known: {listed(known, most=30)}")
            message = f"there is no finding {name!r}"
            yield manifest.problem(path, message, hint=hint)


def refused_notes(manifest: Manifest, notes: Mapping[str, Iterable[Finding]]) -> Iterator[Problem]:
    """Yield what is known of targets before anything runs and is an error.

    No step says it, so no verdict would hear of it.

    Args:
        manifest: The manifest.
        notes: What is known, by target.
    """
    for target in manifest.targets:
        levels = dict(target.findings)
        for note in notes.get(target.name, ()):
            if levels.get(note.id, note.level) == "error":
                path = f"targets.{target.name}.findings.{note.id}"
                yield manifest.problem(path, f"{note.message}: an error here", hint=note.hint)


def rules_for(toolchain: Toolchain, options: Mapping[str, Any]) -> tuple[LogRule, ...]:
    """Return the rules of a toolchain that are for a target with these options."""
    return tuple(
        rule
        for rule in toolchain.findings
        if all(options.get(name) in values for name, values in rule.options)
    )


def rejecting_patterns(rules: Iterable[LogRule], levels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the patterns of the rules whose findings are errors to a target with these levels."""
    return tuple(rule.pattern for rule in rules if levels.get(rule.id, rule.level) == "error")


def rejecting(actions: Iterable[Action], levels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids of those actions that may say something that is an error to a target.

    A tool says what its rules know. Our own steps say no errors by themselves; any of them may say what a
    manifest takes for one.

    Args:
        actions: What a target is made by.
        levels: The target's levels by finding.
    """
    asked = "error" in levels.values()
    return tuple(
        action.id
        for action in actions
        if asked or any(levels.get(rule.id, rule.level) == "error" for rule in action.findings)
    )


def levelled(findings: Iterable[Finding], levels: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return findings with the levels that a target gives them, without those it ignores.

    Args:
        findings: What was found.
        levels: ``error``, ``warning``, ``note`` or ``ignore`` by id; others keep their level.
    """
    return tuple(
        replace(found, level=LEVELS.get(levels.get(found.id, ""), found.level))
        for found in findings
        if levels.get(found.id) != "ignore"
    )


def worst_levels(several: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the levels for something that several targets share: the worst that any of them gives."""
    rows = list(several)
    names = {name for row in rows for name in row}
    return {name: level for name in sorted(names) if (level := _worst([row.get(name, "") for row in rows]))}


def _worst(levels: list[str]) -> str:
    """Return the worst of the levels; empty when it is up to the finding itself."""
    worst = next((level for level in _SEVERITY if level in levels), "")
    if worst == "error" or "" not in levels:
        return worst or "ignore"
    return ""
