from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.gates import Gate, Metric, Verdict, judge
from edgebuild.report.words import (
    SYMBOLS,
    change,
    delta,
    float_models,
    float_of,
    limit,
    metric_title,
    named,
    number,
    observed,
    overall,
    seconds,
    summary,
    with_unit,
)
from edgebuild.results import RunResult, TargetResult
from tests.unit.fixtures_report import sample_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("statuses", "exit_code", "expected"),
    [
        (["passed"], 0, "passed"),
        (["passed", "rejected"], 4, "rejected"),
        (["rejected", "failed", "skipped"], 3, "failed"),
        (["passed", "skipped"], 0, "incomplete"),
        (["skipped"], 0, "incomplete"),
        ([], 0, "incomplete"),
        (["passed"], 130, "failed"),
        ([], 2, "failed"),
    ],
)
def test_the_worst_target_decides(tmp_path: Path, statuses: list[Any], exit_code: int, expected: str) -> None:
    run = sample_run(tmp_path, 1)
    targets = tuple(replace(run.targets[0], status=status) for status in statuses)
    assert overall(replace(run, targets=targets, exit_code=exit_code)) == expected


def test_every_status_has_a_symbol_of_its_own() -> None:
    assert len({SYMBOLS[status] for status in ("passed", "rejected", "failed", "skipped")}) == 4
    assert len({SYMBOLS[outcome] for outcome in ("ran", "cached", "current", "skipped", "failed")}) == 5


def test_a_summary_counts_targets(tmp_path: Path) -> None:
    assert summary(sample_run(tmp_path)) == "4 targets: 2 passed, 1 rejected, 1 skipped"


@pytest.mark.parametrize(
    ("kind", "metric", "expected"),
    [
        ("min", "map50_95", "≥ 0.5"),
        ("max", "latency_ms_p50", "≤ 0.5 ms"),
        ("max_drop", "map50", "≤ 0.5 below float"),
        ("max_ratio", "latency_ms_p50", "≤ 0.5 times float"),
    ],
)
def test_limits_in_words(kind: Any, metric: str, expected: str) -> None:
    assert limit(Gate(metric=metric, kind=kind, limit=0.5)) == expected


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (Gate(metric="map50", kind="min", limit=0.5), "0.8000"),
        (Gate(metric="map50", kind="max_drop", limit=0.5), "0.1000 below"),
        (Gate(metric="latency_ms_p50", kind="max_ratio", limit=2), "0.50 times"),
        (Gate(metric="top1", kind="min", limit=0.5), "not measured"),
    ],
)
def test_what_a_gate_was_judged_by(gate: Gate, expected: str) -> None:
    metrics = {"map50": Metric(name="map50", value=0.8), "latency_ms_p50": _latency(10.0)}
    baseline = {"map50": Metric(name="map50", value=0.9), "latency_ms_p50": _latency(20.0)}
    assert observed(judge(gate, metrics, baseline)) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.95, "0.0500 above"), (0.90001, "0.0000 below")])
def test_a_drop_is_never_negative(value: float, expected: str) -> None:
    gate = Gate(metric="map50", kind="max_drop", limit=0.5)
    metrics, baseline = ({"map50": Metric(name="map50", value=v)} for v in (value, 0.9))
    assert observed(judge(gate, metrics, baseline)) == expected


def _latency(value: float) -> Metric:
    return Metric(name="latency_ms_p50", value=value, unit="ms")


@pytest.mark.parametrize(
    ("name", "value", "base", "expected"),
    [
        ("map50_95", 0.88, 0.9, ("\N{MINUS SIGN}0.0200", "worse")),
        ("map50_95/nut", 0.91, 0.9, ("+0.0100", "better")),
        ("latency_ms_p50", 5.0, 10.0, ("\N{MINUS SIGN}50%", "better")),
        ("throughput", 5.0, 10.0, ("\N{MINUS SIGN}50%", "worse")),
        ("map50", 0.9, 0.9, ("±0", "")),
        ("size_mb", 1.0, 0.0, ("", "")),
        ("map50", 0.9, None, ("", "")),
    ],
)
def test_differences_say_which_way_is_better(
    name: str, value: float, base: float | None, expected: tuple[str, str]
) -> None:
    assert delta(name, value, base) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("map50_95", "+0.5000"), ("size_mb", "+100%"), ("latency_ms_p50", ""), ("peak_memory_mb", "")],
)
def test_only_what_a_benchmark_measures_needs_the_same_evidence(name: str, expected: str) -> None:
    here = Metric(name=name, value=1.0, evidence="device")
    assert change(here, Metric(name=name, value=0.5, evidence="host"))[0] == expected
    assert change(here, Metric(name=name, value=0.5, evidence="device"))[0] != ""
    assert change(here, None) == ("", "")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("map50", 0.5, "0.5000"),
        ("size_mb", 0.00123, "0.0012"),
        ("size_mb", 2.345, "2.35"),
        ("throughput", 151.7, "152"),
    ],
)
def test_numbers_have_the_digits_that_mean_something(name: str, value: float, expected: str) -> None:
    assert number(name, value) == expected


def test_units_and_titles() -> None:
    assert with_unit("latency_ms_p50", 3.0) == "3.00 ms"
    assert with_unit("map50", 0.5) == "0.5000"
    assert metric_title("map50_95/hex bolt") == "mAP 50-95 hex bolt"
    assert metric_title("load_ms") == "load_ms"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.4, "0.40 s"), (59.7, "1 min 00 s"), (12.3, "12 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(value: float, expected: str) -> None:
    assert seconds(value) == expected


def _timed(name: str, base: float, *, batch: int = 1, others: tuple[Metric, ...] = ()) -> TargetResult:
    gate = Gate(metric="latency_ms_p50", kind="max_ratio", limit=2)
    return TargetResult(
        name=name, toolchain="acme", recipe="int8", ship=True, status="passed", baseline=others,
        metrics=(Metric(name="latency_ms_p50", value=10.0, unit="ms", evidence="host", batch=batch),),
        verdicts=(Verdict(gate=gate, status="passed", value=10.0, baseline=base, text=""),),
    )  # fmt: skip


def _run(*targets: TargetResult) -> RunResult:
    accuracy = (Metric(name="map50", value=0.9),)
    return RunResult(
        name="a", manifest="m", version="1", started="", seconds=0, exit_code=0, actions=(), targets=targets,
        baseline=accuracy,
    )  # fmt: skip


def test_what_gates_measured_of_the_float_model_is_shown_with_it() -> None:
    run = _run(_timed("a", 12.5), _timed("b", 12.5))
    ((title, metrics),) = float_models(run)
    assert title == "float"
    assert {metric.name: metric.value for metric in metrics} == {"map50": 0.9, "latency_ms_p50": 12.5}
    base = named(float_of(run, run.targets[0]), "latency_ms_p50")
    assert change(run.targets[0].metrics[0], base) == ("\N{MINUS SIGN}20%", "better")


def test_float_models_that_were_measured_differently_are_not_one_figure() -> None:
    others = (Metric(name="map50", value=0.8),)
    for second in (_timed("b", 13.0), _timed("b", 12.5, batch=8)):
        ((_, metrics),) = float_models(_run(_timed("a", 12.5), second))
        assert named(metrics, "latency_ms_p50") is None
    run = _run(_timed("a", 12.5), _timed("b", 13.0, others=others))
    (_, first), (title, second_model) = float_models(run)
    assert title == "float of b"
    latencies = [named(one, "latency_ms_p50") for one in (first, second_model)]
    assert [one.value for one in latencies if one] == [12.5, 13.0]
