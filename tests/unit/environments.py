"""Toolchains with an environment of their own, and a wheel for pip to install, for tests."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from edgebuild.toolchain.load import load_toolchain

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.toolchain.load import Toolchain

BODY = """\
toolchain: 1
title: Acme
links: [https://acme.example]
tools:
  acmec:
    executable: acmec
    version: {command: ["--version"], regex: 'acmec (\\d+\\.\\d+)'}
    supported: ">=2,<4"
    get: Get it.
ENVIRONMENT
recipes:
  fp32:
    title: Acme
    precision: fp32
    steps:
      - step: compile
        inputs: {model: onnx}
    artifact: compile.model
    evaluate: {evidence: host, runtime: runtime.py}
    benchmark: {evidence: host, runtime: runtime.py}
steps:
  compile:
    command: compile.cmd.j2
    tools: [acmec]
    outputs: {model: {path: model.acme}}
"""


def write_toolchain(folder: Path, environment: str, *, requirements: str = "", body: str = BODY) -> Path:
    """Write the folder of a toolchain called ``acme`` and return the folder of toolchains."""
    place = folder / "templates" / "acme"
    place.mkdir(parents=True)
    lines = "".join(f"  {line}\n" for line in environment.strip().splitlines())
    block = f"environment:\n{lines}" if lines else ""
    (place / "toolchain.yaml").write_text(body.replace("ENVIRONMENT\n", block), encoding="utf-8")
    (place / "compile.cmd.j2").write_text("acmec {{ inputs.model }} {{ outputs.model }}\n", encoding="utf-8")
    (place / "runtime.py").write_text("def load(artifact, info, threads): ...\n", encoding="utf-8")
    if requirements:
        (place / "requirements.txt").write_text(requirements, encoding="utf-8")
    return folder / "templates"


def acme(folder: Path, environment: str, *, requirements: str = "") -> Toolchain:
    """Return such a toolchain, loaded."""
    return load_toolchain("acme", (write_toolchain(folder, environment, requirements=requirements),))


def write_wheel(folder: Path, name: str, version: str, *, requires: str = "", script: str = "") -> Path:
    """Write a wheel with one module and, when asked for, one console script that calls its ``main``."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    module = f"VERSION = {version!r}\ndef main():\n    print('{name} {version}')\n"
    files = {
        f"{name}.py": module,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script} = {name}:main\n"
    rows = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": rows}.items():
            archive.writestr(file, text)
    return path
