"""A workspace as a user has it: manifest, data, weights, a toolchain of their own, and the command line."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[2]

NAMES = ("bolt", "nut")

MANIFEST = """\
edgebuild: 1
name: shelf
model:
  weights: weights/tiny.pt
  task: detect
  imgsz: 64
dataset:
  data: data/data.yaml
  calibration: {split: train, images: 4, sample: stratified, seed: 0}
  validation: {split: val}
quantize:
  keep_float: [decode, last]
benchmark: {warmup: 1, runs: 3}
acceptance:
  map50_95: {max_drop: 0.5}
targets:
  fp32: {toolchain: onnxruntime, recipe: fp32}
  int8: {toolchain: onnxruntime, recipe: int8}
  chip: {toolchain: shelly, options: {level: 1}}
package: {version: 1.0.0}
"""

TOOLCHAIN = """\
toolchain: 1
title: The compiler of these tests
links: [https://example.com/shelly]
tools:
  shellyc:
    executable: shellyc
    version: {file: ["${SHELLY_HOME}/version.txt"], regex: 'version=(\\S+)'}
    supported: ">=1,<3"
    get: Build it from the tests.
environment: {pass: [SHELLY_LICENCE]}
options:
  level: {type: integer, minimum: 0, maximum: 9, default: 1, description: How hard it tries.}
limits: {opset: [11, 20]}
recipes:
  plain:
    title: The float model, wrapped
    default: true
    precision: fp16
    steps:
      - step: compile
        inputs: {model: onnx}
    artifact: compile.model
    evaluate: {artifact: onnx, evidence: proxy}
    benchmark: none
steps:
  compile:
    command: compile.cmd.j2
    tools: [shellyc]
    outputs:
      model: {path: model.shelly, magic: "5348454c"}
    success: {log_has: ['compiled']}
    timeout: 600
findings:
  - {pattern: 'E42', id: shelly-e42, level: error, hint: E42 means that the tests asked for a failure}
"""

COMMAND = """\
{# The level is the only option. #}
shellyc
  --model {{ inputs.model }}
  --output {{ outputs.model }}
  --level {{ options.level }}
"""

TOOL = """\
#!{python} -ESB
# Writes a few bytes that follow from its input; `mode` beside it says how to misbehave.
import argparse, hashlib, os, pathlib, signal, sys, time

parser = argparse.ArgumentParser()
for name in ("--model", "--output", "--level"):
    parser.add_argument(name, required=True)
arguments = parser.parse_args()
mode = (pathlib.Path(sys.argv[0]).parent / "mode").read_text().strip()
if mode == "slow":
    time.sleep(1.5)
if mode == "fail":
    sys.exit("E42 the tests asked for it")
if mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if mode == "hang":
    if os.fork() == 0:
        os.setsid()  # a grandchild in a session of its own must not outlive the run either
        time.sleep(300)
    print("hanging", flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(300)
content = b"SHEL" + hashlib.sha256(pathlib.Path(arguments.model).read_bytes()).digest()
if mode == "level":
    content += arguments.level.encode()
if mode != "no-output":
    pathlib.Path(arguments.output).write_bytes(b"oops" if mode == "garbage" else content)
print("nothing said" if mode == "silent" else "compiled")
"""

_ANSI = re.compile(r"\x1b\[")


@dataclass(frozen=True, kw_only=True)
class Done:
    """How the command line ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def coloured(self) -> bool:
        return bool(_ANSI.search(self.out + self.err))


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A project's folder, the cache that it uses, and the variables it is used with."""

    folder: Path
    cache: Path
    tools: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.yaml"

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return what a user's shell would have, and nothing that belongs to the test run."""
        kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "PATH": f"{self.tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            "EDGEBUILD_CACHE": str(self.cache),
            "SHELLY_HOME": str(self.tools),
            "OMP_NUM_THREADS": "1",
            **self.variables,
            **(variables or {}),
        }

    def start(
        self, *words: str, variables: Mapping[str, str] | None = None, python: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        """Start the command line in the workspace's folder.

        Args:
            words: Its arguments.
            variables: Set on top of the workspace's own.
            python: Flags of the interpreter.
        """
        return subprocess.Popen(
            [sys.executable, *python, "-m", "edgebuild", *words],
            cwd=self.folder,
            env=self.environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def eb(
        self, *words: str, variables: Mapping[str, str] | None = None, python: tuple[str, ...] = ()
    ) -> Done:
        """Use the command line in the workspace's folder, to its end."""
        return finish(self.start(*words, variables=variables, python=python))

    def run(self, *words: str, variables: Mapping[str, str] | None = None) -> Ran:
        """``run manifest.yaml --json``, whatever its exit code."""
        done = self.eb("run", "manifest.yaml", *words, "--json", variables=variables)
        assert done.out, done.err
        return Ran(done=done, document=done.json())

    def edit(self, old: str, new: str, *, file: str = "manifest.yaml") -> None:
        """Replace the one place where a file says something."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (old, text)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def tool_mode(self, mode: str) -> None:
        """Say how the compiler of these tests is to behave; nothing of it is part of any key."""
        (self.tools / "mode").write_text(mode, encoding="utf-8")

    def processes(self) -> set[int]:
        """Return the processes that work inside the cache: steps, and whatever they started."""
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    place = str((entry / "cwd").readlink())
                    found |= {int(entry.name)} if place.startswith(f"{self.cache}/") else set()
        return found

    def copy(self, into: Path, *, same_cache: bool = False) -> Workspace:
        """Return a copy of everything, which a test may spoil; with ``same_cache`` only of the folder."""
        shutil.copytree(self.folder, into / "work", symlinks=True)
        if same_cache:
            return replace(self, folder=into / "work")
        copy_cache(self.cache, into / "cache")
        shutil.copytree(self.tools, into / "tools")
        return replace(self, folder=into / "work", cache=into / "cache", tools=into / "tools")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run with ``--json``."""

    done: Done
    document: dict[str, Any]

    @property
    def code(self) -> int:
        return self.done.code

    def ids(self, outcome: str) -> set[str]:
        """Return the ids of the actions that ended so."""
        return {row["id"] for row in self.document["actions"] if row["outcome"] == outcome}

    @property
    def ran(self) -> set[str]:
        return self.ids("ran")

    def action(self, action_id: str) -> dict[str, Any]:
        found: dict[str, Any] = next(row for row in self.document["actions"] if row["id"] == action_id)
        return found

    def target(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(row for row in self.document["targets"] if row["name"] == name)
        return found


def finish(process: subprocess.Popen[str], *, within: float = 900) -> Done:
    """Wait for the command line to end."""
    try:
        out, err = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Done(code=process.returncode, out=out, err=err)


def make_workspace(root: Path) -> Workspace:
    """Write a workspace without weights: manifest, images, labels, and a toolchain with its tool."""
    workspace = Workspace(folder=root / "work", cache=root / "cache", tools=root / "tools")
    toolchain = workspace.folder / "templates" / "shelly"
    for folder in (toolchain, workspace.folder / "weights", workspace.tools):
        folder.mkdir(parents=True)
    workspace.manifest.write_text(MANIFEST, encoding="utf-8")
    (toolchain / "toolchain.yaml").write_text(TOOLCHAIN, encoding="utf-8")
    (toolchain / "compile.cmd.j2").write_text(COMMAND, encoding="utf-8")
    (workspace.folder / "weights" / "tiny.pt").write_bytes(b"stands for weights\n" * 40)
    for name, images in (("train", 8), ("val", 6)):
        write_split(workspace.folder / "data", name, images)
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(NAMES))
    text = f"path: .\ntrain: images/train\nval: images/val\nnames:\n{names}"
    (workspace.folder / "data" / "data.yaml").write_text(text, encoding="utf-8")
    install_tool(workspace.tools)
    return workspace


def install_tool(folder: Path) -> None:
    """Put the compiler of these tests into a folder."""
    tool = folder / "shellyc"
    tool.write_text(TOOL.replace("{python}", sys.executable), encoding="utf-8")
    tool.chmod(0o755)
    (folder / "mode").write_text("ok", encoding="utf-8")
    (folder / "version.txt").write_text("version=1.2.0\n", encoding="utf-8")


def write_split(data: Path, name: str, images: int) -> None:
    """Write images of coloured rectangles, and a label for each rectangle."""
    for index in range(images):
        dice = random.Random(f"{name}-{index}")
        image = data / "images" / name / f"{index:03}.bmp"
        label = data / "labels" / name / f"{index:03}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_image(image, dice)
        label.write_text(f"{index % len(NAMES)} 0.5 0.5 0.5 0.5\n", encoding="utf-8")


def write_image(path: Path, dice: random.Random) -> None:
    """Write a 64 x 48 picture of one rectangle on a noisy ground."""
    width, height = 64, 48
    front = dice.randbytes(3)
    rows = bytearray()
    for y in range(height):
        for x in range(width):
            inside = 16 <= x < 48 and 12 <= y < 36
            rows += front if inside else dice.randbytes(3)
    head = struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 2835, 2835, 0, 0)
    path.write_bytes(head + info + bytes(rows))


def copy_cache(source: Path, target: Path) -> None:
    """Copy a cache; blobs are read-only and never written again, so links to them will do."""
    shutil.copytree(source, target, copy_function=_link_blob, ignore=shutil.ignore_patterns("scratch"))


def _link_blob(source: str, target: str) -> None:
    if "/blobs/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
