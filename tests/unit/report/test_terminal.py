from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from edgebuild.report.terminal import terminal_table
from tests.unit.fixtures_report import batch_run, hostile_run, sample_run

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.results import RunResult


def printed(run: RunResult, **more: Any) -> str:
    stream = io.StringIO()
    terminal_table(run, Console(file=stream, width=more.pop("width", 120), **more))
    return stream.getvalue()


def test_one_row_per_target_with_words_not_only_colours(tmp_path: Path) -> None:
    text = printed(sample_run(tmp_path))
    assert "✓ passed" in text
    assert "✗ rejected" in text
    assert "⊘ skipped   toolchain cambricon is not installed" in text
    assert "latency p50 38.20 ms (device)" in text


def test_latencies_of_calls_with_several_images_say_so(tmp_path: Path) -> None:
    text = printed(batch_run(tmp_path), width=160)
    assert "✗ latency p50 38.20 ms with batch 8, ≤ 10 ms" in text
    assert "latency p50 38.20 ms (device, batch 8)" in text
    assert "latency p50 9.40 ms (host)" in text


def test_only_gates_that_do_not_hold_are_spelt_out(tmp_path: Path) -> None:
    text = printed(sample_run(tmp_path), width=160)
    assert "4 of 4 hold" in text
    assert "1 of 4 hold" in text
    assert "✗ mAP 50-95 0.0460 below, ≤ 0.02 below float" in text
    assert "≤ 5 MB" not in text


@pytest.mark.parametrize("width", [40, 80])
def test_package_paths_are_never_wrapped(tmp_path: Path, width: int) -> None:
    lines = printed(sample_run(tmp_path), width=width).splitlines()
    assert "✗ dist/fasteners/fasteners-ascend-310p-1.4.0.tar.gz" in lines


def test_packages_are_named_as_seen_from_where_the_user_stands(tmp_path: Path) -> None:
    stream = io.StringIO()
    terminal_table(sample_run(tmp_path), Console(file=stream, width=120), "products")
    assert "✗ products/dist/fasteners/fasteners-ascend-310p-1.4.0.tar.gz" in stream.getvalue().splitlines()


def test_no_escape_codes_off_a_terminal_or_with_no_color(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = sample_run(tmp_path)
    assert "\x1b" not in printed(run)
    assert "\x1b[32m" in printed(run, force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in printed(run, force_terminal=True)


def test_names_are_not_taken_for_markup(tmp_path: Path) -> None:
    assert "_[a](b)" in printed(hostile_run(tmp_path), width=300)


def test_findings_are_told_with_where_they_come_from(tmp_path: Path) -> None:
    lines = printed(sample_run(tmp_path), width=60).splitlines()
    said = "2 operators run on the CPU: Resize, Softmax; Export with opset 13, or accept the slower head."
    assert any(line.startswith("▲ cpu-fallback (") and line.endswith(f"): {said}") for line in lines)
