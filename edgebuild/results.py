"""What a run came to, as values: the terminal table, ``--json``, and the report are all made from these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgebuild.action import ActionResult, Finding, Outcome
    from edgebuild.gates import Metric, Verdict

SCHEMA = 1

Status = Literal["passed", "rejected", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetResult:
    """What came of one target.

    Attributes:
        status: ``passed``; ``rejected`` when a gate was missed; ``failed`` when a step failed; ``skipped``
            when its toolchain is absent and the user chose to go on without it.
        ship: False for a target that is only there to compare with: it has no package.
        metrics: Everything measured, each with its evidence.
        verdicts: One per gate.
        message: Why it failed or was skipped.
        package: Package path relative to the workspace, or empty.
        artifact: Artifact path relative to the workspace, or empty.
        detections: Detections document of the artifact, or None.
        benchmark: Benchmark document, or None.
        search: What the search that chose its float nodes found, or None.
        comparison: Comparison with the float model, block by block, or None.
        baseline: Metrics of the float model that it is compared with, where that is not the run's: a model
            with another head.
        baseline_detections: That model's detections document, or None.
        actions: Ids of the actions it needed.
    """

    name: str
    toolchain: str
    recipe: str
    ship: bool
    status: Status
    metrics: tuple[Metric, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    message: str = ""
    package: str = ""
    artifact: str = ""
    detections: Path | None = None
    benchmark: Path | None = None
    search: Path | None = None
    comparison: Path | None = None
    baseline: tuple[Metric, ...] = ()
    baseline_detections: Path | None = None
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionView:
    """One action as people see it.

    Attributes:
        title: A few words, such as ``export ONNX``.
        targets: Names of the targets it is for.
        needs: Ids of the actions whose outputs it reads.
        command: The command as printed by ``edgebuild commands``.
        result: What came of it in this run; None when it was not selected.
    """

    id: str
    title: str
    targets: tuple[str, ...]
    needs: tuple[str, ...]
    command: tuple[str, ...]
    result: ActionResult | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """One whole run.

    Attributes:
        name: The manifest's name.
        manifest: The manifest's path as given.
        version: The package version.
        started: Start of the run, ISO 8601 with zone; volatile, so it appears in reports only.
        seconds: Wall time of the run.
        exit_code: The process's exit code (design: worst of all targets).
        baseline: Metrics of the float model under the same protocol.
        baseline_detections: Detections document of the float model, or None.
        protocol: The validation protocol in words and numbers, for the report.
        trained: Path of the trained weights relative to the workspace, or empty.
    """

    name: str
    manifest: str
    version: str
    started: str
    seconds: float
    exit_code: int
    actions: tuple[ActionView, ...]
    targets: tuple[TargetResult, ...]
    baseline: tuple[Metric, ...] = ()
    baseline_detections: Path | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    trained: str = ""


def run_document(run: RunResult) -> dict[str, Any]:
    """Return the ``edgebuild run --json`` document (its schema is a contract)."""
    return {
        "schema": SCHEMA,
        "name": run.name,
        "manifest": run.manifest,
        "exit_code": run.exit_code,
        "seconds": round(run.seconds, 3),
        **({"trained": run.trained} if run.trained else {}),
        "actions": [_action(view) for view in run.actions if view.result],
        "targets": [_target(target) for target in run.targets],
    }


def count(run: RunResult, outcome: Outcome) -> int:
    """Return how many actions ended so."""
    return sum(1 for view in run.actions if view.result and view.result.outcome is outcome)


def metric_row(metric: Metric) -> dict[str, Any]:
    """Return a metric as it appears in every document."""
    row = {"name": metric.name, "value": metric.value, "unit": metric.unit, "evidence": metric.evidence}
    return row | ({"batch": metric.batch} if metric.batch else {})


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as it appears in every document."""
    gate = verdict.gate
    return {
        "metric": gate.metric,
        "kind": gate.kind,
        "limit": gate.limit,
        "evidence": gate.evidence or None,
        "status": verdict.status,
        "value": verdict.value,
        "baseline": verdict.baseline,
        "text": verdict.text,
    }


def finding_row(finding: Finding) -> dict[str, Any]:
    """Return a finding as it appears in every document."""
    return {"id": finding.id, "level": finding.level, "message": finding.message, "hint": finding.hint}


def _action(view: ActionView) -> dict[str, Any]:
    result = view.result
    assert result is not None  # noqa: S101 - the caller filters
    return {
        "id": view.id,
        "targets": list(view.targets),
        "outcome": str(result.outcome),
        "key": result.key,
        "seconds": round(result.seconds, 3),
        "message": result.message,
        "log": result.log,
        "findings": [finding_row(finding) for finding in result.findings],
        "why": [
            {"kind": r.kind, "what": r.what, "old": r.old, "new": r.new, "where": r.where} for r in result.why
        ],
    }


def _target(target: TargetResult) -> dict[str, Any]:
    own = {"baseline": [metric_row(metric) for metric in target.baseline]} if target.baseline else {}
    return own | {
        "name": target.name,
        "toolchain": target.toolchain,
        "recipe": target.recipe,
        "ship": target.ship,
        "status": target.status,
        "metrics": [metric_row(metric) for metric in target.metrics],
        "verdicts": [verdict_row(verdict) for verdict in target.verdicts],
        "findings": [finding_row(finding) for finding in target.findings],
        "message": target.message,
        "package": target.package or None,
        "artifact": target.artifact or None,
    }
