from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.report.compare import compared, comparisons, verdict_line
from edgebuild.report.html import render_html
from edgebuild.report.markdown import render_markdown
from edgebuild.report.stored import read_document
from edgebuild.report.write import report_document
from tests.unit.fixtures_report import sample_run
from tests.unit.plans import DATASET, int8, plan, target

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.results import RunResult


def row(label: str, sqnr: float) -> dict[str, Any]:
    return {"label": label, "kind": "body", "tensor": f"/{label}/out", "cosine": 0.99, "sqnr_db": sqnr,
            "max_error": 0.5, "max_value": 7.0}  # fmt: skip


def document(*levels: float) -> dict[str, Any]:
    rows = [row(f"model.{index}", level) for index, level in enumerate(levels)]
    first = next((one["label"] for one in rows if one["sqnr_db"] < 10), None)
    return {"schema": 1, "images": 8, "diverged_db": 10.0, "first": first, "blocks": rows}


def with_comparison(folder: Path, *levels: float) -> RunResult:
    path = folder / "comparison.json"
    path.write_text(json.dumps(document(*levels)), encoding="utf-8")
    run = sample_run(folder)
    first, *rest = run.targets
    return replace(run, targets=(replace(first, comparison=path), *rest))


def test_the_first_block_that_diverges_is_named_everywhere(tmp_path: Path) -> None:
    run = with_comparison(tmp_path, 20.0, 8.5, 12.0)
    said = "the first block below 10 dB is model.1"
    assert said in render_html(run)
    assert said in render_markdown(run).replace("\\", "")
    assert report_document(run)["comparisons"][run.targets[0].name]["first"] == "model.1"
    assert 'class="bar low"' in render_html(run)


def test_a_model_that_keeps_close_is_told_with_its_lowest_block() -> None:
    assert verdict_line(document(20.0, 13.0)) == "no block is below 10 dB; the lowest is model.1 with 13.0 dB"


def test_without_a_comparison_there_is_no_section(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    assert compared(run) is None
    assert comparisons(run) == {}
    assert "block by block" not in render_html(run)
    assert "Block by block" not in render_markdown(run)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"blocks": 1}', "nonsense"])
def test_a_damaged_document_is_left_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text, encoding="utf-8")
    assert read_document(path, rows="blocks") == {}


def test_it_is_in_the_plan_only_when_asked_for_and_shared() -> None:
    assert not any(action.step == "compare" for action in plan(int8("a"), dataset=DATASET).actions)
    asked = plan(int8("a"), int8("b"), target("float"), compare=True)
    (action,) = (action for action in asked.actions if action.step == "compare")
    assert action.id == "compare"
    assert set(action.targets) == {"a", "b"}
    assert {"preprocess", "quantize", "calibrate"} <= set(action.needs)
    assert [asked.target(name).compare for name in ("a", "b", "float")] == ["compare", "compare", ""]
    assert "compare" in asked.target("a").actions
