"""Rockchip and Ethos-U for real: compiled, measured in a simulator or by a stand-in, estimated, shipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import test_toolchains as shared
from tests.toolchains import asked_for, reason_to_skip

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

RKNN, ETHOS = pytest.mark.toolchain("rknn"), pytest.mark.toolchain("ethos-u")

TARGETS = {
    "rknn": """\
  rknn-int8: {toolchain: rknn, recipe: int8, acceptance: {cpu_operators: {max: 0, evidence: emulator}}}
  rknn-fp16: {toolchain: rknn, recipe: fp16}
""",
    "ethos-u": """\
  ethos-int8:
    toolchain: ethos-u
    quantize: {keep_float: []}
    findings: {cpu-fallback: error}
    acceptance: {cpu_operators: {max: 0, evidence: emulator}, latency_ms_mean: {max: 20, evidence: emulator}}
  ethos-float-io:
    toolchain: ethos-u
    quantize: {keep_float: []}
    options: {io: float32}
    findings: {cpu-fallback: error}
    ship: false
""",
}

Built = tuple["Workspace", dict[str, Any]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Built:
    """A workspace with everything built, and its report."""
    asked = asked_for(request.config)
    here = [name for name in TARGETS if not reason_to_skip([name], asked)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "TARGETS", TARGETS)
        workspace = shared.write(tmp_path_factory.mktemp("npu"), here)
    done = workspace.eb("run", "manifest.yaml", "-k")
    assert done.code in {0, 4}, done.out + done.err
    report = workspace.folder / "build" / "real" / "report.json"
    return workspace, json.loads(report.read_text(encoding="utf-8"))


def target(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in report["targets"] if entry["name"] == name)
    return found


@pytest.mark.parametrize(
    ("name", "evidence", "drop"),
    [
        pytest.param("rknn-int8", "emulator", 0.03, marks=RKNN),
        pytest.param("rknn-fp16", "emulator", 0.01, marks=RKNN),
        pytest.param("ethos-int8", "proxy", 0.03, marks=ETHOS),
    ],
)
def test_what_was_compiled_scores_like_the_float_model(
    built: Built, name: str, evidence: str, drop: float
) -> None:
    _, report = built
    wanted, value = (shared.metric(report, one, "map50_95") for one in ("reference", name))
    assert value["evidence"] == evidence
    assert value["value"] == pytest.approx(wanted["value"], abs=drop)
    assert target(report, name)["status"] == "passed"


@RKNN
def test_the_last_layers_compute_in_fp16(built: Built) -> None:
    workspace, report = built
    (log,) = (workspace.folder / ".edgebuild").rglob("rknn-int8.hybrid.log")
    text = log.read_text(encoding="utf-8")
    # 88 convolutions of YOLO11n without the one of the decoding; 6 are the last ones.
    assert "quantized: 81 of 87 layers" in text
    assert "although it should stay float" not in text
    # Neither the compiler's tables nor the states of its progress bars.
    assert not [line for line in text.splitlines() if line.startswith("D ") or len(line) > 600]
    cycles = [shared.metric(report, f"rknn-{name}", "npu_cycles") for name in ("int8", "fp16")]
    assert {one["evidence"] for one in cycles} == {"emulator"}
    assert cycles[0]["value"] < cycles[1]["value"]


@RKNN
def test_the_two_artifacts_have_names_of_their_own(built: Built, tmp_path: Path) -> None:
    workspace, _ = built
    for name in ("int8", "fp16"):
        package = shared.unpacked(workspace, f"rknn-{name}", tmp_path / name)
        assert [path.name for path in (package / "artifact").iterdir()] == [f"model-{name}.rknn"]
        assert (package / "artifact" / f"model-{name}.rknn").read_bytes()[:4] == b"RKNN"
        assert "RKNNLite" in (package / "run.py").read_text(encoding="utf-8")


@ETHOS
def test_what_stays_on_the_cpu_rejects_a_target(built: Built) -> None:
    _, report = built
    found = target(report, "ethos-float-io")
    assert found["status"] == "rejected"
    (verdict,) = [one for one in found["verdicts"] if one["metric"] == "findings/cpu-fallback"]
    assert verdict["status"] == "missed"
    # One conversion of the input, and one of each of six outputs.
    assert shared.metric(report, "ethos-float-io", "cpu_operators")["value"] == 7


@ETHOS
def test_velas_estimates_are_metrics(built: Built, tmp_path: Path) -> None:
    workspace, report = built
    names = ("latency_ms_mean", "throughput", "npu_cycles", "cpu_operators", "onchip_memory_mb")
    found = [shared.metric(report, "ethos-int8", name) for name in names]
    assert {one["evidence"] for one in found} == {"emulator"}
    assert found[0]["value"] > 0
    assert found[3]["value"] == 0
    package = shared.unpacked(workspace, "ethos-int8", tmp_path)
    assert [path.name for path in (package / "artifact").iterdir()] == ["model_vela.tflite"]
    assert "ethos-u85-256" in (package / "main.cc").read_text(encoding="utf-8")
