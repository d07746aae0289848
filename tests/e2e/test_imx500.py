"""Sony IMX500 for real: quantized, fitted, compiled, measured by its own operators, and shipped. Minutes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.protocol import RUNTIME_VARIABLE
from edgebuild.steps import _runtime
from tests.e2e.test_toolchains import metric, unpacked, write
from tests.e2e.workspace import finish
from tests.toolchains import TEMPLATES, environment_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo, pytest.mark.toolchain("imx500")]

TARGETS = """\
  camera: {toolchain: imx500, recipe: int8, quantize: {keep_float: [decode, last]}}
"""

IMAGES = 16
"""Validation images; converting and loading take minutes anyway."""


BOTH_WAYS = """\
import sys; sys.path.insert(0, sys.argv[1])
import mct_quantizers, numpy, onnxruntime, runtime
runtime.provide_nms()
from edgemdt_cl.pytorch.nms import nms_ort
options = mct_quantizers.get_ort_session_options()
options.enable_mem_reuse = False
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
image = numpy.random.default_rng(0).random((1, 3, 320, 320), dtype=numpy.float32)
found = []
for model in (sys.argv[2], runtime.with_fast_quantizers(sys.argv[2], options)):
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found.append(session.run(None, {session.get_inputs()[0].name: image}))
print(len(found[0]), [numpy.array_equal(one, other) for one, other in zip(*found)])
"""
"""Runs a model with the toolkit's operators and as the runtime does, in the toolkit's environment."""


def settings(text: str) -> str:
    """Return the manifest with this toolchain's target, and few images."""
    return text.replace("images: 24", "images: 8").replace("package:", f"{TARGETS}package:")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, Any]]:
    """A workspace with everything built, and its report."""
    workspace = write(tmp_path_factory.mktemp("imx500"), [])
    manifest = workspace.manifest
    manifest.write_text(settings(manifest.read_text(encoding="utf-8")), encoding="utf-8")
    for kind in ("images", "labels"):
        for file in sorted((workspace.folder / "data" / kind / "val").iterdir())[IMAGES:]:
            file.unlink()
    done = finish(workspace.start("run", "manifest.yaml"), within=2400)
    assert done.code == 0, done.out + done.err
    report = workspace.folder / "build" / "real" / "report.json"
    return workspace, json.loads(report.read_text(encoding="utf-8"))


def log(workspace: Workspace, step: str) -> str:
    (file,) = (workspace.folder / ".edgebuild").rglob(f"camera.{step}.log")
    return file.read_text(encoding="utf-8")


def quantized(workspace: Workspace) -> Path:
    """Return the ONNX that was compiled: the largest file of the cache with the toolkit's operators."""
    blobs = (workspace.cache / "blobs").rglob("*")
    found = [blob for blob in blobs if blob.is_file() and b"mct_quantizers" in blob.read_bytes()]
    return max(found, key=lambda blob: blob.stat().st_size)


def test_what_is_compiled_scores_like_the_float_model(built: tuple[Workspace, dict[str, Any]]) -> None:
    _, report = built
    wanted, value = metric(report, "reference", "map50_95"), metric(report, "camera", "map50_95")
    assert value["evidence"] == "proxy"
    assert value["value"] == pytest.approx(wanted["value"], abs=0.06)


def test_it_fits_the_chip_and_is_compiled(built: tuple[Workspace, dict[str, Any]], tmp_path: Path) -> None:
    workspace, _ = built
    package = unpacked(workspace, "camera", tmp_path)
    with zipfile.ZipFile(package / "artifact" / "packerOut.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist()
    assert "packer zip successfully generated" in log(workspace, "convert")
    assert (package / "labels.txt").read_text(encoding="utf-8").split() == ["bolt", "nut", "washer", "screw"]
    compile((package / "run.py").read_text(encoding="utf-8"), "run.py", "exec")


def test_the_decoding_and_the_class_scores_have_16_bits(built: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, _ = built
    text = log(workspace, "quantize")
    found = re.search(r"^16 bits: (.*)$", text, re.MULTILINE)
    assert found
    names = found[1].split(", ")
    # Corners from distances, scaled to pixels; and the last convolutions of the class scores.
    assert {"sub", "add_14", "cat_19", "mul_2", "cat_18", "model_23_cv3_0_2"} <= set(names)


def test_the_runtime_keeps_the_contract(
    built: tuple[Workspace, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = built
    environment = environment_of("imx500")
    assert environment
    variables = {"python": str(environment.executable), "env": {"PATH": os.defpath, "OMP_NUM_THREADS": "1"}}
    monkeypatch.setenv(RUNTIME_VARIABLE, json.dumps(variables))
    info = json.loads((unpacked(workspace, "camera", tmp_path) / "model.json").read_text(encoding="utf-8"))
    artifact = _runtime.open_artifact(
        str(quantized(workspace)), info, threads=1, runtime=str(TEMPLATES / "imx500" / "runtime.py")
    )
    foreign = artifact.foreign
    assert foreign
    try:
        images = np.random.default_rng(0).random((1, 3, 320, 320), dtype=np.float32)
        first = [output.copy() for output in artifact(images)]
        assert [list(output.shape) for output in first] == [entry["shape"] for entry in info["outputs"]]
        assert {output.dtype.name for output in first} == {"float32"}
        # Each place holds one box of one class, or nothing.
        assert (np.count_nonzero(first[0][0, 4:], axis=0) <= 1).all()
        turned = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(first[0], artifact(turned)[0])
    finally:
        foreign.close()


def test_faster_quantizers_compute_the_same(built: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, _ = built
    environment = environment_of("imx500")
    assert environment
    words = (environment.executable, TEMPLATES / "imx500", quantized(workspace))
    python, folder, model = (str(word) for word in words)
    argv = [python, "-c", BOTH_WAYS, folder, model]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "4 [True, True, True, True]"
