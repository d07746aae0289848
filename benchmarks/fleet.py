"""Write a synthetic fleet: M models with T targets each, and weights and data of a few bytes.

Each model is a manifest of its own in one folder: ``m00.yaml``, ``m01.yaml``, and so on. Its chain is the
real one, without what its manifest does not ask for: 3 actions per model (export, and validation and pictures
of the float model) and 5 per target (compile, validate, detections, verdict, package).

    python benchmarks/fleet.py FOLDER --models 10 --targets 100
"""

from __future__ import annotations

import argparse
from pathlib import Path

SHARED = 3
PER_TARGET = 5

TOOLCHAIN = """\
toolchain: 1
title: A compiler that does next to nothing
links: [https://example.com/]

tools:
  trivial:
    version: {distribution: PyYAML}
    get: It comes with edgebuild.

environment: {pass: []}

options:
  level: {type: integer, minimum: 0, default: 0, description: Changes the command line.}

recipes:
  plain:
    title: One compile step
    default: true
    precision: fp32
    steps: [{step: compile, inputs: {model: onnx}}]
    artifact: compile.model
    evaluate: {evidence: host}

steps:
  compile:
    command: compile.cmd.j2
    tools: [trivial]
    outputs: {model: {path: model.bin}}
"""

COMMAND = """\
python -m trivial compile
  --target={{ target }}
  --level={{ options.level }}
  --model={{ inputs.model }}
  --output={{ outputs.model }}
"""

SEED = '{"status": "passed", "metrics": [], "verdicts": [], "evidence": "host", "images": [], "of": "%s"}\n'
"""What the weights hold; every body copies it on with a word more, so that all outputs differ."""


def write_fleet(folder: Path, models: int, targets: int) -> list[Path]:
    """Write a fleet into a folder and return its manifests; the same numbers give the same bytes.

    Args:
        folder: Is made; files in it that the fleet has too are replaced.
        models: How many models, 1 to 1,000.
        targets: How many targets each, 1 to 10,000.
    """
    toolchain = folder / "templates" / "trivial"
    data = folder / "data"
    for place in (toolchain, folder / "weights", data / "images" / "val", data / "labels" / "val"):
        place.mkdir(parents=True, exist_ok=True)
    _write(toolchain / "toolchain.yaml", TOOLCHAIN)
    _write(toolchain / "compile.cmd.j2", COMMAND)
    _write(data / "data.yaml", "path: .\nval: images/val\nnames: {0: thing}\n")
    _write(data / "images" / "val" / "0.png", "stands for an image\n")
    _write(data / "labels" / "val" / "0.txt", "0 0.5 0.5 0.5 0.5\n")
    return [_write_model(folder, model, targets) for model in range(models)]


def model_name(model: int) -> str:
    """Return the name of a model: ``m07``."""
    return f"m{model:02}"


def target_name(target: int) -> str:
    """Return the name of a target: ``t007``."""
    return f"t{target:03}"


def actions(models: int, targets: int) -> int:
    """Return how many actions a fleet has."""
    return models * (SHARED + PER_TARGET * targets)


def set_level(manifest: Path, target: int, level: int) -> None:
    """Give one target of a manifest another option: its own five actions have to run then."""
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    place = lines.index(f"  {target_name(target)}:\n") + 1
    lines[place] = f"    {{toolchain: trivial, options: {{level: {level}}}}}\n"
    _write(manifest, "".join(lines))


def _write_model(folder: Path, model: int, targets: int) -> Path:
    name = model_name(model)
    _write(folder / "weights" / f"{name}.onnx", SEED % name)
    rows = "".join(f"  {target_name(t)}:\n    {{toolchain: trivial}}\n" for t in range(targets))
    text = (
        f"edgebuild: 1\nname: {name}\n"
        f"model: {{weights: weights/{name}.onnx, task: detect, imgsz: 32}}\n"
        f"dataset: {{data: data/data.yaml}}\n"
        f"targets:\n{rows}"
    )
    manifest = folder / f"{name}.yaml"
    _write(manifest, text)
    return manifest


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line and write the fleet."""
    parser = argparse.ArgumentParser(description="Write a synthetic fleet.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--targets", type=int, default=10)
    given = parser.parse_args()
    write_fleet(given.folder, given.models, given.targets)
    print(f"{given.folder}: {given.models} manifests, {actions(given.models, given.targets)} actions")


if __name__ == "__main__":
    main()
