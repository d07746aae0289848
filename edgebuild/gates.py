"""Gates: declared limits on metrics, and the verdicts they come to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

GateKind = Literal["min", "max", "max_drop", "max_ratio"]
GATE_KINDS: tuple[GateKind, ...] = ("min", "max", "max_drop", "max_ratio")

EVIDENCE = ("host", "emulator", "proxy", "device")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricKind:
    """What is known of a metric before anything is measured.

    Attributes:
        unit: Unit of the value; empty for a ratio in 0..1.
        better: Which direction is better.
        source: The step that measures it: ``validate``, ``benchmark``, ``artifact`` (its bytes) or
            ``log`` (what tools said; not for ``acceptance``).
        tasks: Tasks it exists for; empty: all.
        text: One line for people.
    """

    unit: str
    better: Literal["higher", "lower"]
    source: Literal["validate", "benchmark", "artifact", "log"]
    tasks: tuple[str, ...] = ()
    text: str


_BOXES = ("detect", "segment", "pose", "obb")

METRICS: dict[str, MetricKind] = {
    "map50_95": MetricKind(
        unit="", better="higher", source="validate", tasks=_BOXES, text="mAP at IoU 0.50:0.95"
    ),
    "map50": MetricKind(unit="", better="higher", source="validate", tasks=_BOXES, text="mAP at IoU 0.50"),
    "precision": MetricKind(unit="", better="higher", source="validate", tasks=_BOXES, text="mean precision"),
    "recall": MetricKind(unit="", better="higher", source="validate", tasks=_BOXES, text="mean recall"),
    "map50_95_mask": MetricKind(
        unit="", better="higher", source="validate", tasks=("segment",), text="mask mAP at IoU 0.50:0.95"
    ),
    "map50_mask": MetricKind(
        unit="", better="higher", source="validate", tasks=("segment",), text="mask mAP at IoU 0.50"
    ),
    "map50_95_pose": MetricKind(
        unit="", better="higher", source="validate", tasks=("pose",), text="keypoint mAP at OKS 0.50:0.95"
    ),
    "map50_pose": MetricKind(
        unit="", better="higher", source="validate", tasks=("pose",), text="keypoint mAP at OKS 0.50"
    ),
    "top1": MetricKind(
        unit="", better="higher", source="validate", tasks=("classify",), text="top-1 accuracy"
    ),
    "top5": MetricKind(
        unit="", better="higher", source="validate", tasks=("classify",), text="top-5 accuracy"
    ),
    "latency_ms_p50": MetricKind(unit="ms", better="lower", source="benchmark", text="median latency"),
    "latency_ms_p90": MetricKind(
        unit="ms", better="lower", source="benchmark", text="90th percentile latency"
    ),
    "latency_ms_p99": MetricKind(
        unit="ms", better="lower", source="benchmark", text="99th percentile latency"
    ),
    "latency_ms_mean": MetricKind(unit="ms", better="lower", source="benchmark", text="mean latency"),
    "throughput": MetricKind(unit="images/s", better="higher", source="benchmark", text="images per second"),
    "peak_memory_mb": MetricKind(unit="MB", better="lower", source="benchmark", text="peak resident memory"),
    "onchip_memory_mb": MetricKind(
        unit="MB", better="lower", source="benchmark", text="memory on the chip, as the compiler estimates"
    ),
    "offchip_memory_mb": MetricKind(
        unit="MB", better="lower", source="benchmark", text="memory off the chip, as the compiler estimates"
    ),
    "npu_cycles": MetricKind(
        unit="cycles", better="lower", source="benchmark", text="cycles of the accelerator for one batch"
    ),
    "cpu_operators": MetricKind(
        unit="operators", better="lower", source="benchmark", text="operators left on the CPU"
    ),
    "size_mb": MetricKind(unit="MB", better="lower", source="artifact", text="size of the artifact"),
    "findings": MetricKind(unit="times", better="lower", source="log", text="a finding that must not be"),
}

TIMED = (
    "latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "latency_ms_mean", "throughput", "peak_memory_mb",
)  # fmt: skip
"""What a benchmark measures that runs an artifact; a compiler's estimate has what its tool prints."""

PER_CLASS = tuple(name for name, kind in METRICS.items() if kind.tasks and "classify" not in kind.tasks)
"""Metrics that also exist per class, spelled ``map50_95/<class>``."""

MAIN_METRICS = {
    "detect": "map50_95",
    "obb": "map50_95",
    "segment": "map50_95_mask",
    "pose": "map50_95_pose",
    "classify": "top1",
}
"""What a model is judged by first, by task."""


def main_metric(measured: Container[str]) -> str:
    """Return what a model is judged by first of what was measured of it, or nothing.

    A task that has a metric of its own is measured with those of ``detect`` too: its own comes first.
    """
    return next((name for name in reversed(MAIN_METRICS.values()) if name in measured), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """One limit on one metric.

    Attributes:
        metric: Name in :data:`METRICS`, or ``<metric>/<class>``.
        kind: ``min`` and ``max`` bound the value; ``max_drop`` bounds float minus value; ``max_ratio``
            bounds value divided by float. Float means the float model under the same protocol.
        limit: The bound, in the metric's unit.
        evidence: Evidence the measurement must have, or empty for any.
    """

    metric: str
    kind: GateKind
    limit: float
    evidence: str = ""

    @property
    def relative(self) -> bool:
        """Whether the gate compares with the float model."""
        return self.kind in {"max_drop", "max_ratio"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A measured value; it never loses where it was measured.

    Attributes:
        batch: Images per call, for what a benchmark measures; 0: the value is none of a call.
    """

    name: str
    value: float
    unit: str = ""
    evidence: str = "host"
    batch: int = 0

    @property
    def batch_text(self) -> str:
        """Images per call in words, where that is not one; else empty."""
        return f"batch {self.batch}" if self.batch > 1 else ""

    @property
    def circumstances(self) -> str:
        """Where it was measured, and with how many images per call where that is not one."""
        return ", ".join(filter(None, (self.evidence, self.batch_text)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a gate came to.

    Attributes:
        gate: The limit.
        status: ``passed``, ``missed`` or ``unmeasured`` (no value with the evidence asked for).
        value: The observed value, or None.
        baseline: The float model's value, for relative gates.
        text: The comparison in words.
    """

    gate: Gate
    status: Literal["passed", "missed", "unmeasured"]
    value: float | None
    baseline: float | None = None
    text: str

    @property
    def passed(self) -> bool:
        """Whether the gate holds; an unmeasured gate does not."""
        return self.status == "passed"


def judge(gate: Gate, metrics: Mapping[str, Metric], baseline: Mapping[str, Metric]) -> Verdict:
    """Return the verdict of one gate.

    Args:
        gate: The limit.
        metrics: Metrics of the target, by name.
        baseline: Metrics of the float model under the same protocol, by name.
    """
    metric = metrics.get(gate.metric)
    if metric is None:
        return _unmeasured(gate, f"{gate.metric} was not measured")
    if gate.evidence and metric.evidence != gate.evidence:
        return _unmeasured(
            gate, f"{gate.metric} was measured on {metric.evidence}, {gate.evidence} is demanded"
        )
    reference = baseline.get(gate.metric)
    if gate.relative and reference is None:
        return _unmeasured(gate, f"the float model's {gate.metric} was not measured")
    observed, text = _observed(gate, metric, reference)
    text += f" with {metric.batch_text}" if metric.batch_text else ""
    holds = observed >= gate.limit if gate.kind == "min" else observed <= gate.limit
    return Verdict(
        gate=gate,
        status="passed" if holds else "missed",
        value=metric.value,
        baseline=reference.value if reference and gate.relative else None,
        text=text,
    )


def judge_finding(name: str, message: str) -> Verdict:
    """Return the verdict of a finding that a manifest does not allow.

    Args:
        name: The finding's id.
        message: Who said what, such as ``npu/compile: X falls back to CPU``.
    """
    gate = Gate(metric=f"findings/{name}", kind="max", limit=0.0)
    return Verdict(gate=gate, status="missed", value=1.0, text=message)


def judge_all(
    gates: Iterable[Gate], metrics: Mapping[str, Metric], baseline: Mapping[str, Metric]
) -> tuple[Verdict, ...]:
    """Return the verdicts in the order of the gates."""
    return tuple(judge(gate, metrics, baseline) for gate in gates)


def _observed(gate: Gate, metric: Metric, reference: Metric | None) -> tuple[float, str]:
    unit = f" {metric.unit}" if metric.unit else ""
    if gate.kind in {"min", "max"}:
        value, limit = _numbers(metric.value, gate.limit)
        return metric.value, f"{value}{unit} (at {'least' if gate.kind == 'min' else 'most'} {limit})"
    base = reference.value if reference else 0.0
    if gate.kind == "max_drop":
        # Six decimals are what a metric is written with; a difference of two must not fail by 1e-17.
        drop = round(base - metric.value, 6) + 0.0  # -0.0 is written as 0
        value, limit = _numbers(drop, gate.limit)
        return drop, f"{value}{unit} below float {_number(base)} (at most {limit})"
    ratio = round(metric.value / base, 6) if base else float("inf")
    value, limit = _numbers(ratio, gate.limit)
    return ratio, f"{value} times float {_number(base)}{unit} (at most {limit})"


def _numbers(value: float, limit: float) -> tuple[str, str]:
    """Return two numbers in as many digits as it takes to tell them apart."""
    short = _number(value), _number(limit)
    return (f"{value:.12g}", f"{limit:.12g}") if short[0] == short[1] and value != limit else short


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 100 else f"{value:.1f}"


def _unmeasured(gate: Gate, text: str) -> Verdict:
    return Verdict(gate=gate, status="unmeasured", value=None, text=text)
