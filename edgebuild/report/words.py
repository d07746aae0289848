"""How a run is put into words: statuses, symbols, numbers and limits, the same in every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.amounts import counted
from edgebuild.gates import METRICS, Metric, main_metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgebuild.gates import Gate, Verdict
    from edgebuild.results import RunResult, TargetResult

SYMBOLS = {
    "passed": "✓",
    "rejected": "✗",
    "missed": "✗",
    "unmeasured": "?",
    "failed": "!",
    "incomplete": "◐",
    "skipped": "⊘",
    "ran": "●",
    "cached": "◐",
    "current": "○",
    "not selected": "·",
    "note": "i",
    "warning": "▲",
    "error": "✗",
}
"""One symbol per state, so that nothing depends on colour alone."""

OUTCOMES = {
    "ran": "ran in this run",
    "cached": "taken from the cache",
    "current": "already in place",
    "skipped": "not possible, so left out",
    "failed": "failed",
}

EVIDENCE = {
    "host": "measured on the machine that ran edgebuild, with the artifact itself",
    "emulator": "measured in the vendor's simulator",
    "proxy": "measured with another artifact that stands in for this one",
    "device": "measured on the device",
}

SHORT = {
    "map50_95": "mAP 50-95",
    "map50": "mAP 50",
    "map50_95_mask": "mask mAP",
    "map50_mask": "mask mAP 50",
    "map50_95_pose": "pose mAP",
    "map50_pose": "pose mAP 50",
    "latency_ms_p50": "latency p50",
    "latency_ms_p90": "latency p90",
    "latency_ms_p99": "latency p99",
    "latency_ms_mean": "latency mean",
    "peak_memory_mb": "peak memory",
    "onchip_memory_mb": "memory on chip",
    "offchip_memory_mb": "memory off chip",
    "npu_cycles": "NPU cycles",
    "cpu_operators": "on the CPU",
    "size_mb": "size",
    "findings": "finding",
    "top1": "top-1",
    "top5": "top-5",
}


def overall(run: RunResult) -> str:
    """Return the one word for a run: the worst of its targets; one left out makes it ``incomplete``.

    A target that is only compared with cannot reject a run: nothing of it ships.
    """
    statuses = {t.status for t in run.targets if t.ship or t.status == "failed"}
    for status in ("failed", "rejected"):
        if status in statuses:
            return status
    if run.exit_code:
        return "failed"
    return "incomplete" if "skipped" in statuses or not statuses else "passed"


def summary(run: RunResult) -> str:
    """Return how many targets came to what, in one line."""
    counts = {
        status: sum(target.status == status for target in run.targets)
        for status in ("passed", "rejected", "failed", "skipped")
    }
    compared = sum(target.status == "rejected" and not target.ship for target in run.targets)
    notes = {"rejected": f" ({compared} only compared with)" if compared else ""}
    said = ", ".join(f"{count} {status}{notes.get(status, '')}" for status, count in counts.items() if count)
    return f"{counted(len(run.targets), 'target')}: {said}" if said else "no targets"


def metric_title(name: str) -> str:
    """Return the column title of a metric, such as ``mAP 50-95``."""
    base, slash, of_class = name.partition("/")
    return SHORT.get(base, base) + (f" {of_class}" if slash else "")


def number(name: str, value: float) -> str:
    """Return a metric's value with the digits that mean something, without its unit."""
    unit = _unit(name)
    if not unit:
        return f"{value:.4f}"
    if abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def with_unit(name: str, value: float, unit: str = "") -> str:
    """Return a metric's value with its unit, if it has one."""
    unit = unit or _unit(name)
    return f"{number(name, value)} {unit}".rstrip()


def limit(gate: Gate) -> str:
    """Return what a gate demands, such as ``≥ 0.45`` or ``drop ≤ 0.02``."""
    if gate.metric.startswith("findings/"):
        return "not allowed"
    unit = _unit(gate.metric)
    bound = f"{gate.limit:g}" + (f" {unit}" if unit and gate.kind != "max_ratio" else "")
    return {
        "min": f"≥ {bound}",
        "max": f"≤ {bound}",
        "max_drop": f"≤ {bound} below float",
        "max_ratio": f"≤ {bound} times float",
    }[gate.kind]


def observed(verdict: Verdict, metric: Metric | None = None) -> str:
    """Return what a gate was judged by: the value, or its distance from the float model.

    Args:
        verdict: The judged gate.
        metric: What was measured, where its circumstances are to be said too.
    """
    words = _observed(verdict)
    return f"{words} with {metric.batch_text}" if metric and metric.batch_text else words


def _observed(verdict: Verdict) -> str:
    gate, value, base = verdict.gate, verdict.value, verdict.baseline
    if gate.metric.startswith("findings/"):
        return verdict.text
    if value is None:
        return "not measured"
    if gate.kind == "max_drop" and base is not None:
        apart = number(gate.metric, abs(base - value))
        return f"{apart} above" if value > base and float(apart) else f"{apart} below"
    if gate.kind == "max_ratio" and base:
        return f"{value / base:.2f} times"
    return with_unit(gate.metric, value)


def delta(name: str, value: float, base: float | None) -> tuple[str, str]:
    """Return the difference from the float model in words, and whether it is ``better`` or ``worse``.

    Ratios (accuracy) are subtracted; anything with a unit is compared in percent.
    """
    if base is None:
        return "", ""
    kind = METRICS.get(name.partition("/")[0])
    difference = value - base
    if not _unit(name):
        text = f"{difference:+.4f}"
    elif base:
        text = f"{difference / base:+.0%}"
    else:
        return "", ""
    if not any(digit in text for digit in "123456789"):
        return "±0", ""
    good = kind is not None and (difference > 0) == (kind.better == "higher")
    return text.replace("-", "\N{MINUS SIGN}"), "better" if good else "worse"


def change(metric: Metric, base: Metric | None) -> tuple[str, str]:
    """Return :func:`delta` from the float model's metric, where the two can be compared.

    What a benchmark measures says something only beside what was measured in the same way; accuracy and size
    are the same wherever they come from.
    """
    same = base is not None and (base.evidence, base.batch) == (metric.evidence, metric.batch)
    if base is None or (METRICS[metric.name].source == "benchmark" and not same):
        return "", ""
    return delta(metric.name, metric.value, base.value)


def seconds(value: float) -> str:
    """Return a duration for people: ``0.42 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if value < 10:
        return f"{value:.2f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def float_of(run: RunResult, target: TargetResult) -> tuple[Metric, ...]:
    """Return the metrics of the float model that a target is compared with, those of its gates included."""
    return (*(target.baseline or run.baseline), *_judged_by(target))


def _judged_by(target: TargetResult) -> tuple[Metric, ...]:
    """Return what the target's gates compared besides accuracy: a float model is timed for them alone."""
    found = {}
    for verdict in target.verdicts:
        name, value = verdict.gate.metric, verdict.baseline
        kind = METRICS.get(name)
        if kind is not None and kind.source in {"benchmark", "artifact"} and value is not None:
            own = named(target.metrics, name)
            batch = own.batch if own else 0
            found[name] = Metric(name=name, value=value, unit=kind.unit, evidence="host", batch=batch)
    return tuple(found.values())


def _shared(targets: Iterable[TargetResult]) -> tuple[Metric, ...]:
    """Return what gates compared of one float model, where all of its targets say the same."""
    found: dict[str, set[Metric]] = {}
    for metric in (metric for target in targets for metric in _judged_by(target)):
        found.setdefault(metric.name, set()).add(metric)
    return tuple(metric for metrics in found.values() if len(metrics) == 1 for metric in metrics)


def float_models(run: RunResult) -> list[tuple[str, tuple[Metric, ...]]]:
    """Return every float model that something is compared with: a name, and its metrics; the run's first."""
    own = (*run.baseline, *_shared(target for target in run.targets if not target.baseline))
    found = [("float", own)] if own else []
    others: dict[tuple[Metric, ...], list[TargetResult]] = {}
    for target in run.targets:
        if target.baseline:
            others.setdefault(target.baseline, []).append(target)
    return found + [
        (f"float of {shortened([target.name for target in targets])}", (*metrics, *_shared(targets)))
        for metrics, targets in others.items()
    ]


def shortened(names: Sequence[str]) -> str:
    """Return names in one line, of many the first ones."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def named(metrics: Sequence[Metric], name: str) -> Metric | None:
    """Return the metric of that name, or None."""
    return next((metric for metric in metrics if metric.name == name), None)


def accuracy_name(run: RunResult) -> str:
    """Return the accuracy that charts show: mAP, of masks or keypoints where there are, or top-1."""
    rows = [*run.baseline, *(metric for target in run.targets for metric in target.metrics)]
    names = {metric.name for metric in rows}
    return main_metric(names) or "map50_95"


def reason(target: TargetResult) -> str:
    """Return why a target is not passed, in one line; empty when it is."""
    if target.message:
        return target.message
    missed = [verdict for verdict in target.verdicts if not verdict.passed]
    return "; ".join(f"{verdict.gate.metric}: {verdict.text}" for verdict in missed)


def _unit(name: str) -> str:
    kind = METRICS.get(name.partition("/")[0])
    if kind is None:
        return "ms" if "_ms" in name else ""
    return kind.unit
