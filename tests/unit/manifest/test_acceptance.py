from __future__ import annotations

import pytest

from edgebuild.document.parse import parse
from edgebuild.gates import Gate
from edgebuild.manifest.acceptance import Scope, read_gates

BOXES = Scope(task="detect", classes=("bolt", "hex nut"), has_dataset=True)


def read(text: str, scope: Scope = BOXES) -> tuple[tuple[Gate, ...], list[str]]:
    node, _ = parse(f"{{acceptance: {text}}}", file="m.yaml")
    gates, problems = read_gates(node, "targets.a", scope)
    return gates, [problem.message for problem in problems]


def test_each_limit_is_a_gate_in_the_order_written() -> None:
    gates, problems = read("{size_mb: {max: 4}, map50/hex nut: {max_drop: 0.02, min: 0.5, evidence: host}}")

    assert problems == []
    assert gates == (
        Gate(metric="size_mb", kind="max", limit=4.0),
        Gate(metric="map50/hex nut", kind="min", limit=0.5, evidence="host"),
        Gate(metric="map50/hex nut", kind="max_drop", limit=0.02, evidence="host"),
    )


@pytest.mark.parametrize("text", ["none", "{}"])
def test_there_may_be_no_gates(text: str) -> None:
    assert read(text) == ((), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{mAP: {min: 1}}", "there is no metric 'mAP'"),
        ("{'': {min: 1}}", "there is no metric ''"),
        ("{top1: {min: 1}}", "top1 does not exist for the task detect"),
        ("{map50/screw: {min: 1}}", "there is no class 'screw'; classes: bolt, hex nut"),
        ("{latency_ms_p50/bolt: {max: 1}}", "latency_ms_p50 is not measured per class"),
        ("{map50: {}}", "sets no limit"),
        ("{map50: {evidence: host}}", "sets no limit"),
        ("{throughput: {max_ratio: 1}}", "more throughput is better, so no ratio is too high"),
        ("{latency_ms_p99: {max_drop: 1}}", "less latency_ms_p99 is better, so it cannot drop too far"),
        ("{recall: {min: 1.5}}", "recall is a ratio between 0 and 1: no model can reach that"),
        ("{recall: {max_drop: 2}}", "recall is a ratio between 0 and 1: no model can miss that"),
        ("{recall: {min: 0.5, max: 0.4}}", "min 0.5 is above max 0.4"),
        ("{size_mb: {max: 1, evidence: emulator}}", "size_mb is always measured on the host"),
        (
            "{latency_ms_p50: {max: 1, evidence: device}}",
            "nothing is measured on a device in this version, whatever device: the target names",
        ),
    ],
)
def test_gates_that_make_no_sense_are_refused(text: str, message: str) -> None:
    assert read(text)[1] == [message]


def test_limits_in_units_may_be_above_one() -> None:
    assert read("{throughput: {min: 30, max_drop: 5}, latency_ms_p50: {min: 2, max: 40}}")[1] == []


def test_without_a_dataset_only_accuracy_cannot_be_gated() -> None:
    scope = Scope(task="detect", classes=None, has_dataset=False)

    assert read("{map50: {min: 0.1}, size_mb: {max: 4}}", scope)[1] == [
        "there is no dataset to measure it on"
    ]


def test_classes_that_are_not_known_are_not_judged() -> None:
    scope = Scope(task="detect", classes=None, has_dataset=True)

    assert read("{map50/anything: {min: 0.1}}", scope)[1] == []
