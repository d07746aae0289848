"""Toolchains that run on this CPU, for real: the quickstart built, measured by its own runtime, shipped."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.protocol import RUNTIME_VARIABLE
from edgebuild.steps import _runtime
from tests.e2e.workspace import REPOSITORY, Workspace
from tests.toolchains import TEMPLATES, asked_for, environment_of, environments, reason_to_skip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

OPENVINO, NCNN = pytest.mark.toolchain("openvino"), pytest.mark.toolchain("ncnn")
MNN, LITERT = pytest.mark.toolchain("mnn"), pytest.mark.toolchain("litert")
EXECUTORCH, IREE = pytest.mark.toolchain("executorch"), pytest.mark.toolchain("iree")

TARGETS = {
    "openvino": """\
  openvino-fp32: {toolchain: openvino, recipe: fp32}
  openvino-int8: {toolchain: openvino, recipe: int8, options: {inference_precision: f32}}
""",
    "ncnn": """\
  ncnn-fp32: {toolchain: ncnn, recipe: fp32}
  ncnn-fp16: {toolchain: ncnn, recipe: fp16}
  ncnn-cut: {toolchain: ncnn, recipe: fp32, head: cut}
""",
    "mnn": """\
  mnn-w8: {toolchain: mnn, recipe: w8}
  mnn-int8: {toolchain: mnn, recipe: int8}
""",
    "litert": """\
  litert-fp16: {toolchain: litert, recipe: fp16}
  litert-int8: {toolchain: litert, recipe: int8}
""",
    "executorch": """\
  executorch-fp32: {toolchain: executorch, recipe: fp32}
""",
    "iree": """\
  iree-fp32: {toolchain: iree, recipe: fp32}
  iree-cut: {toolchain: iree, recipe: fp32, head: cut}
""",
}

MANIFEST = """\
edgebuild: 1
name: real
model: {weights: fasteners.pt, task: detect, imgsz: 320}
dataset:
  data: data/fasteners.yaml
  calibration: {split: train, images: 24, sample: stratified, seed: 0}
  validation: {split: val}
quantize: {keep_float: [decode, last]}
benchmark: {warmup: 1, runs: 5}
acceptance: {map50_95: {min: 0.4}}
targets:
  reference: {toolchain: onnxruntime, recipe: fp32}
"""

# The packages of the test run come last: the environment's own NumPy is the one that its runtime needs.
STARTER = "import runpy, sys; sys.path += [sys.argv.pop(1)]; sys.argv = sys.argv[1:]; sys.path[:0] = ['.']; \
runpy.run_path(sys.argv[0], run_name='__main__')"


def write(folder: Path, toolchains: Sequence[str]) -> Workspace:
    """Write a workspace with the quickstart's model, some of its images, and targets for toolchains."""
    workspace = Workspace(folder=folder / "work", cache=folder / "cache", tools=folder / "tools")
    source, data = REPOSITORY / "examples" / "quickstart", workspace.folder / "data"
    for split, count in (("train", 32), ("val", 40)):
        for image in itertools.islice(sorted((source / "data" / "images" / split).iterdir()), count):
            label = source / "data" / "labels" / split / f"{image.stem}.txt"
            for file in (image, label):
                place = data / file.relative_to(source / "data")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
    shutil.copyfile(source / "data" / "fasteners.yaml", data / "fasteners.yaml")
    shutil.copyfile(source / "weights" / "fasteners-yolo11n.pt", workspace.folder / "fasteners.pt")
    targets = "".join(TARGETS[name] for name in toolchains)
    workspace.manifest.write_text(f"{MANIFEST}{targets}package: {{version: 1.0.0}}\n", encoding="utf-8")
    workspace.tools.mkdir()
    workspace.cache.mkdir()
    (workspace.cache / "environments").symlink_to(environments() / "environments")
    return workspace


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Workspace, dict[str, Any]]:
    """A workspace with everything built, and its report."""
    asked = asked_for(request.config)
    here = [name for name in TARGETS if not reason_to_skip([name], asked)]
    workspace = write(tmp_path_factory.mktemp("real"), here)
    done = workspace.eb("run", "manifest.yaml")
    assert done.code == 0, done.out + done.err
    report = workspace.folder / "build" / "real" / "report.json"
    return workspace, json.loads(report.read_text(encoding="utf-8"))


def metric(report: dict[str, Any], target: str, name: str) -> dict[str, Any]:
    found = next(entry for entry in report["targets"] if entry["name"] == target)
    value: dict[str, Any] = next(value for value in found["metrics"] if value["name"] == name)
    return value


def unpacked(workspace: Workspace, target: str, into: Path) -> Path:
    (archive,) = (workspace.folder / "dist" / "real").glob(f"real-{target}-1*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(into, filter="data")
    return into


ALL = [
    pytest.param("openvino", "openvino-fp32", 0.001, marks=OPENVINO),
    pytest.param("openvino", "openvino-int8", 0.02, marks=OPENVINO),
    pytest.param("ncnn", "ncnn-fp32", 0.001, marks=NCNN),
    pytest.param("ncnn", "ncnn-fp16", 0.01, marks=NCNN),
    pytest.param("ncnn", "ncnn-cut", 0.001, marks=NCNN),
    pytest.param("mnn", "mnn-w8", 0.02, marks=MNN),
    pytest.param("mnn", "mnn-int8", 0.05, marks=MNN),
    pytest.param("litert", "litert-fp16", 0.005, marks=LITERT),
    pytest.param("litert", "litert-int8", 0.03, marks=LITERT),
    pytest.param("executorch", "executorch-fp32", 0.001, marks=EXECUTORCH),
    pytest.param("iree", "iree-fp32", 0.001, marks=IREE),
    pytest.param("iree", "iree-cut", 0.001, marks=IREE),
]


@pytest.mark.parametrize(("toolchain", "target", "drop"), ALL)
def test_the_artifact_itself_scores_like_the_float_model(
    built: tuple[Workspace, dict[str, Any]], toolchain: str, target: str, drop: float
) -> None:
    del toolchain
    _, report = built
    wanted, value = metric(report, "reference", "map50_95"), metric(report, target, "map50_95")
    assert value["evidence"] == "host"
    assert value["value"] == pytest.approx(wanted["value"], abs=drop)
    assert metric(report, target, "latency_ms_p50")["evidence"] == "host"


@OPENVINO
def test_openvino_quantizes_all_layers_but_the_ones_that_stay_float(
    built: tuple[Workspace, dict[str, Any]],
) -> None:
    workspace, report = built
    (log,) = (workspace.folder / ".edgebuild").rglob("openvino-int8.nncf.log")
    text = log.read_text(encoding="utf-8")
    # YOLO11n has 88 convolutions: 6 of them are the last ones, and one belongs to the decoding.
    assert "quantized: 81 of 88 layers" in text
    assert "although it should stay float" not in text
    sizes = [metric(report, f"openvino-{name}", "size_mb")["value"] for name in ("fp32", "int8")]
    assert sizes[1] < sizes[0] * 0.4


@pytest.mark.parametrize(("toolchain", "target", "drop"), ALL)
def test_the_runtime_keeps_the_contract(
    built: tuple[Workspace, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    toolchain: str,
    target: str,
    drop: float,
) -> None:
    del drop
    workspace, _ = built
    environment = environment_of(toolchain)
    assert environment
    variables = {"python": str(environment.executable), "env": {"PATH": os.defpath, "OMP_NUM_THREADS": "1"}}
    monkeypatch.setenv(RUNTIME_VARIABLE, json.dumps(variables))
    package = unpacked(workspace, target, tmp_path)
    info = json.loads((package / "model.json").read_text(encoding="utf-8"))
    (path,) = (package / "artifact").iterdir()
    runtime = str(TEMPLATES / toolchain / "runtime.py")
    artifact = _runtime.open_artifact(str(path), info, threads=1, runtime=runtime)
    foreign = artifact.foreign
    assert foreign
    try:
        images = np.random.default_rng(0).random((1, 3, 320, 320), dtype=np.float32)
        first = [output.copy() for output in foreign(images)]
        assert [list(output.shape) for output in first] == [entry["shape"] for entry in info["outputs"]]
        assert {output.dtype.name for output in first} == {"float32"}
        other = foreign(images * np.float32(0.5))
        assert not np.array_equal(first[0], other[0])
        # The same pixels in another order in memory are the same image.
        turned = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        for one, again in zip(first, foreign(turned), strict=True):
            np.testing.assert_allclose(one, again, rtol=0, atol=1e-4)
        assert len(foreign.measure(images, warmup=1, runs=5, seconds_limit=30)) == 5
        assert foreign.memory
    finally:
        foreign.close()


@pytest.mark.parametrize(
    ("toolchain", "target"),
    [
        pytest.param("openvino", "openvino-int8", marks=OPENVINO),
        pytest.param("ncnn", "ncnn-cut", marks=NCNN),
        pytest.param("mnn", "mnn-int8", marks=MNN),
        pytest.param("litert", "litert-int8", marks=LITERT),
        pytest.param("executorch", "executorch-fp32", marks=EXECUTORCH),
        pytest.param("iree", "iree-cut", marks=IREE),
    ],
)
def test_the_package_runs_as_it_was_shipped(
    built: tuple[Workspace, dict[str, Any]], tmp_path: Path, toolchain: str, target: str
) -> None:
    from PIL import Image

    workspace, _ = built
    environment = environment_of(toolchain)
    assert environment
    package = unpacked(workspace, target, tmp_path)
    image = min((workspace.folder / "data" / "images" / "val").iterdir())
    site = os.path.dirname(os.path.dirname(Image.__file__))  # noqa: PTH120 - a folder, not a file's parent
    done = subprocess.run(
        [environment.executable, "-c", STARTER, site, "run.py", str(image)],
        cwd=package,
        env={"PATH": os.defpath, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert found
    archive = next((workspace.folder / "dist" / "real").glob(f"real-{target}-1*.tar.gz"))
    assert "golden vectors: matches" in workspace.eb("verify", str(archive)).out
    assert {entry["label"] for entry in found} <= {"bolt", "nut", "washer", "screw"}
    assert max(entry["score"] for entry in found) > 0.5
