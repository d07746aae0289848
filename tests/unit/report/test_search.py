from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema

from edgebuild.report.html import render_html
from edgebuild.report.markdown import render_markdown
from edgebuild.report.search import front, front_lines, searches
from edgebuild.report.stored import read_document
from edgebuild.report.write import report_document
from tests.unit.fixtures_report import HOSTILE, sample_run
from tests.unit.report.test_write import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.results import RunResult


def point(name: str, metric: float, ratio: float, *marks: str) -> dict[str, Any]:
    flags = {mark: mark in marks for mark in ("front", "chosen", "default")}
    return {"name": name, "metric": metric, "ratio": ratio, "drop": round(0.8 - metric, 6), **flags}


def block(label: str, noise: float, sqnr: float, gain: float | None = None, *, carried: bool = False) -> Any:
    figures = {"share": 0.05, "noise": noise, "sqnr_db": sqnr, "gain": gain, "carried": carried}
    kept = {"sketch": {"norm": 1.0, "sums": [1.0]}, "weights": "w", "shape": "s"}
    return {"label": label, "kind": "body", "nodes": 9, **figures, **kept}


def document(**changes: Any) -> dict[str, Any]:
    """Return a made-up search; no figure in it was measured."""
    return {
        "schema": 1,
        "settings": {"metric": "map50_95", "limits": {"max_drop": 0.01, "max_slowdown": 0.1, "budget": 8}},
        "float": 0.8,
        "default": {"on_front": False, "beaten_by": ["default + model.2"]},
        "points": [
            point("float", 0.8, 1.8),
            point("default", 0.78, 1.0, "default"),
            point("default + model.2", 0.795, 0.998, "front", "chosen"),
            point("default + model.4", 0.796, 1.05, "front"),
        ],
        "skipped": [{"name": "default + head", "why": "24% slower than the default"}],
        "blocks": [block("model.2", 0.01, 20.0, 0.015, carried=True), block("model.4", 0.001, 30.0)],
        "probes": {"seconds": 12.0, "run": 10, "found": 3, "scored": 4, "asked": 9, "carried": ["model.2"],
                   "warm": True, "saved": 7},
        "said": ["Chosen: default + model.2."],
    } | changes  # fmt: skip


def searched_run(folder: Path, *documents: dict[str, Any]) -> RunResult:
    run = sample_run(folder)
    targets = list(run.targets)
    for index, one in enumerate(documents):
        path = folder / f"search-{index}.json"
        path.write_text(json.dumps(one), encoding="utf-8")
        targets[index] = replace(targets[index], search=path)
    return replace(run, targets=tuple(targets))


def test_a_run_without_a_search_has_no_such_section(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    assert front(run) is None
    assert searches(run) == {}
    assert "What was searched" not in render_html(run)
    assert "Searches" not in render_markdown(run)


def test_the_section_names_variants_blocks_and_what_was_saved(tmp_path: Path) -> None:
    text = str(front(searched_run(tmp_path, document())))
    wanted = ["default + model.2", "20.0 dB", "+0.0150", "-0.2 %", "chosen, front", "7 questions were saved"]
    wanted += ["24% slower than the default", "known from the last search", "<polyline"]
    assert [words for words in wanted if words not in text] == []


def test_targets_with_one_search_share_one_chart(tmp_path: Path) -> None:
    run = searched_run(tmp_path, document(), document())
    text = str(front(run))
    assert text.count("<svg") == 1
    assert "rpi5, n100-box" in text


def test_the_points_start_with_float_then_the_front() -> None:
    names = [cells[0] for cells in front_lines(document())]
    assert names == ["float", "default + model.2", "default + model.4", "default"]


def test_the_machine_readable_report_leaves_sketches_out_and_follows_the_schema(tmp_path: Path) -> None:
    made = report_document(searched_run(tmp_path, document()))
    jsonschema.validate(made, SCHEMA)
    assert set(made["searches"]) == {"rpi5"}
    assert "sketch" not in made["searches"]["rpi5"]["blocks"][0]


def test_markdown_has_the_table(tmp_path: Path) -> None:
    text = render_markdown(searched_run(tmp_path, document()))
    assert "## Searches" in text
    assert "default + model.2 | 0.7950 | -0.0050 | -0.2 % | chosen, front |" in text


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    points = [*document()["points"], point(HOSTILE, 0.79, 0.99, "front")]
    text = render_html(searched_run(tmp_path, document(points=points, said=[HOSTILE])))
    assert "<script>alert" not in text


def test_a_search_of_one_point_can_be_drawn(tmp_path: Path) -> None:
    points = [point("float", 0.8, 1.8), point("default", 0.8, 1.0, "default", "front", "chosen")]
    assert "<svg" in str(front(searched_run(tmp_path, document(points=points, blocks=[], skipped=[]))))


def test_something_else_is_no_search(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("[1]", encoding="utf-8")
    assert read_document(path, rows="points") == {}
    assert read_document(tmp_path / "absent.json", rows="points") == {}
