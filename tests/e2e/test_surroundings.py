"""Around a run: plain doit, a terminal, the report, what a run with nothing to do costs."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.workspace import REPOSITORY

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

HEAVY = {"torch", "onnx", "onnxruntime", "ultralytics", "cv2", "numpy"}


def _doit(w: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    if not (w.folder / "dodo.py").exists():
        shutil.copy(REPOSITORY / "dodo.py", w.folder)
    return subprocess.run(
        [sys.executable, "-m", "doit", *words],
        cwd=w.folder,
        env=w.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_plain_doit_lists_the_actions(built: Workspace) -> None:
    listed = _doit(built, "list", "--all", "--quiet")
    assert listed.returncode == 0, listed.stderr
    names = set(listed.stdout.split())
    assert {"build", "build:shelf/export", "build:shelf/chip/compile", "build:shelf/int8/package"} <= names


def test_plain_doit_does_the_same_work(built: Workspace) -> None:
    built.edit("level: 1", "level: 3")
    done = _doit(built, "-n", "2", "build:shelf/chip/*")
    assert done.returncode == 0, done.stderr
    after = built.run()
    assert after.ids("current") == {row["id"] for row in after.document["actions"]}


def test_plain_doit_fails_where_an_action_fails(built: Workspace) -> None:
    built.edit("level: 1", "level: 3")
    built.tool_mode("fail")
    done = _doit(built, "build:shelf/chip/compile")
    assert done.returncode != 0
    assert "chip/compile" in done.stderr
    assert "E42 the tests asked for it" in done.stderr


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_a_terminal_gets_colours_unless_it_asks_for_none(built: Workspace, variables: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "edgebuild", "run", "manifest.yaml", "--set", "targets.chip.options.level=8"],
        cwd=built.folder,
        env=built.environment({"TERM": "xterm-256color", **variables}),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        text = _all_of(ours)
        assert process.wait(120) == 0, text
    os.close(ours)
    assert "chip/compile" in text
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", text)) is (not variables)


def _all_of(terminal: int) -> str:
    found = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not data:
            break
        found += data
    return found.decode("utf-8", "replace")


def test_a_run_is_data_on_standard_output_and_words_on_standard_error(built: Workspace) -> None:
    built.edit("level: 1", "level: 2")
    done = built.eb("run", "manifest.yaml", "--json", variables={"TERM": "xterm-256color"})
    document = json.loads(done.out)
    assert not done.coloured
    assert document["schema"] == 1
    assert document["exit_code"] == 0
    for row in document["actions"]:
        assert row["outcome"] in {"ran", "cached", "current", "skipped", "failed"}
        assert row["seconds"] >= 0
        assert (row["seconds"] > 0) == (row["outcome"] == "ran")
    for row in document["targets"]:
        assert row["status"] in {"passed", "rejected", "failed", "skipped"}
        assert (built.folder / row["package"]).is_file()
        assert (built.folder / row["artifact"]).is_file()
        assert {"name", "value", "unit", "evidence"} == set(row["metrics"][0])
        assert {m["evidence"] for m in row["metrics"]} <= {"host", "emulator", "proxy", "device"}
        assert {"metric", "status", "limit", "value", "baseline"} <= set(row["verdicts"][0])


def test_a_quiet_run_says_nothing(built: Workspace) -> None:
    built.edit("level: 1", "level: 2")
    done = built.eb("run", "manifest.yaml", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_run_with_nothing_to_do_is_one_line_and_imports_nothing_heavy(built: Workspace) -> None:
    # The first run looks at everything, the second notes what it saw, the third believes the note.
    runs = [built.eb("run", "manifest.yaml", python=("-X", "importtime")) for _ in range(3)]
    for done in runs:
        assert done.code == 0
        assert re.search(r"^shelf: 0 ran, 0 cached, 22 current; ", done.out, re.MULTILINE)
        assert len(done.out.splitlines()) <= 3
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.err.splitlines()}
        assert not HEAVY & imported


def test_a_dry_run_with_nothing_to_do_exits_0(built: Workspace) -> None:
    assert built.eb("run", "manifest.yaml", "-n", "--exit-code").code == 0
    built.edit("level: 1", "level: 2")
    assert built.eb("run", "manifest.yaml", "-n", "--exit-code").code == 10
    assert built.eb("run", "manifest.yaml", "-n", "--exit-code", "fp32").code == 0


def test_the_report_is_written_again_without_running_anything(built: Workspace) -> None:
    place = built.folder / "build/shelf"
    for name in ("report.html", "report.json", "report.md"):
        (place / name).unlink()
    done = built.eb("report", "manifest.yaml")
    assert done.out == "build/shelf/report.html\n"
    assert json.loads((place / "report.json").read_text(encoding="utf-8"))["exit_code"] == 0
    page = (place / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["']?https?://""", page)
    (place / "report.md").unlink()
    told = built.eb("report", "manifest.yaml", "--markdown").out
    assert told.startswith("# ✓ shelf 1.0.0: passed")
    assert "shelf-chip-1.0.0.tar.gz" in told
    assert not (place / "report.md").exists()  # to print needs no place that can be written


def test_a_model_without_a_dataset_is_compiled_and_packed(built: Workspace) -> None:
    text = built.manifest.read_text(encoding="utf-8")
    start, end = text.index("dataset:"), text.index("benchmark:")
    text = text[:start] + text[end:]
    text = text.replace("acceptance:\n  map50_95: {max_drop: 0.5}\n", "acceptance: {size_mb: {max: 9}}\n")
    text = text.replace("  int8: {toolchain: onnxruntime, recipe: int8}\n", "")
    built.manifest.write_text(text, encoding="utf-8")
    ran = built.run()
    assert ran.code == 0, ran.done.err
    assert ran.target("chip")["status"] == "passed"
    assert built.eb("verify", ran.target("chip")["package"]).code == 0
