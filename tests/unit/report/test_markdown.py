from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.report.markdown import plain, render_markdown
from tests.unit.fixtures_report import batch_run, failed_run, hostile_run, sample_run, two_heads_run

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_line_is_the_verdict(tmp_path: Path) -> None:
    lines = render_markdown(sample_run(tmp_path)).splitlines()
    assert lines[0] == "# ✗ fasteners 1.4.0: rejected"
    assert lines[2].startswith("4 targets: 2 passed, 1 rejected, 1 skipped. Actions: 12 ran, 5 cached")


def test_every_table_row_has_as_many_cells_as_its_head(tmp_path: Path) -> None:
    for run in (sample_run(tmp_path), failed_run(tmp_path), hostile_run(tmp_path)):
        width = 0
        for line in render_markdown(run).splitlines():
            bars = line.replace("\\|", "").count("|")
            width = (width or bars) if line.startswith("|") else 0
            assert bars == width or not line.startswith("|"), line


def test_gates_name_limit_and_evidence(tmp_path: Path) -> None:
    text = render_markdown(sample_run(tmp_path))
    assert "✗ mAP 50-95 0.0460 below, ≤ 0.02 below float (proxy)" in text
    assert "? latency p50 not measured, ≤ 40 ms" in text


def test_latencies_of_calls_with_several_images_say_so(tmp_path: Path) -> None:
    text = render_markdown(batch_run(tmp_path))
    assert "✗ latency p50 38.20 ms, ≤ 10 ms (device, batch 8)" in text
    assert "38.20 ms (device, batch 8)" in text
    assert "26.18 images/s (device, batch 8)" in text


def test_a_target_is_compared_with_the_float_model_of_its_head(tmp_path: Path) -> None:
    usual, fitted = (render_markdown(make(tmp_path)) for make in (sample_run, two_heads_run))
    before, after = (text[text.index("| **float") :].splitlines() for text in (usual, fitted))
    assert [line.partition(" | ")[0] for line in after[:3]] == [
        "| **float**", "| **float of n100-box**", "| **rpi5**"
    ]  # fmt: skip
    assert after[2] == before[1]
    assert "0.8691 (+0.0160)" in after[3]
    assert "(+" not in before[2]


def test_a_skipped_target_tells_why(tmp_path: Path) -> None:
    assert "⊘ skipped | toolchain cambricon is not installed" in render_markdown(sample_run(tmp_path))


def test_findings_come_with_their_hints(tmp_path: Path) -> None:
    text = render_markdown(sample_run(tmp_path))
    assert "**cpu-fallback** 2 operators run on the CPU: Resize, Softmax *Export with opset 13" in text


def test_what_ran_is_listed_and_cut_at_many(tmp_path: Path) -> None:
    assert "| rpi5/evaluate | ● ran | 3.20 s |" in render_markdown(sample_run(tmp_path))
    many = render_markdown(sample_run(tmp_path, 40))
    assert "more actions in report.html." in many
    assert many.count("● ran |") + many.count("⊘ skipped |  |") == 40


def test_markdown_in_names_is_shown_not_obeyed() -> None:
    assert plain("a|b *c*\n<d> `e` [f](g)") == "a\\|b \\*c\\* \\<d\\> \\`e\\` \\[f\\](g)"
