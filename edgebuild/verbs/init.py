"""``edgebuild init``: a first manifest to edit, checked before it is written."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from edgebuild.document.parse import parse
from edgebuild.errors import ManifestError, UsageError
from edgebuild.gates import MAIN_METRICS
from edgebuild.manifest import schema
from edgebuild.manifest.dataset_file import SPLITS, read_class_folders, read_dataset_file
from edgebuild.manifest.load import load_manifest

if TYPE_CHECKING:
    from edgebuild.errors import Problem

TEMPLATE = """\
# edgebuild manifest. Reference of every field: docs/manifest.md; check it with `edgebuild check {file}`.
edgebuild: 1
name: {name}

model:
  weights: {weights}        # .pt or .onnx; or `train:` instead
  task: {task}
  imgsz: {imgsz}

dataset:
  data: {data}              # {kind}
  # 200 images calibrate, or all where there are fewer; `images: 500` asks for another number
  calibration: {{split: {calibration}, sample: stratified, seed: 0}}
  validation: {{split: {validation}}}

acceptance:                 # a missed limit exits 4 and marks the package rejected
  {metric}: {{max_drop: 0.01}}   # against the float model, same images, same protocol

targets:
  cpu-fp32: {{toolchain: onnxruntime, recipe: fp32}}
  cpu-int8: {{toolchain: onnxruntime, recipe: int8}}

package:
  version: 0.1.0
"""


TASKS_OF_NAMES = {"-seg": "segment", "-pose": "pose", "-obb": "obb", "-cls": "classify"}
"""What the ends of Ultralytics' names of models say about the task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InitOptions:
    """What the user asked of ``init``; an empty task is that of the weights' name."""

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
    task, why = _task(options, path.parent / files[1])
    text = _text(options, task, *files)
    root, problems = parse(text, file=str(path))
    for problem in (*problems, *schema.check(root)):
        raise UsageError(f"{problem.path}: {problem.message}", hint=problem.hint)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    missing = [name for name in files if not (path.parent / name).exists()]
    note = f"; put {' and '.join(missing)} in place" if missing else ""
    print(f"wrote {path} (task {task}{why}){note}, then: edgebuild check {os.fspath(path)}")
    for problem in _left(path):
        print(f"  to mend: {problem}")
    return 0


def _task(options: InitOptions, data: Path) -> tuple[str, str]:
    """Return the task to write, and by what it was chosen where it was not asked for."""
    if options.task:
        return options.task, ""
    if data.is_dir():
        return "classify", ", for the dataset is a folder"
    end = next((end for end in TASKS_OF_NAMES if Path(options.weights).stem.endswith(end)), "")
    return (TASKS_OF_NAMES[end], f", by {end} in the weights' name") if end else ("detect", "")


def _text(options: InitOptions, task: str, weights: str, data: str) -> str:
    calibration, validation = _splits(Path(options.path).parent / data, task)
    return TEMPLATE.format(
        file=options.path,
        name=_scalar(options.name),
        task=task,
        metric=MAIN_METRICS[task],
        weights=_scalar(weights),
        data=_scalar(data),
        kind="folder of splits of classes" if task == "classify" else "Ultralytics dataset YAML",
        imgsz=options.imgsz,
        calibration=calibration,
        validation=validation,
    )


def _splits(data: Path, task: str) -> tuple[str, str]:
    """Return which splits of a dataset calibrate and validate: train and val, or what there is instead."""
    try:
        read = read_class_folders if task == "classify" and data.is_dir() else read_dataset_file
        has = read(data, shown=str(data))[0].splits
    except (ManifestError, OSError):
        return "train", "val"  # it is not there yet, or what is wrong with it is said afterwards
    validation = next((split for split in ("val", "test") if split in has), "val")
    return next((split for split in SPLITS if split in has and split != validation), "train"), validation


def _left(manifest: Path) -> list[Problem]:
    """Return what is still wrong with a manifest, besides files that are not there yet."""
    try:
        load_manifest(manifest)
    except ManifestError as error:
        return [problem for problem in error.problems if not problem.message.startswith("no such file")]
    return []


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
