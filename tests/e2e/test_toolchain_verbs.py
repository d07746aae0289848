"""``edgebuild toolchain``: a new folder, what it offers, and the trial of a tool that is here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.e2e.workspace import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[..., subprocess.CompletedProcess[str]]

TOOLCHAIN = """
toolchain: 1
title: A compiler that copies
links: [https://example.com]
tools:
  copyc:
    executable: copyc
    version: {command: ["--version"], regex: 'copyc (\\d+\\.\\d+)'}
    supported: ">=2,<3"
    get: Copy it.
environment: {pass: [COPYC_LICENSE]}
options:
  mode: {type: string, enum: [whole, torn], default: whole, description: What it writes.}
calibration: {format: npy}
recipes:
  plain:
    title: The float model as it is
    precision: fp32
    default: true
    steps: [{step: compile, inputs: {model: onnx}}]
    artifact: compile.model
    evaluate: {evidence: host, runtime: runtime.py}
  broken:
    title: One that fails
    precision: fp32
    steps: [{step: fail, inputs: {model: onnx, calibration: calibration}}]
    artifact: fail.model
    evaluate: none
steps:
  compile:
    command: compile.cmd.j2
    tools: [copyc]
    outputs: {model: {path: model.onnx}}
  fail:
    command: fail.cmd.j2
    tools: [copyc]
    outputs: {model: {path: model.onnx}}
findings:
  - {pattern: 'E77', id: copyc-chip, level: error, hint: take another chip}
"""

COPYC = """#!/bin/sh
[ "$1" = --version ] && { echo "copyc VERSION, licensed to $COPYC_LICENSE"; exit 0; }
[ "$1" = --fail ] && { echo "E77: no such chip, license $COPYC_LICENSE"; exit 0; }
cp "$1" "$2"
"""

RUNTIME = """
import onnxruntime

def load(artifact, info, threads):
    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})
"""


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Call edgebuild in a folder with a tool, a toolchain and a cache of the test's own."""
    (tmp_path / "bin").mkdir()
    put_tool(tmp_path, "2.5")
    environ = {**os.environ, "EDGEBUILD_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(REPOSITORY)}
    environ |= {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environ["COPYC_LICENSE"] = "12-34-56-78"

    def it(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "edgebuild", "toolchain", *words]
        return subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    return it


def put_tool(folder: Path, version: str) -> None:
    tool = folder / "bin" / "copyc"
    tool.write_text(COPYC.replace("VERSION", version), encoding="utf-8")
    tool.chmod(0o755)


def put_toolchain(folder: Path) -> None:
    place = folder / "templates" / "copy"
    place.mkdir(parents=True)
    (place / "toolchain.yaml").write_text(TOOLCHAIN, encoding="utf-8")
    (place / "compile.cmd.j2").write_text("copyc {{ inputs.model }} {{ outputs.model }}\n", encoding="utf-8")
    (place / "fail.cmd.j2").write_text("copyc --fail {{ inputs.calibration }}\n", encoding="utf-8")
    (place / "runtime.py").write_text(RUNTIME, encoding="utf-8")


def test_a_new_folder_passes_the_checks_and_says_what_to_do_next(tmp_path: Path, call: Call) -> None:
    done = call("new", "acme")
    assert done.returncode == 0, done.stderr
    assert "edgebuild toolchain test acme --templates templates" in done.stdout
    assert {path.name for path in (tmp_path / "templates/acme").iterdir()} == {
        "toolchain.yaml",
        "compile.cmd.j2",
        "README.md",
    }
    shown = json.loads(call("show", "acme", "--json").stdout)
    assert [recipe["name"] for recipe in shown["recipes"]] == ["fp16"]
    assert [option["type"] for option in shown["options"]] == ["a1 | a2"]
    assert call("new", "acme").returncode == 2
    assert call("new", "A c").returncode == 2


def test_the_list_says_where_tools_live(tmp_path: Path, call: Call) -> None:
    put_toolchain(tmp_path)
    rows = {row["name"]: row for row in json.loads(call("list", "--json").stdout)["toolchains"]}
    assert rows["copy"]["environment"] == "as found on PATH"
    assert "copy" in call("list").stdout
    shown = call("show", "copy").stdout
    assert "mode: whole | torn, default" in shown
    assert "\nlimits\n  opset   " in shown


def test_what_cannot_be_installed_or_removed_is_said(tmp_path: Path, call: Call) -> None:
    put_toolchain(tmp_path)
    done = call("install", "copy")
    assert done.returncode == 2
    assert "has no Python environment to install" in done.stderr
    assert "Copy it." in done.stderr
    assert call("remove", "copy").returncode == 2
    assert call("installed").stdout == f"no environments in {tmp_path / 'cache'}\n"


def test_a_tool_that_is_not_here_is_said_before_anything_is_made(tmp_path: Path, call: Call) -> None:
    put_toolchain(tmp_path)
    (tmp_path / "bin/copyc").unlink()
    done = call("test", "copy")
    assert done.returncode == 5
    assert "copyc is not on PATH" in done.stderr
    assert "making" not in done.stderr


@pytest.mark.slow
@pytest.mark.yolo
def test_a_trial_runs_what_it_compiled_and_bundles_what_failed(tmp_path: Path, call: Call) -> None:
    put_toolchain(tmp_path)
    put_tool(tmp_path, "3.1")
    done = call("test", "copy", "--recipe", "all", "--option", "mode=whole")
    assert done.returncode == 3, done.stderr
    assert "copy/copyc 3.1 is outside the supported range >=2,<3; trying it all the same" in done.stderr
    assert "ok      plain:" in done.stdout
    assert "output_0 deviates by 0.00%" in done.stdout
    assert "FAILED  broken:" in done.stdout
    bundle = tmp_path / "copy-toolchain-test.zip"
    with zipfile.ZipFile(bundle) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "E77: no such chip, license <COPYC_LICENSE>" in texts["logs/broken.fail.log"]
    assert "copyc 3.1, licensed to <COPYC_LICENSE>" in texts["tools/copyc.txt"]
    assert "copyc --fail" in texts["commands.sh"]
    assert "COPYC_LICENSE=<set>" in texts["machine.txt"]
    assert texts["toolchain/toolchain.yaml"] == TOOLCHAIN
    assert "12-34-56-78" not in "".join(texts.values())
    rows = {row["recipe"]: row for row in json.loads(texts["result.json"])["recipes"]}
    assert rows["plain"]["ok"]
    assert not rows["broken"]["ok"]
