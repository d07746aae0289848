"""A search for mixed precision on a tiny model: killed and resumed, idle, and after a fine-tune."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

BUDGET = 7
TARGET = "int8: {toolchain: onnxruntime, recipe: int8}"
SEARCHED = (
    "int8: {toolchain: onnxruntime, recipe: int8, "
    "quantize: {mixed_precision: {max_drop: 0.5, max_slowdown: 1, budget: %s}}}"
)
SEARCH = f"search@drop0.5-slow1-n{BUDGET}"

FINE_TUNE = """
import sys, torch
saved = torch.load(sys.argv[1], weights_only=False)
part = saved["model"].model[4]
torch.manual_seed(1)
with torch.no_grad():
    for value in part.parameters():
        if value.ndim == 4:
            value += (0.2 * value.std() * torch.randn_like(value)).to(value.dtype)
torch.save(saved, sys.argv[1])
"""
"""Moves the weights of one module by far more than the search takes for unmoved."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Workspace:
    """A workspace whose search was killed, and then ended; only to be copied."""
    workspace = make_workspace(tmp_path_factory.mktemp("searched"))
    (workspace.folder / "weights" / "tiny.pt").write_bytes((weights / "tiny.pt").read_bytes())
    workspace.edit(TARGET, SEARCHED % BUDGET)
    kill_amid_probes(workspace, found=8)
    ran = workspace.run("int8")
    assert ran.code == 0, ran.done.err
    return workspace


def kill_amid_probes(workspace: Workspace, *, found: int) -> None:
    """Start a run and kill it, and all it started, once some probes have been noted."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebuild", "run", "manifest.yaml", "int8", "--quiet"],
        cwd=workspace.folder,
        env=workspace.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    journal = workspace.folder / ".edgebuild" / "shelf" / "journal.jsonl"
    until = time.monotonic() + 600
    while time.monotonic() < until and process.poll() is None:
        noted = journal.read_text(encoding="utf-8") if journal.exists() else ""
        if noted.count(f'["{SEARCH}/') >= found:
            break
        time.sleep(0.1)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def report(workspace: Workspace) -> dict[str, Any]:
    path = workspace.folder / "build" / "shelf" / "report.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["searches"]["int8"]
    return found


def fine_tune(workspace: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FINE_TUNE, str(workspace.folder / "weights" / "tiny.pt")],
        env=workspace.environment({"YOLO_CONFIG_DIR": str(workspace.tools), "YOLO_OFFLINE": "true"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


def test_a_killed_search_goes_on_where_it_was(searched: Workspace) -> None:
    found = report(searched)
    assert found["probes"]["found"] >= 8
    assert found["probes"]["scored"] <= BUDGET
    assert not found["probes"]["warm"]


def test_it_tells_what_it_measured_and_the_artifact_is_what_it_chose(searched: Workspace) -> None:
    found = report(searched)
    chosen = [point for point in found["points"] if point["chosen"]]
    assert len(chosen) == 1
    assert chosen[0]["front"]
    assert found["default"]["on_front"] or found["default"]["beaten_by"]
    assert {block["label"] for block in found["blocks"]} >= {"model.0", "model.10", "head box", "head class"}
    assert all(block["noise"] >= 0 for block in found["blocks"])
    page = (searched.folder / "build" / "shelf" / "report.html").read_text(encoding="utf-8")
    assert "What was searched" in page
    report_of = json.loads(searched.eb("commands", "manifest.yaml", "quantize", "--json").out)["commands"]
    assert any("--choice" in row["argv"] for row in report_of)


def test_the_next_run_has_nothing_to_do_and_then_does_not_even_look(searched: Workspace) -> None:
    again = searched.run("int8")
    assert (again.code, again.ran) == (0, set())
    assert again.action(SEARCH)["outcome"] == "current"
    planned = searched.eb("plan", "manifest.yaml", "--json").json()["actions"]
    assert next(row["state"] for row in planned if row["id"] == SEARCH) == "current"


def test_other_limits_are_another_search_whose_probes_are_all_there(
    searched: Workspace, tmp_path: Path
) -> None:
    workspace = searched.copy(tmp_path)
    workspace.edit("max_drop: 0.5, max_slowdown: 1", "max_drop: 0.4, max_slowdown: 1")
    ran = workspace.run("int8")
    assert ran.code == 0, ran.done.err
    assert f"search@drop0.4-slow1-n{BUDGET}" in ran.ran
    assert report(workspace)["probes"]["run"] == 0


def test_a_metric_of_another_task_is_refused_before_anything_runs(
    searched: Workspace, tmp_path: Path
) -> None:
    workspace = searched.copy(tmp_path)
    workspace.edit("max_drop: 0.5, max_slowdown: 1", "metric: top1, max_slowdown: 1")
    refused = workspace.eb("run", "manifest.yaml", "int8")
    assert refused.code == 2
    assert "top1 is no metric of the task detect" in refused.err


def test_after_a_fine_tune_only_what_moved_is_probed_again(searched: Workspace, tmp_path: Path) -> None:
    workspace = searched.copy(tmp_path)
    before = report(workspace)
    fine_tune(workspace)
    ran = workspace.run("int8")
    assert ran.code == 0, ran.done.err
    after = report(workspace)
    moved = {block["label"] for block in after["blocks"] if not block["carried"]}
    assert moved == {"model.4"}
    assert after["probes"]["warm"]
    assert after["probes"]["saved"] >= len(before["blocks"]) - 1
    assert after["probes"]["run"] < before["probes"]["run"] + before["probes"]["found"]
    assert workspace.run("int8").ran == set()


def test_a_forced_search_measures_anew(searched: Workspace, tmp_path: Path) -> None:
    workspace = searched.copy(tmp_path)
    ran = workspace.run(SEARCH, "--force")
    assert ran.code == 0, ran.done.err
    assert SEARCH in ran.ran
