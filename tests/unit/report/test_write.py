from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from edgebuild.gates import Metric
from edgebuild.report.findings import circumstances
from edgebuild.report.stored import read_document
from edgebuild.report.write import report_document, write_report
from tests.unit.fixtures_report import failed_run, hostile_run, sample_run, two_heads_run

SCHEMA = json.loads((files("edgebuild") / "schemas" / "report.schema.json").read_text(encoding="utf-8"))


def test_four_files_are_written_and_no_other(tmp_path: Path) -> None:
    paths = write_report(sample_run(tmp_path), tmp_path / "build" / "demo")
    assert [path.name for path in paths] == ["report.html", "report.json", "report.md", "findings.sarif"]
    assert sorted(path.name for path in (tmp_path / "build" / "demo").iterdir()) == sorted(
        path.name for path in paths
    )


def test_writing_again_replaces(tmp_path: Path) -> None:
    write_report(sample_run(tmp_path), tmp_path / "out")
    write_report(failed_run(tmp_path), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["verdict"] == "failed"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("make", [sample_run, failed_run, hostile_run, two_heads_run])
def test_the_document_follows_its_schema(tmp_path: Path, make: object) -> None:
    run = make(tmp_path)  # type: ignore[operator]
    write_report(run, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_the_document_has_what_only_a_report_has(tmp_path: Path) -> None:
    document = report_document(sample_run(tmp_path))
    assert document["counts"] == {"ran": 12, "cached": 5, "current": 3, "skipped": 5, "failed": 0}
    assert document["baseline"][0] == {"name": "map50_95", "value": 0.8731, "unit": "", "evidence": "host"}
    assert document["protocol"]["images"] == 40
    assert document["findings"][0]["from"] == "ascend-310p/benchmark"
    assert {node["id"] for node in document["dag"]} >= {"export", "rpi5/package"}


def test_a_float_model_of_a_targets_own_is_told(tmp_path: Path) -> None:
    document = report_document(two_heads_run(tmp_path))
    own = {target["name"]: target.get("baseline", [])[:1] for target in document["targets"]}
    assert own["n100-box"] == [{"name": "map50_95", "value": 0.8531, "unit": "", "evidence": "host"}]
    assert own["rpi5"] == []


def test_a_metric_that_is_no_number_becomes_null(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    run = replace(run, baseline=(Metric(name="map50", value=float("nan")),))
    write_report(run, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["baseline"][0]["value"] is None


def test_targets_that_were_measured_alike_share_their_circumstances(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps({"schema": 1, "machine": {"cpu": "x"}}))
    run = sample_run(tmp_path, 2)
    run = replace(run, targets=tuple(replace(target, benchmark=path) for target in run.targets))
    assert circumstances(run) == {"latency of rpi5, n100-box": {"machine": {"cpu": "x"}}}


def test_a_damaged_benchmark_document_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("[")
    assert read_document(tmp_path / "b.json") == {}
    assert read_document(tmp_path / "gone") == {}


def test_an_empty_run_has_a_report(tmp_path: Path) -> None:
    run = replace(
        sample_run(tmp_path), actions=(), targets=(), baseline=(), baseline_detections=None, protocol={}
    )
    for path in write_report(run, tmp_path / "out"):
        assert "fasteners" in path.read_text(encoding="utf-8")


def test_the_core_needs_nothing_heavy_to_report() -> None:
    code = "import sys, edgebuild.report.write, edgebuild.report.terminal; print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         cwd=Path(__file__).resolve().parents[3])  # fmt: skip
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert not loaded & {"numpy", "torch", "matplotlib", "jinja2", "rich", "onnx", "ultralytics"}
