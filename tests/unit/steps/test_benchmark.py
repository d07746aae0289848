from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps._step import StepFailure
from edgebuild.steps.benchmark import doubt, main, measure, other_family, random_images, size_bytes
from tests.unit.steps.fixtures_evaluate import write_model

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


def test_every_counted_run_is_one_sample_and_warm_up_is_none() -> None:
    calls: list[int] = []
    samples = measure(lambda: calls.append(1), warmup=3, runs=7)
    assert (len(calls), len(samples)) == (10, 7)
    assert min(samples) >= 0


def test_a_time_limit_ends_the_runs_but_some_are_counted() -> None:
    calls: list[int] = []
    samples = measure(lambda: calls.append(1), warmup=1000, runs=1000, seconds_limit=0)
    assert len(samples) == 5
    assert len(calls) == 6


def test_size_is_that_of_a_file_or_of_all_files_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/weights").write_bytes(b"12345")
    (tmp_path / "graph").write_bytes(b"123")
    assert size_bytes(tmp_path / "graph") == 3
    assert size_bytes(tmp_path) == 8


@pytest.mark.yolo
def test_input_is_random_but_always_the_same() -> None:
    import numpy as np

    info = {"imgsz": [4, 6], "dynamic": True}
    images = random_images(info, batch=2)
    assert images.shape == (2, 3, 4, 6)
    assert images.dtype == np.float32
    assert np.array_equal(images, random_images(info, batch=2))


@pytest.mark.yolo
def test_another_batch_than_the_model_was_built_for_is_refused() -> None:
    with pytest.raises(StepFailure, match="built for batch 4, the benchmark asks for 1"):
        random_images({"imgsz": [4, 6], "batch": 4}, batch=1)


@pytest.mark.yolo
def test_result_says_what_was_measured_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "in", batch=2)
    document = run_benchmark(batch=2)
    metrics = {metric["name"]: metric["value"] for metric in document["metrics"]}
    assert set(metrics) == {
        "latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "latency_ms_mean", "throughput",
        "load_ms", "size_mb", "peak_memory_mb",
    }  # fmt: skip
    assert metrics["size_mb"] == (tmp_path / "in/artifact/model.onnx").stat().st_size / 1e6
    assert metrics["latency_ms_p50"] <= metrics["latency_ms_p90"] <= metrics["latency_ms_p99"]
    assert document["settings"] == {"threads": 1, "batch": 2, "warmup": 2, "runs": 50, "runs_wanted": 50}
    assert len(document["samples_ms"]) == 50
    assert (document["schema"], document["evidence"]) == (1, "host")
    assert "@progress 50/50 runs" in capsys.readouterr().out


def test_another_cpu_family_is_said_in_the_result_and_to_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    assert other_family("arm64", "x86-vnni") == {"other_cpu_family": {"target": "arm64", "host": "x86-vnni"}}
    said = capsys.readouterr().out
    assert "measured on x86-vnni, the target's CPU is arm64" in said
    assert "other-cpu-family" in said


def test_a_noisy_measurement_is_a_finding_of_whoever_measured_it(capsys: pytest.CaptureFixture[str]) -> None:
    doubt({"noisy": False, "why": ""})
    assert capsys.readouterr().out == ""
    doubt({"noisy": True, "why": "p90 is 2.00 times p50"})
    said = capsys.readouterr().out
    assert said.startswith("@finding ")
    assert "noisy-latency" in said
    assert "the latency cannot be trusted: p90 is 2.00 times p50" in said


@pytest.mark.parametrize("wanted", ["", "x86-vnni"])
def test_the_same_family_is_nothing_to_say(wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert other_family(wanted, "x86-vnni") == {}
    assert capsys.readouterr().out == ""


@pytest.mark.yolo
def test_a_runtime_file_is_timed_in_place_of_onnx_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "in")
    (tmp_path / "runtime.py").write_text(
        "from pathlib import Path\n"
        "import numpy as np\n"
        "def load(artifact, info, threads):\n"
        "    assert threads == 1\n"
        "    def run(images):\n"
        "        with Path('calls').open('a') as stream:\n"
        "            stream.write('.')\n"
        "        return [np.zeros((len(images), 7, 9), np.float32)]\n"
        "    return run\n",
        encoding="utf-8",
    )
    run_benchmark("--runtime", "runtime.py")
    assert len((tmp_path / "calls").read_text(encoding="utf-8")) == 1 + 2 + 50


def run_benchmark(*more: str, batch: int = 1) -> Any:
    main(
        [
            "--artifact", "in/artifact/model.onnx", "--info", "in/info/model.json", "--batch", str(batch),
            "--warmup", "2", "--runs", "50", "--evidence", "host", "--output", "out/benchmark.json", *more,
        ]
    )  # fmt: skip
    return json.loads(Path("out/benchmark.json").read_text(encoding="utf-8"))


@pytest.mark.yolo
def test_nothing_is_written_to_the_home_folder_and_torch_is_not_imported(
    tmp_path: Path, run_step: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    write_model(tmp_path / "in")
    (tmp_path / "home").mkdir()
    result = run_step(
        "benchmark", "--artifact", "in/artifact/model.onnx", "--info", "in/info/model.json", "--runs", "5",
        "--evidence", "host", "--output", "out/benchmark.json",
        HOME=str(tmp_path / "home"), CI="", PYTHONPROFILEIMPORTTIME="1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "home").iterdir()) == []
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "onnxruntime" in imported
    assert not imported & {"torch", "ultralytics", "cv2"}
