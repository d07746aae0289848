"""``edgebuild init``: a first manifest to edit, checked before it is written."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from edgebuild.document.parse import parse
from edgebuild.errors import UsageError
from edgebuild.gates import MAIN_METRICS
from edgebuild.manifest import schema

TEMPLATE = """\
# edgebuild manifest. Reference of every field: docs/manifest.md; check it with `edgebuild check {file}`.
edgebuild: 1
name: {name}

model:
  weights: {weights}        # .pt or .onnx; or `train:` instead
  task: {task}
  imgsz: {imgsz}

dataset:
  data: {data}              # Ultralytics dataset YAML
  calibration: {{split: train, images: 200, sample: stratified, seed: 0}}
  validation: {{split: val}}

acceptance:                 # a missed limit exits 4 and marks the package rejected
  {metric}: {{max_drop: 0.01}}   # against the float model, same images, same protocol

targets:
  cpu-fp32: {{toolchain: onnxruntime, recipe: fp32}}
  cpu-int8: {{toolchain: onnxruntime, recipe: int8}}

package:
  version: 0.1.0
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class InitOptions:
    """What the user asked of ``init``."""

    path: str
    name: str
    task: str
    weights: str
    data: str
    imgsz: int
    force: bool


def init(options: InitOptions) -> int:
    """Write the manifest.

    Raises:
        UsageError: It is there already, its folder is not, or a value is none that a manifest can have.
    """
    path = Path(options.path)
    if path.exists() and not options.force:
        raise UsageError(f"{path} is there already", hint="give another name, or --force to replace it")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder", hint="make it first")
    files = [_from(path.parent, name) for name in (options.weights, options.data)]
    text = TEMPLATE.format(
        file=path,
        name=_scalar(options.name),
        task=options.task,
        metric=MAIN_METRICS[options.task],
        weights=_scalar(files[0]),
        data=_scalar(files[1]),
        imgsz=options.imgsz,
    )
    root, problems = parse(text, file=str(path))
    for problem in (*problems, *schema.check(root)):
        raise UsageError(f"{problem.path}: {problem.message}", hint=problem.hint)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    missing = [name for name in files if not (path.parent / name).exists()]
    note = f"; put {' and '.join(missing)} in place" if missing else ""
    print(f"wrote {path}{note}, then: edgebuild check {os.fspath(path)}")
    return 0


def _from(folder: Path, name: str) -> str:
    """Return a file's path as a manifest in a folder names it, when it was given as seen from here."""
    if (folder / name).exists() or not Path(name).exists():
        return name
    return os.path.relpath(name, folder)


def _scalar(text: str) -> str:
    """Return a text as YAML reads it back, quoted only where it has to be."""
    try:
        plain = yaml.safe_load(f"key: {text}") == {"key": text}
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=False)
