"""Warm workers as a user meets them: nothing differs but the time, and nothing is left behind."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.workspace import finish

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

SERVED = "# in a worker, which has the packages loaded"


def _logs(w: Workspace, word: str) -> set[str]:
    """Return the actions in whose log a line starts so."""
    folder = w.folder / ".edgebuild/shelf/logs"
    return {
        path.stem
        for path in folder.glob("*.log")
        if any(line.startswith(word) for line in path.read_text(encoding="utf-8").splitlines())
    }


def _records(w: Workspace) -> dict[str, object]:
    """Return what every action left, by its key."""
    paths = (w.cache / "actions").rglob("*.json")
    lines = {path.stem: path.read_text(encoding="utf-8").splitlines()[0] for path in paths}
    return {key: json.loads(line)["artifacts"] for key, line in lines.items()}


def _workers(w: Workspace) -> set[int]:
    """Return the workers of a workspace."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                place = str((entry / "cwd").readlink())
            except OSError:
                continue
            if place.startswith(f"{w.folder}/.edgebuild/shelf/worker"):
                found.add(int(entry.name))
    return found


def test_a_run_without_workers_leaves_the_same_bytes(built: Workspace) -> None:
    served = _logs(built, SERVED)
    assert {"int8.validate", "chip.validate", "int8.detections", "preprocess", "ranges", "quantize"} <= served
    assert not {"fp32.benchmark", "fp32.verdict", "chip.compile"} & served
    assert not _logs(built, "# not in a worker")
    before = _records(built)
    again = built.run("--force", "--no-worker")
    assert again.code == 0
    assert not _logs(built, SERVED)
    after = _records(built)
    # Packages and verdicts hold measurements, which no two runs share.
    same = [key for key in before if after[key] == before[key]]
    assert {row["id"] for row in again.document["actions"] if row["outcome"] != "ran"} == set()
    report = json.loads((built.folder / "build/shelf/report.json").read_text(encoding="utf-8"))
    assert "not-reproducible" not in json.dumps(report)
    assert len(same) >= len(served)


def test_the_variable_turns_them_off_too(built: Workspace) -> None:
    off = built.run("--force", "--until", "validate", "fp32", variables={"EDGEBUILD_WORKER": "off"})
    assert off.code == 0
    assert off.ran == {"export", "baseline", "fp32/validate"}
    assert not {name.replace("/", ".") for name in off.ran} & _logs(built, SERVED)


def test_a_worker_that_cannot_start_is_no_failure(built: Workspace) -> None:
    folder = built.folder / ".edgebuild/shelf/worker"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()
    folder.touch()
    ran = built.run("--force", "--until", "validate", "fp32")
    assert ran.code == 0
    assert {"baseline", "fp32.validate"} <= _logs(built, "# not in a worker after all")


def test_nothing_outlives_a_run_that_was_killed(built: Workspace) -> None:
    process = built.start("run", "manifest.yaml", "--force", "--until", "validate")
    end = time.monotonic() + 200
    while not (_workers(built) and _served_now(built)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    process.kill()
    finish(process)
    end = time.monotonic() + 30
    while _workers(built) or built.processes():
        assert time.monotonic() < end, (_workers(built), built.processes())
        time.sleep(0.05)
    assert built.run().code == 0


def _served_now(w: Workspace) -> bool:
    """Whether a step runs that a worker split off: it still shows the worker's command line."""
    for pid in w.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
        except OSError:
            continue
        if "edgebuild.steps._zygote" in words:
            return True
    return False
