from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.gates import (
    GATE_KINDS,
    METRICS,
    PER_CLASS,
    TIMED,
    Gate,
    GateKind,
    Metric,
    judge,
    judge_all,
)
from edgebuild.steps._timing import latency_metrics

numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6)


def gate(kind: GateKind, limit: float, metric: str = "map50_95", evidence: str = "") -> Gate:
    return Gate(metric=metric, kind=kind, limit=limit, evidence=evidence)


def put(value: float, name: str = "map50_95", unit: str = "", evidence: str = "host") -> dict[str, Metric]:
    return {name: Metric(name=name, value=value, unit=unit, evidence=evidence)}


@pytest.mark.parametrize(
    ("kind", "limit", "value", "float_value", "status"),
    [
        ("min", 0.45, 0.45, None, "passed"),
        ("min", 0.45, 0.449999, None, "missed"),
        ("max", 40, 40.0, None, "passed"),
        ("max", 40, 40.01, None, "missed"),
        ("max_drop", 0.02, 0.48, 0.5, "passed"),
        ("max_drop", 0.02, 0.479999, 0.5, "missed"),
        ("max_drop", 0.02, 0.6, 0.5, "passed"),
        ("max_drop", 0.0, 0.3, 0.1 + 0.2, "passed"),
        ("max_drop", -0.01, 0.5, 0.5, "missed"),
        ("max_ratio", 0.5, 5.0, 10.0, "passed"),
        ("max_ratio", 0.5, 5.1, 10.0, "missed"),
        ("max_ratio", 0.3, 0.1 * 3, 1.0, "passed"),
        ("max_ratio", 2.0, 1.0, 0.0, "missed"),
    ],
)
def test_a_limit_holds_or_not(
    kind: GateKind, limit: float, value: float, float_value: float | None, status: str
) -> None:
    baseline = {} if float_value is None else put(float_value)
    assert judge(gate(kind, limit), put(value), baseline).status == status


@pytest.mark.parametrize("kind", GATE_KINDS)
def test_what_was_not_measured_is_no_pass(kind: GateKind) -> None:
    verdict = judge(gate(kind, 1.0), {}, put(0.5))
    assert (verdict.status, verdict.passed, verdict.value) == ("unmeasured", False, None)


@pytest.mark.parametrize("kind", GATE_KINDS)
def test_no_number_is_no_pass(kind: GateKind) -> None:
    assert not judge(gate(kind, 1.0), put(math.nan), put(0.5)).passed
    assert not judge(gate("max_drop", 1.0), put(0.5), put(math.nan)).passed


def test_what_can_be_gated_of_a_benchmark_is_what_it_measures() -> None:
    rows = latency_metrics([1.0, 2.0], batch=1)
    assert {row["name"] for row in rows} | {"peak_memory_mb"} == set(TIMED)
    assert {METRICS[name].source for name in TIMED} == {"benchmark"}


def test_a_relative_gate_needs_the_float_model() -> None:
    verdict = judge(gate("max_drop", 0.1), put(0.5), {})
    assert (verdict.status, verdict.text) == ("unmeasured", "the float model's map50_95 was not measured")
    assert judge(gate("min", 0.1), put(0.5), {}).passed


def test_a_metric_of_another_evidence_does_not_count() -> None:
    demanding = gate("max", 40, "latency_ms_p50", evidence="device")
    verdict = judge(demanding, put(1.0, "latency_ms_p50", "ms", evidence="host"), {})
    assert verdict.status == "unmeasured"
    assert "measured on host, device is demanded" in verdict.text
    assert judge(demanding, put(1.0, "latency_ms_p50", "ms", evidence="device"), {}).passed


@pytest.mark.parametrize(
    ("one", "value", "baseline", "text"),
    [
        (gate("min", 0.45), put(0.5123456), {}, "0.5123 (at least 0.45)"),
        (gate("min", 0.45), put(0.44999), {}, "0.44999 (at least 0.45)"),
        (gate("max", 40), put(12.5, unit="ms"), {}, "12.5 ms (at most 40)"),
        (gate("max", 100), put(100.04, unit="ms"), {}, "100.04 ms (at most 100)"),
        (gate("max_drop", 0.02), put(0.4), put(0.5), "0.1 below float 0.5 (at most 0.02)"),
        (gate("max_drop", 0.02), put(0.479996), put(0.5), "0.020004 below float 0.5 (at most 0.02)"),
        (gate("max_drop", 0.02), put(0.5), put(0.5 - 1e-9), "0 below float 0.5 (at most 0.02)"),
        (gate("max_ratio", 0.5), put(3, unit="MB"), put(10), "0.3 times float 10 MB (at most 0.5)"),
        (gate("max_ratio", 0.5), put(3), put(0), "inf times float 0 (at most 0.5)"),
    ],
)
def test_the_comparison_in_words(
    one: Gate, value: dict[str, Metric], baseline: dict[str, Metric], text: str
) -> None:
    assert judge(one, value, baseline).text == text


def test_the_words_say_how_many_images_a_call_has_where_not_one() -> None:
    metrics = {"latency_ms_p50": Metric(name="latency_ms_p50", value=14.3, unit="ms", batch=8)}
    said = judge(gate("max", 10, "latency_ms_p50"), metrics, {}).text
    assert said == "14.3 ms (at most 10) with batch 8"
    assert metrics["latency_ms_p50"].circumstances == "host, batch 8"
    assert Metric(name="latency_ms_p50", value=14.3, batch=1).circumstances == "host"


@given(st.sampled_from(["min", "max"]), numbers, numbers)
def test_words_never_say_that_equal_numbers_differ(kind: GateKind, limit: float, value: float) -> None:
    verdict = judge(gate(kind, limit), put(value), {})
    said, _, bound = verdict.text.partition(" (at least " if kind == "min" else " (at most ")
    if not verdict.passed and f"{value:.12g}" != f"{limit:.12g}":
        assert said != bound.rstrip(")")


@given(numbers, numbers, st.floats(0, 10))
def test_a_better_value_never_turns_a_pass_into_a_miss(value: float, limit: float, better: float) -> None:
    for kind, sign in (("min", 1), ("max", -1), ("max_drop", 1)):
        one = gate(kind, limit)  # type: ignore[arg-type]
        if judge(one, put(value), put(1.0)).passed:
            assert judge(one, put(value + sign * better), put(1.0)).passed


def test_verdicts_come_in_the_order_of_the_gates() -> None:
    gates = (gate("max", 1), gate("min", 1), gate("max_drop", 1))
    assert [v.gate for v in judge_all(gates, put(1.0), put(1.0))] == list(gates)


def test_every_metric_says_what_it_is() -> None:
    assert set(PER_CLASS) <= set(METRICS)
    for name, kind in METRICS.items():
        assert kind.text
        assert (kind.source == "validate") == (kind.unit == ""), name
