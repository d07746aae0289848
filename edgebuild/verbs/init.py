"""``edgebuild init``: a first manifest to edit, checked before it is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgebuild.errors import UsageError

TEMPLATE = """\
# edgebuild manifest. Reference of every field: docs/manifest.md; check it with `edgebuild check {file}`.
edgebuild: 1
name: {name}

model:
  weights: {weights}        # .pt or .onnx; or `train:` instead
  task: detect
  imgsz: {imgsz}

dataset:
  data: {data}              # Ultralytics dataset YAML
  calibration: {{split: train, images: 200, sample: stratified, seed: 0}}
  validation: {{split: val}}

acceptance:                 # a missed limit exits 4 and marks the package rejected
  map50_95: {{max_drop: 0.01}}   # against the float model, same images, same protocol

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
    weights: str
    data: str
    imgsz: int
    force: bool


def init(options: InitOptions) -> int:
    """Write the manifest.

    Raises:
        UsageError: It is there already, or its folder is not.
    """
    path = Path(options.path)
    if path.exists() and not options.force:
        raise UsageError(f"{path} is there already", hint="give another name, or --force to replace it")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder", hint="make it first")
    text = TEMPLATE.format(
        file=path, name=options.name, weights=options.weights, data=options.data, imgsz=options.imgsz
    )
    path.write_text(text, encoding="utf-8")
    missing = [name for name in (options.weights, options.data) if not (path.parent / name).exists()]
    note = f"; put {' and '.join(missing)} in place" if missing else ""
    print(f"wrote {path}{note}, then: edgebuild check {os.fspath(path)}")
    return 0
