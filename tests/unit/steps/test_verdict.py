from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.gates import Gate
from edgebuild.steps._step import StepFailure
from edgebuild.steps.verdict import judge_files, read_document, read_gates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def metrics(path: Path, *, evidence: str = "host", **values: float) -> Path:
    rows = [{"name": name.replace("__", "/"), "value": value, "unit": ""} for name, value in values.items()]
    return write(path, {"schema": 1, "evidence": evidence, "protocol": {}, "metrics": rows})


def benchmark(path: Path, *, evidence: str = "device", latency: float = 20.0) -> Path:
    row = {"name": "latency_ms_p50", "value": latency, "unit": "ms"}
    return write(
        path,
        {
            "schema": 1,
            "evidence": evidence,
            "machine": {"cpu": "an A76"},
            "settings": {"threads": 4, "batch": 8},
            "trust": {"noisy": False, "why": ""},
            "samples_ms": [latency],
            "metrics": [row],
        },
    )


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x" * 2_500_000)
    return path


def judge(tmp_path: Path, artifact: Path, *gates: Gate, **more: Any) -> dict[str, Any]:
    measured = more.get("measured") or (metrics(tmp_path / "m.json", map50_95=0.5), None)
    return judge_files(
        gates=gates, measured=measured, baseline=more.get("baseline", (None, None)), artifact=artifact
    )


def test_passes_when_every_gate_holds(tmp_path: Path, artifact: Path) -> None:
    document = judge(tmp_path, artifact, Gate(metric="map50_95", kind="min", limit=0.45))
    assert document["status"] == "passed"
    assert [row["status"] for row in document["verdicts"]] == ["passed"]


def test_one_missed_gate_rejects(tmp_path: Path, artifact: Path) -> None:
    document = judge(
        tmp_path,
        artifact,
        Gate(metric="map50_95", kind="min", limit=0.45),
        Gate(metric="size_mb", kind="max", limit=2),
    )
    assert document["status"] == "rejected"
    assert [row["status"] for row in document["verdicts"]] == ["passed", "missed"]


def test_size_is_the_bytes_of_the_artifact(tmp_path: Path, artifact: Path) -> None:
    rows = {row["name"]: row for row in judge(tmp_path, artifact)["metrics"]}
    assert rows["size_mb"] == {"name": "size_mb", "value": 2.5, "unit": "MB", "evidence": "host"}


def test_size_of_a_folder_counts_every_file(tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "a.param").write_bytes(b"x" * 1000)
    (tmp_path / "model" / "deep" / "a.bin").write_bytes(b"x" * 500)
    rows = {row["name"]: row for row in judge(tmp_path, tmp_path / "model")["metrics"]}
    assert rows["size_mb"]["value"] == 0.0015


def test_no_gates_is_passed(tmp_path: Path, artifact: Path) -> None:
    assert judge(tmp_path, artifact)["status"] == "passed"


def test_a_metric_keeps_the_evidence_of_its_document(tmp_path: Path, artifact: Path) -> None:
    measured = (
        metrics(tmp_path / "m.json", evidence="proxy", map50_95=0.5),
        benchmark(tmp_path / "b.json", evidence="device"),
    )
    rows = {row["name"]: row for row in judge(tmp_path, artifact, measured=measured)["metrics"]}
    assert rows["map50_95"]["evidence"] == "proxy"
    assert rows["latency_ms_p50"]["evidence"] == "device"


def test_what_a_benchmark_measures_keeps_its_batch_and_nothing_else_has_one(
    tmp_path: Path, artifact: Path
) -> None:
    measured = (metrics(tmp_path / "m.json", map50_95=0.5), benchmark(tmp_path / "b.json"))
    rows = {row["name"]: row for row in judge(tmp_path, artifact, measured=measured)["metrics"]}
    assert rows["latency_ms_p50"]["batch"] == 8
    assert "batch" not in rows["map50_95"] | rows["size_mb"]


def test_a_gate_may_demand_evidence(tmp_path: Path, artifact: Path) -> None:
    gate = Gate(metric="latency_ms_p50", kind="max", limit=40, evidence="device")
    measured = (metrics(tmp_path / "m.json"), benchmark(tmp_path / "b.json", evidence="host"))
    document = judge(tmp_path, artifact, gate, measured=measured)
    assert document["status"] == "rejected"
    assert document["verdicts"][0]["status"] == "unmeasured"


def test_relative_gates_compare_with_the_float_model(tmp_path: Path, artifact: Path) -> None:
    drop = Gate(metric="map50_95/bolt", kind="max_drop", limit=0.02)
    ratio = Gate(metric="latency_ms_p50", kind="max_ratio", limit=0.5)
    document = judge(
        tmp_path,
        artifact,
        drop,
        ratio,
        measured=(
            metrics(tmp_path / "m.json", map50_95__bolt=0.5),
            benchmark(tmp_path / "b.json", latency=10),
        ),
        baseline=(
            metrics(tmp_path / "fm.json", map50_95__bolt=0.51),
            benchmark(tmp_path / "fb.json", latency=40),
        ),
    )
    assert document["status"] == "passed"
    assert [row["baseline"] for row in document["verdicts"]] == [0.51, 40]


def test_the_circumstances_of_the_benchmark_come_along(tmp_path: Path, artifact: Path) -> None:
    measured = (metrics(tmp_path / "m.json"), benchmark(tmp_path / "b.json"))
    circumstances = judge(tmp_path, artifact, measured=measured)["benchmark"]
    assert circumstances["machine"] == {"cpu": "an A76"}
    assert "samples_ms" not in circumstances


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"metric": "map50", "kind": "atleast", "limit": 1}, "is not a gate; kind: min"),
        ({"metric": "map50", "kind": "min"}, "KeyError"),
        ({"metric": "map50", "kind": "min", "limit": "many"}, "ValueError"),
        ({"metric": "map50", "kind": "min", "limit": 1, "evidence": "rumour"}, "evidence: host"),
    ],
)
def test_a_wrong_gate_is_named(tmp_path: Path, row: dict[str, Any], expected: str) -> None:
    with pytest.raises(StepFailure, match=expected):
        read_gates(write(tmp_path / "gates.json", [row]))


def test_a_null_evidence_means_any(tmp_path: Path) -> None:
    row = {"metric": "map50", "kind": "min", "limit": 1, "evidence": None}
    assert read_gates(write(tmp_path / "gates.json", [row])) == (Gate(metric="map50", kind="min", limit=1),)


@pytest.mark.parametrize(
    ("text", "expected"), [("{", "not JSON"), ('{"schema": 2}', "another version"), ("[]", "another version")]
)
def test_a_damaged_document_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(StepFailure, match=expected):
        read_document(path)


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailure, match=r"gone\.json: No such file"):
        read_document(tmp_path / "gone.json")


def test_a_missed_gate_exits_0_and_says_so(
    tmp_path: Path, artifact: Path, run_step: Callable[..., Any]
) -> None:
    gates = write(tmp_path / "gates.json", [{"metric": "map50_95", "kind": "min", "limit": 0.9}])
    result = run_step(
        "verdict", "--gates", gates, "--metrics", metrics(tmp_path / "m.json", map50_95=0.5),
        "--artifact", artifact, "--output", "out/verdict.json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "missed     map50_95: 0.5 (at least 0.9)" in result.stdout
    assert json.loads((tmp_path / "out/verdict.json").read_text())["status"] == "rejected"


def test_it_imports_nothing_heavy(tmp_path: Path, artifact: Path, run_step: Callable[..., Any]) -> None:
    gates = write(tmp_path / "gates.json", [])
    result = run_step(
        "verdict", "--gates", gates, "--metrics", metrics(tmp_path / "m.json", map50_95=0.5),
        "--artifact", artifact, "--output", "out/verdict.json", PYTHONPROFILEIMPORTTIME="1",
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "json" in imported
    assert not imported & {"numpy", "torch", "onnx", "onnxruntime", "cv2", "ultralytics", "rich", "jinja2"}


def test_a_missing_artifact_fails_in_one_line(tmp_path: Path, run_step: Callable[..., Any]) -> None:
    result = run_step(
        "verdict", "--gates", write(tmp_path / "gates.json", []), "--metrics",
        metrics(tmp_path / "m.json", map50_95=0.5), "--artifact", "gone.om", "--output", "out/verdict.json",
    )  # fmt: skip
    assert result.returncode == 3
    assert result.stderr.startswith("error: gone.om: no such file")
