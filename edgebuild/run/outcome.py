"""From action results to one result per target, and to that of the whole run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import Outcome
from edgebuild.gates import Gate, Metric, Verdict
from edgebuild.plan.commands import pasted
from edgebuild.plan.finding_levels import levelled, worst_levels
from edgebuild.results import ActionView, RunResult, Status, TargetResult
from edgebuild.run.placing import TRAINED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from edgebuild.action import Action, ActionResult
    from edgebuild.perform.context import Context
    from edgebuild.plan.plan import Plan, TargetPlan

SEVERITY = (1, 8, 7, 3, 6, 5, 4)
"""Exit codes from the worst to the mildest: the worst one of all targets is the run's."""


def run_result(  # noqa: PLR0913 - a run has this many sides
    plan: Plan,
    results: Mapping[str, ActionResult],
    context: Context,
    *,
    targets: tuple[str, ...],
    skipped: Mapping[str, str],
    placed: Mapping[str, Mapping[str, Path]],
    started: str,
    seconds: float,
) -> RunResult:
    """Return the whole run as one value.

    Args:
        plan: The plan.
        results: Result per selected action.
        context: What the run shared.
        targets: Targets whose verdict was selected.
        skipped: Target -> why it was left out.
        placed: Paths from :func:`edgebuild.run.placing.materialise`.
        started: When, ISO 8601.
        seconds: How long.
    """
    found = [
        *(_target(plan, plan.target(name), results, context, placed.get(name, {})) for name in targets),
        *(_skipped(plan, name, why) for name, why in skipped.items()),
    ]
    order = {target.name: index for index, target in enumerate(plan.targets)}
    found.sort(key=lambda target: order[target.name])
    manifest = plan.manifest
    return RunResult(
        name=manifest.name,
        manifest=manifest.file,
        version=manifest.package.version,
        started=started,
        seconds=seconds,
        exit_code=_exit_code(results, found),
        actions=tuple(
            ActionView(
                id=action.id,
                title=action.step,
                targets=action.targets,
                needs=action.needs,
                command=pasted(plan, action),
                result=_levelled(plan, action, results.get(action.id)),
            )
            for action in plan.actions
        ),
        targets=tuple(found),
        baseline=_baseline(plan.baseline, results, context),
        baseline_detections=_blob(results, plan.baseline_detections, "detections", context),
        protocol=_protocol(plan),
        trained=_relative(placed.get(TRAINED, {}).get("weights"), manifest.folder),
    )


def _levelled(plan: Plan, action: Action, result: ActionResult | None) -> ActionResult | None:
    """Return a result with its findings as the action's targets take them."""
    if result is None or not result.findings:
        return result
    levels = worst_levels(_levels(plan, name) for name in action.targets)
    return replace(result, findings=levelled(result.findings, levels))


def _levels(plan: Plan, target: str) -> dict[str, str]:
    return next((dict(one.findings) for one in plan.manifest.targets if one.name == target), {})


def forget_lost(results: Mapping[str, ActionResult], context: Context) -> bool:
    """Forget the results whose bytes turned out to be gone; return whether there were any."""
    lost, context.cache.store.lost = context.cache.store.lost, set()
    for result in results.values():
        digests = {d for a in result.artifacts for d in [a.digest, *(row[1] for row in a.entries)]}
        if result.key is not None and digests & lost:
            context.cache.forget(result.key)
    return bool(lost)


def _target(
    plan: Plan,
    target: TargetPlan,
    results: Mapping[str, ActionResult],
    context: Context,
    placed: Mapping[str, Path],
) -> TargetResult:
    document = _document(results, target.verdict, "verdict", context)
    broken = _cause([results[name] for name in target.actions if name in results])
    status: Status = "failed" if broken else ("passed" if document.get("status") == "passed" else "rejected")
    workspace = plan.manifest.folder
    said = [f for name in target.actions if name in results for f in results[name].findings]
    findings = [*target.notes, *said]
    return TargetResult(
        name=target.name,
        toolchain=target.toolchain.name,
        recipe=target.recipe.name,
        ship=bool(target.package),
        status=status,
        metrics=tuple(_metric(row) for row in document.get("metrics", ())),
        verdicts=tuple(_verdict(row) for row in document.get("verdicts", ())),
        findings=levelled(dict.fromkeys(findings), _levels(plan, target.name)),
        message=broken.message if broken else "",
        package=_relative(placed.get("package"), workspace),
        artifact=_relative(placed.get("artifact"), workspace),
        detections=_blob(results, target.detections, "detections", context),
        benchmark=_blob(results, target.benchmark, "benchmark", context),
        search=_blob(results, target.search, "search", context),
        comparison=_blob(results, target.compare, "comparison", context),
        baseline=_baseline(target.baseline, results, context) if target.baseline != plan.baseline else (),
        baseline_detections=_blob(results, target.baseline_detections, "detections", context)
        if target.baseline != plan.baseline
        else None,
        actions=target.actions,
    )


def _cause(results: list[ActionResult]) -> ActionResult | None:
    """Return what kept a target from its end: what failed, else the first that was not started."""
    broken = [result for result in results if not result.succeeded]
    return next((result for result in broken if result.outcome is Outcome.FAILED), next(iter(broken), None))


def _skipped(plan: Plan, name: str, why: str) -> TargetResult:
    target = plan.target(name)
    return TargetResult(
        name=name,
        toolchain=target.toolchain.name,
        recipe=target.recipe.name,
        ship=bool(target.package),
        status="skipped",
        message=why,
        actions=target.actions,
    )


def _exit_code(results: Mapping[str, ActionResult], targets: list[TargetResult]) -> int:
    codes = {result.exit_code for result in results.values() if result.exit_code}
    if not codes and any(target.status == "failed" for target in targets):
        codes.add(1)  # nobody knows why, which is a bug, and never a success
    # A target that is only compared with may miss what it likes: nothing of it ships.
    if any(target.status == "rejected" and target.ship for target in targets):
        codes.add(4)
    return worst(codes)


def worst(codes: Collection[int]) -> int:
    """Return the worst of several exit codes, 0 when all is well; one that nobody foresaw is the worst."""
    unforeseen = next((code for code in sorted(codes) if code and code not in SEVERITY), 0)
    return unforeseen or next((code for code in SEVERITY if code in codes), 0)


def _baseline(validate: str, results: Mapping[str, ActionResult], context: Context) -> tuple[Metric, ...]:
    document = _document(results, validate, "metrics", context)
    evidence = document.get("evidence", "host")
    return tuple(_metric({"evidence": evidence, **row}) for row in document.get("metrics", ()))


def _protocol(plan: Plan) -> dict[str, Any]:
    dataset = plan.manifest.dataset
    if dataset is None:
        return {}
    used = dataset.validation
    return {
        "split": used.split,
        "images": len(dataset.splits[used.split].images),
        "imgsz": list(plan.manifest.model.imgsz),
        "confidence": used.confidence,
        "iou": used.iou,
        "max_detections": used.max_detections,
    }


def _document(
    results: Mapping[str, ActionResult], action: str, role: str, context: Context
) -> dict[str, Any]:
    blob = _blob(results, action, role, context)
    found = json.loads(blob.read_text(encoding="utf-8")) if blob else {}
    return found if isinstance(found, dict) else {}


def _blob(results: Mapping[str, ActionResult], action: str, role: str, context: Context) -> Path | None:
    result = results.get(action)
    if result is None or not result.artifacts:
        return None
    return context.cache.store.blob(result.artifact(role).digest)


def _metric(row: Mapping[str, Any]) -> Metric:
    return Metric(
        name=row["name"],
        value=row["value"],
        unit=row.get("unit", ""),
        evidence=row["evidence"],
        batch=row.get("batch", 0),
    )


def _verdict(row: Mapping[str, Any]) -> Verdict:
    gate = Gate(metric=row["metric"], kind=row["kind"], limit=row["limit"], evidence=row["evidence"] or "")
    return Verdict(
        gate=gate, status=row["status"], value=row["value"], baseline=row["baseline"], text=row["text"]
    )


def _relative(path: Path | None, workspace: Path) -> str:
    return path.relative_to(workspace).as_posix() if path else ""
