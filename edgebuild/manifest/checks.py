"""What the schema cannot see: files, names that refer to others, and fields that contradict each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgebuild.manifest import ultralytics
from edgebuild.manifest.dataset_file import is_address
from edgebuild.protocol import TRAIN_TAKEN
from edgebuild.suggest import did_you_mean, listed, near_file, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgebuild.document.node import Node
    from edgebuild.errors import Problem
    from edgebuild.manifest.splits import Base

WEIGHT_SUFFIXES = (".pt", ".onnx")

_ARCHITECTURE = re.compile(
    r"(yolov?[0-9]+[a-z]?|yoloe-[a-z0-9]+|rtdetr-[a-z0-9]+)[0-9a-z]*(-[a-z0-9]+)*\.ya?ml"
)
_ONE_HEAD = re.compile(r"yolov[3-9]|yolo1[12]|rtdetr")
"""Architectures whose only head gives boxes that overlap, or that has no other."""

_TASK_SUFFIXES = {"segment": "-seg", "pose": "-pose", "classify": "-cls", "obb": "-obb"}
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"

_OWN_ARGUMENTS = {
    "epochs": "model.train.epochs",
    "imgsz": "model.train.imgsz",
    "seed": "model.train.seed",
    "batch": "model.train.batch",
    "device": "model.train.device",
    "resume": "model.train.resume",
    "data": "dataset.data",
    "model": "model.train.base",
    "task": "model.task",
}
_TAKEN_ARGUMENTS = TRAIN_TAKEN - _OWN_ARGUMENTS.keys()


def check_model(root: Node, base: Base) -> Iterator[Problem]:
    """Yield what is wrong with the files and arguments of the ``model`` section."""
    model = root.get("model")
    if model is None or not model.is_mapping:
        return
    weights, train = model.get("weights"), model.get("train")
    if weights is not None and train is not None:
        yield train.problem("model.train", "there are weights already", hint="keep one of weights and train")
    if weights is None and train is None:
        yield model.problem("model", "no weights and no train", hint="add weights: FILE, or train:")
    if weights is not None and isinstance(weights.value, str) and weights.value:
        yield from check_weights(weights, "model.weights", base)
    if train is not None:
        yield from _check_train(root, train, base)
    yield from _check_export(model)


def _check_export(model: Node) -> Iterator[Problem]:
    """Yield that a head is asked for which the model cannot have, where the manifest says enough to know."""
    asked, task = model.get("export", "end2end"), model.get("task")
    if asked is None or asked.value is not True:
        return
    path, hint = "model.export.end2end", "set it to false"
    if task is not None and task.text == "classify":
        yield asked.problem(path, "a classifier has no boxes to select", hint=hint)
        return
    base = model.get("train", "base")
    if base is not None and _ONE_HEAD.match(base.text) and _ARCHITECTURE.fullmatch(base.text):
        text = f"{base.text} has no head that selects its boxes itself"
        yield asked.problem(path, text, hint=f"{hint}, or train a yolo26 architecture")


def check_weights(
    node: Node, path: str, base: Base, *, suffixes: tuple[str, ...] = WEIGHT_SUFFIXES
) -> Iterator[Problem]:
    """Yield what is wrong with a file of weights: it must exist and hold something."""
    text = node.text
    file = base.path(text)
    if is_address(text):
        yield node.problem(path, f"{text} is an address", hint="nothing is downloaded: fetch it first")
    elif file.is_dir():
        yield node.problem(path, f"{text} is a directory", hint=f"name a {' or '.join(suffixes)} file")
    elif not file.exists():
        hint = "it is relative to the manifest's folder; nothing is downloaded"
        yield node.problem(path, f"no such file: {text}", hint=near_file(file) or hint)
    elif not file.is_file():
        yield node.problem(path, f"{text} is not a regular file")
    elif file.suffix.lower() not in suffixes:
        yield node.problem(
            path, f"{text} is not a {' or '.join(suffixes)} file", hint="export or convert it first"
        )
    else:
        yield from _check_content(node, path, file)


def _check_content(node: Node, path: str, file: Path) -> Iterator[Problem]:
    try:
        with file.open("rb") as stream:
            start = stream.read(len(_LFS_POINTER))
    except OSError as error:
        yield node.problem(path, f"{node.text} cannot be read: {error.strerror}")
        return
    if not start:
        yield node.problem(path, f"{node.text} is empty", hint="fetch or export it again")
    elif start == _LFS_POINTER:
        yield node.problem(path, f"{node.text} is a Git LFS pointer, not the file", hint="run: git lfs pull")


def _check_train(root: Node, train: Node, base: Base) -> Iterator[Problem]:
    if root.get("dataset") is None:
        yield train.problem("model.train", "there is no dataset to train on", hint="add dataset:")
    node = train.get("base")
    if node is not None and isinstance(node.value, str) and node.value:
        yield from _check_base(root, node, base)
    arguments = train.get("args")
    if arguments:
        yield from _check_arguments(arguments)


def _check_arguments(arguments: Node) -> Iterator[Problem]:
    known = ultralytics.training_arguments() - _TAKEN_ARGUMENTS if arguments.entries else frozenset[str]()
    for name, value in arguments.entries.items():
        path = f"model.train.args.{name}"
        if name in _OWN_ARGUMENTS:
            yield value.problem(
                path, "has a place of its own", hint=f"set {_OWN_ARGUMENTS[name]}", at=value.key
            )
        elif name in _TAKEN_ARGUMENTS:
            yield value.problem(path, "edgebuild sets it itself", hint="remove it", at=value.key)
        elif known and name not in known:
            near = nearest(name, known)
            meant = f"did you mean {near!r}?" if near else ""
            hint = f"set {_OWN_ARGUMENTS[near]}" if near in _OWN_ARGUMENTS else meant
            yield value.problem(path, "Ultralytics has no such argument", hint=hint, at=value.key)


def _check_base(root: Node, node: Node, base: Base) -> Iterator[Problem]:
    path, text = "model.train.base", node.text
    if not text.lower().endswith((".yaml", ".yml")):
        yield from check_weights(node, path, base, suffixes=(".pt",))
        return
    if base.path(text).is_file():
        return
    if not _ARCHITECTURE.fullmatch(text):
        hint = "name an architecture such as yolo11n.yaml, or a file in the manifest's folder"
        yield node.problem(path, f"no such file, and no known architecture: {text}", hint=hint)
        return
    known = ultralytics.architectures()
    if known and not ultralytics.is_architecture(text, known):
        hint = did_you_mean(text, ultralytics.scaled(known), otherwise="name a file in the manifest's folder")
        yield node.problem(path, f"no such file, and the installed Ultralytics has no {text}", hint=hint)
        return
    task = root.get("model", "task")
    wanted = _TASK_SUFFIXES.get(task.text, "") if task else ""
    others = [suffix for suffix in _TASK_SUFFIXES.values() if suffix in text and suffix != wanted]
    if task and (others or (wanted and wanted not in text)):
        stem = re.sub(r"-(seg|pose|cls|obb)", "", text.rpartition(".")[0])
        yield node.problem(path, f"{text} is no architecture for the task {task.text}",
                           hint=f"use {stem}{wanted}.yaml")  # fmt: skip


def check_targets(root: Node) -> Iterator[Problem]:
    """Yield what is wrong with complete targets as such and with the names they refer to."""
    targets = root.get("targets")
    if targets is None or (targets.is_mapping and not targets.entries):
        yield (targets or root).problem(
            "targets", "there are no targets", hint="add at least one: {toolchain: NAME}"
        )
        return
    devices = root.get("devices")
    known = list(devices.entries) if devices else []
    for name, target in targets.entries.items():
        if not target.is_mapping:
            continue
        if target.get("toolchain") is None:
            hint = "add toolchain: NAME, here or under defaults:"
            yield target.problem(f"targets.{name}", "'toolchain' is missing", hint=hint)
        device = target.get("device")
        if device is not None and isinstance(device.value, str) and device.value not in known:
            hint = did_you_mean(
                device.value, known, otherwise=f"devices: {listed(known) or 'none are declared'}"
            )
            path = f"targets.{name}.device"
            yield device.problem(path, f"there is no device {device.value!r}", hint=hint)
