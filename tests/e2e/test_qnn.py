"""Qualcomm's HTP for real, in its emulation: the quickstart's model, built, measured, shipped."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_toolchains import MANIFEST, STARTER, metric, unpacked, write
from tests.toolchains import environment_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo, pytest.mark.toolchain("qnn")]

IMAGES = 8
"""Validation images: each takes the emulation two seconds of processor time and more."""

TARGETS = """\
  w8a16: {toolchain: qnn, recipe: w8a16, options: {htp_arch: 73, soc_model: 43}}
  int8: {toolchain: qnn, recipe: int8, options: {htp_arch: 73, soc_model: 43}}
  fp16: {toolchain: qnn, recipe: fp16, options: {htp_arch: 73, soc_model: 43}}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, Any]]:
    """A workspace with everything built, and its report."""
    workspace = write(tmp_path_factory.mktemp("qnn"), [])
    for kind in ("images", "labels"):
        for file in sorted((workspace.folder / "data" / kind / "val").iterdir())[IMAGES:]:
            file.unlink()
    text = f"{MANIFEST}{TARGETS}package: {{version: 1.0.0}}\n"
    workspace.manifest.write_text(text, encoding="utf-8")
    done = workspace.eb("run", "manifest.yaml")
    assert done.code == 0, done.out + done.err
    report = workspace.folder / "build" / "real" / "report.json"
    return workspace, json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("target", "drop"), [("w8a16", 0.02), ("int8", 0.05), ("fp16", 0.01)])
def test_the_context_scores_like_the_float_model(
    built: tuple[Workspace, dict[str, Any]], target: str, drop: float
) -> None:
    _, report = built
    wanted, value = metric(report, "reference", "map50_95"), metric(report, target, "map50_95")
    assert value["evidence"] == "emulator"
    assert value["value"] == pytest.approx(wanted["value"], abs=drop)


def test_what_stays_in_floating_point_for_its_size_is_said(built: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, _ = built
    (log,) = (workspace.folder / ".edgebuild").rglob("w8a16.quantizer.log")
    # At 320 pixels the last maps are 10 x 10.
    assert "in floating point for their size: 62 nodes, the first is /model.7/act/" in log.read_text("utf-8")


def test_the_package_runs_as_it_was_shipped(built: tuple[Workspace, dict[str, Any]], tmp_path: Path) -> None:
    from PIL import Image

    workspace, _ = built
    environment = environment_of("qnn")
    assert environment
    package = unpacked(workspace, "fp16", tmp_path)
    image = min((workspace.folder / "data" / "images" / "val").iterdir())
    site = os.path.dirname(os.path.dirname(Image.__file__))  # noqa: PTH120 - a folder, not a file's parent
    done = subprocess.run(
        [environment.executable, "-c", STARTER, site, "run.py", str(image)],
        cwd=package,
        env={"PATH": os.defpath, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert found
    assert {entry["label"] for entry in found} <= {"bolt", "nut", "washer", "screw"}
    assert max(entry["score"] for entry in found) > 0.5
