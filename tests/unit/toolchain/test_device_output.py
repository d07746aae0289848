"""Every tool's recorded output, read by the rules of its toolchain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.toolchain.device_output import (
    FACTORS,
    READINGS,
    DeviceTool,
    OutputRule,
    known_names,
    metrics,
    read_output,
)
from edgebuild.toolchain.load import load_toolchain, toolchain_names
from edgebuild.toolchain.schema import schema

if TYPE_CHECKING:
    from edgebuild.toolchain.device_output import Take

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLES = REPOSITORY / "tests" / "fixtures" / "device"
SEARCH = [REPOSITORY / "templates"]

RECORDED: dict[tuple[str, str], dict[str, Any]] = {
    ("ascend", "ais_bench"): {
        "throughput": 281.388935,
        "latency_ms_min": 2.477,
        "latency_ms_max": 3.937,
        "latency_ms_mean": 3.5538,
        "latency_ms_p50": 3.723,
        "latency_ms_p99": 3.93668,
    },
    ("ascend", "ais_bench-two-devices"): {"throughput": 557.93},
    ("ascend", "msame"): {"latency_ms_mean": 1205.274374},
    ("ascend", "npu-smi"): {"device": "310P3", "health": "OK", "power_w": 16.2, "temperature_c": 42.0},
    ("axera", "ax_run_model"): {"latency_ms_min": 0.719, "latency_ms_max": 0.726, "latency_ms_mean": 0.721},
    ("axera", "axcl_run_model"): {
        "latency_ms_min": 7.793,
        "latency_ms_max": 7.929,
        "latency_ms_mean": 7.804,
        "latency_ms_p50": 7.799,
        "latency_ms_p90": 7.808,
        "latency_ms_p95": 7.832,
        "latency_ms_p99": 7.929,
    },
    ("axera", "axcl-smi"): {
        "temperature_c": 49.263,
        "memory_total_mb": 7381.97504,
        "memory_used_mb": 19.329024,
        "runtime": "V2.26.1",
    },
    ("axelera", "axrunmodel"): {"throughput": 809.3, "latency_ms_mean": 4.21, "temperature_c": 42.0},
    ("axelera", "axdevice"): {"device": "metis-0:1:0", "firmware": "1.3.0", "clock_mhz": 800.0},
    ("axelera", "axdevice-old"): {"device": "metis-0:1:0", "firmware": "v1.0.0-rc4", "clock_mhz": 800.0},
    ("onnxruntime", "onnxruntime_perf_test"): {
        "latency_ms_mean": 62.2935,
        "latency_ms_p50": 62.1,
        "latency_ms_p90": 65.4,
        "latency_ms_p95": 70.1,
        "latency_ms_p99": 85.4,
        "throughput": 16.0476,
        "peak_memory_mb": 271.122432,
    },
    ("onnxruntime", "onnxruntime_perf_test-newer"): {"latency_ms_mean": 98.961997, "throughput": 10.1049},
    ("onnxruntime", "vcgencmd"): {
        "temperature_c": 48.3,
        "throttled": "under-voltage has occurred, throttling has occurred",
    },
    ("ncnn", "benchncnn"): {"latency_ms_min": 58.66, "latency_ms_max": 61.02, "latency_ms_mean": 59.43},
    ("iree", "iree-benchmark-module"): {"latency_ms_mean": 115.0, "throughput": 8.70736},
    ("iree", "iree-benchmark-module-repeated"): {"latency_ms_mean": 118.0, "throughput": 8.48418},
    ("mnn", "benchmark.out"): {"latency_ms_min": 44.871, "latency_ms_max": 48.12, "latency_ms_mean": 45.902},
    ("litert", "benchmark_model"): {
        "latency_ms_mean": 45.7432,
        "latency_ms_min": 44.988,
        "latency_ms_max": 48.105,
        "latency_ms_p50": 45.691,
        "latency_ms_p95": 46.628,
        "peak_memory_mb": 37.879808,
    },
    ("litert", "benchmark_model-older"): {
        "latency_ms_mean": 2950.34,
        "latency_ms_min": 2727.568,
        "latency_ms_max": 3189.954,
    },
    ("hailo", "hailortcli"): {"throughput": 309.441, "latency_ms_mean": 6.66137, "power_w": 3.19395},
    ("hailo", "hailortcli-5"): {"throughput": 307.48, "temperature_c": 33.74},
    ("hailo", "hailortcli-run2"): {"throughput": 307.46},
    ("hailo", "fw-control"): {"device": "HAILO10H", "firmware": "5.1.1"},
    ("tensorrt", "trtexec"): {
        "throughput": 4760.8,
        "latency_ms_min": 0.193115,
        "latency_ms_max": 1.85248,
        "latency_ms_mean": 0.215958,
        "latency_ms_p50": 0.195679,
        "latency_ms_p90": 0.197632,
        "latency_ms_p95": 0.199219,
        "latency_ms_p99": 0.910339,
    },
    ("tensorrt", "trtexec-older"): {
        "throughput": 100.5,
        "latency_ms_min": 9.1,
        "latency_ms_max": 11.8,
        "latency_ms_mean": 9.9,
        "latency_ms_p50": 9.8,
        "latency_ms_p99": 11.2,
    },
    ("openvino", "benchmark_app"): {
        "throughput": 51.49,
        "latency_ms_p50": 19.42,
        "latency_ms_mean": 19.48,
        "latency_ms_min": 18.9,
        "latency_ms_max": 35.04,
    },
    ("openvino", "benchmark_app-us"): {
        "throughput": 1215.1,
        "latency_ms_p50": 0.8124,
        "latency_ms_p99": 0.9612,
    },
    ("sophgo", "bmrt_test"): {"latency_ms_mean": 6.998},
    ("sophgo", "bmrt_test-launch"): {"latency_ms_mean": 4.122},
    ("cambricon", "mm_run"): {"throughput": 812.5},
    ("cambricon", "offline-example"): {"throughput": 63.8844},
    ("rknn", "rknn_compiler"): {"npu_cycles": 1330318, "cpu_operators": 0, "offchip_memory_mb": 3.784315},
    ("rknn", "rknn_benchmark"): {"latency_ms_mean": 17.16, "throughput": 58.275},
    ("rknn", "eval_perf"): {"latency_ms_mean": 20.663},
    ("rknn", "eval_perf-time"): {"latency_ms_mean": 17.219},
    ("rknn", "eval_memory"): {"memory_used_mb": 5.934940},
    ("ethos-u", "vela"): {
        "latency_ms_p50": 9.11,
        "latency_ms_mean": 9.11,
        "throughput": 109.76,
        "npu_cycles": 7584539,
        "cpu_operators": 7,
        "onchip_memory_mb": 0.389345,
        "offchip_memory_mb": 4.291133,
    },
    ("imx500", "kpi"): {"latency_ms_mean": 16.2},
    ("imx500", "imx500_memory"): {"onchip_memory_mb": 3.984576},
}
"""Toolchain and sample -> what it says, in our units."""

HERE = {name for name in toolchain_names(SEARCH) if load_toolchain(name, SEARCH).device}


def tool_of(toolchain: str, sample: str) -> DeviceTool:
    """Return the tool of a sample ``<tool>[-<variant>].txt``."""
    tools = {tool.name: tool for tool in load_toolchain(toolchain, SEARCH).device}
    return tools[max((name for name in tools if sample.startswith(name)), key=len)]


@pytest.mark.parametrize(("toolchain", "sample"), [case for case in RECORDED if case[0] in HERE])
def test_a_recorded_output_is_read(toolchain: str, sample: str) -> None:
    text = (SAMPLES / f"{sample}.txt").read_text(encoding="utf-8")
    found = {one.name: one.value for one in read_output(tool_of(toolchain, sample), text)}
    assert found == pytest.approx(RECORDED[toolchain, sample], abs=1e-6)


def test_every_sample_is_read_and_every_tool_has_one() -> None:
    assert {path.stem for path in SAMPLES.iterdir()} == {sample for _, sample in RECORDED}
    tools = {(name, tool.name) for name in HERE for tool in load_toolchain(name, SEARCH).device}
    assert tools == {(name, tool_of(name, sample).name) for name, sample in RECORDED if name in HERE}


def rule(pattern: str, unit: str = "", take: Take = "first") -> DeviceTool:
    return DeviceTool(name="x", kind="benchmark", rules=(OutputRule(pattern=pattern, unit=unit, take=take),))


def test_queries_count_batches() -> None:
    (one,) = read_output(rule(r"(?P<throughput>\d+) qps", "qps"), "100 qps", batch=8)
    assert (one.value, one.unit) == (800.0, "images/s")


@pytest.mark.parametrize(("take", "value"), [("first", 1.0), ("last", 3.0), ("mean", 2.0)])
def test_of_several_matches_one_counts(take: Take, value: float) -> None:
    (one,) = read_output(rule(r"t=(?P<latency_ms_p50>\d)", "ms", take), "t=1\r\nt=2\r\nt=3\r\n")
    assert one.value == value


@pytest.mark.parametrize("word", ["N/A", "-", "nan", "inf", "1.2.3"])
def test_what_stands_in_place_of_a_number_is_no_reading(word: str) -> None:
    tool = rule(r"t=(?P<latency_ms_p50>\S+)", "ms", "mean")
    assert read_output(tool, f"t={word}\n") == ()
    assert [one.value for one in read_output(tool, f"t=2\nt={word}\nt=4\n")] == [3.0]


def test_flags_that_are_no_number_are_no_reading() -> None:
    flags = OutputRule(pattern=r"throttled=(?P<throttled>\S+)", flags=((0, "under-voltage"),))
    tool = DeviceTool(name="x", kind="health", rules=(flags,))
    assert [one.value for one in read_output(tool, "throttled=0x1")] == ["under-voltage"]
    assert read_output(tool, "throttled=unknown") == ()


def test_an_output_that_says_nothing_has_no_readings() -> None:
    assert read_output(rule(r"t=(?P<latency_ms_p50>\d)"), "error: no device\n") == ()


def test_metrics_carry_where_they_were_measured() -> None:
    tool = rule(r"(?P<latency_ms_p50>\d) ms (?P<temperature_c>\d+) C")
    readings = read_output(tool, "5 ms 40 C")
    assert [(m.name, m.value, m.evidence) for m in metrics(tool, readings)] == [
        ("latency_ms_p50", 5.0, "device")
    ]
    estimate = DeviceTool(name="x", kind="estimate", rules=tool.rules)
    assert [m.evidence for m in metrics(estimate, readings)] == ["emulator"]


def test_the_schema_and_the_reader_know_the_same_units() -> None:
    rules = schema()["$defs"]["outputs"]["additionalProperties"]["items"]["properties"]
    assert set(rules["unit"]["enum"]) == set(FACTORS)
    page = (REPOSITORY / "docs" / "toolchains.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in READINGS)
    assert "map50_95" not in known_names()
