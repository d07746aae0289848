"""What a compiler estimated becomes a benchmark document with evidence ``emulator``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgebuild.steps._step import StepFailure
from edgebuild.steps.estimate import estimate, main
from edgebuild.toolchain.device_output import DeviceTool, OutputRule

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
Total SRAM used                                512.00 KiB
CPU operators = 2 (0.8%)
NPU cycles                                      21298 cycles/batch
Batch Inference time                 0.23 ms, 4382.18 inferences/s (batch size 2)
"""

RULES = [
    {"pattern": r"Batch Inference time +(?P<latency_ms_mean>[\d.]+) ms", "unit": "ms", "take": "first"},
    {"pattern": r"(?P<throughput>[\d.]+) inferences/s", "unit": "qps", "take": "first"},
    {"pattern": r"NPU cycles +(?P<npu_cycles>\d+)", "unit": "", "take": "first"},
    {"pattern": r"CPU operators = (?P<cpu_operators>\d+)", "unit": "", "take": "first"},
    {"pattern": r"Total SRAM used +(?P<onchip_memory_mb>[\d.]+) KiB", "unit": "KiB", "take": "first"},
    {"pattern": r"(?P<runtime>\d+) cycles/batch", "unit": "", "take": "first"},
]


def test_an_estimate_is_written_as_a_benchmark_is(tmp_path: Path) -> None:
    (tmp_path / "printed.txt").write_text(TEXT)
    (tmp_path / "rules.json").write_text(json.dumps({"name": "compiler", "rules": RULES}))
    words = ["--artifact", tmp_path / "printed.txt", "--rules", tmp_path / "rules.json", "--batch", "2"]
    main([str(word) for word in (*words, "--output", tmp_path / "benchmark.json")])
    document = json.loads((tmp_path / "benchmark.json").read_text())
    assert (document["schema"], document["evidence"], document["estimate"]) == (1, "emulator", "compiler")
    assert {row["evidence"] for row in document["metrics"]} == {"emulator"}
    assert {row["name"]: (row["value"], row["unit"]) for row in document["metrics"]} == {
        "latency_ms_mean": (0.23, "ms"),
        "throughput": (8764.36, "images/s"),
        "npu_cycles": (21298.0, "cycles"),
        "cpu_operators": (2.0, "operators"),
        "onchip_memory_mb": (0.524288, "MB"),
    }
    assert document["readings"] == {"runtime": {"value": "21298", "unit": ""}}


def test_a_text_that_estimates_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "printed.txt").write_text("Segmentation fault\n")
    tool = DeviceTool(name="compiler", kind="estimate", rules=(OutputRule(pattern="(?P<npu_cycles>x)"),))
    with pytest.raises(StepFailure, match="compiler estimated nothing that is known"):
        estimate(tool, tmp_path / "printed.txt", batch=1)
