"""What the actions of edgebuild's own step programs are made of, and what actions read. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.action import Action, ActionInput, FileInput, Input, LogRule, Output, TreeInput
from edgebuild.digest import canonical_json

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.manifest.values import Dataset, Manifest

DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "train": ("ultralytics", "torch", "torchvision", "numpy", "opencv-python|opencv-python-headless"),
    "export": ("ultralytics", "torch", "onnx", "onnxslim", "onnxruntime"),
    "head": ("onnx", "onnxruntime", "numpy"),
    "calibrate": ("ultralytics", "pillow", "numpy", "opencv-python|opencv-python-headless"),
    "calibration_format": ("numpy",),
    "limits": ("onnx",),
    "preprocess": ("onnx", "onnxruntime"),
    "ranges": ("onnx", "onnxruntime", "numpy"),
    "quantize": ("onnx", "onnxruntime", "numpy"),
    "dynamic": ("onnx", "onnxruntime", "numpy"),
    "float16": ("onnx", "onnxruntime", "numpy"),
    "float_nodes": ("onnx", "numpy"),
    "graph_files": ("jinja2",),
    "evaluate": (
        "ultralytics",
        "torch",
        "torchvision",
        "pillow",
        "onnxruntime",
        "numpy",
        "opencv-python|opencv-python-headless",
    ),
    "detections": ("ultralytics", "pillow", "onnxruntime", "numpy", "opencv-python|opencv-python-headless"),
    "benchmark": ("onnxruntime", "numpy"),
    "estimate": (),
    "compare": ("onnx", "onnxruntime", "numpy"),
    "blocks": ("onnx", "numpy"),
    "slice": (),
    "sensitivity": ("onnx", "onnxruntime", "numpy"),
    "race": ("onnxruntime", "numpy"),
    "choose": (),
    "verdict": (),
    "package": (),
}
"""Installed distributions whose version can change what a step of ours writes."""


WARNING = LogRule(
    pattern="^warning: ", id="step-warning", hint="`edgebuild check` reads every label and image"
)
"""What a step of ours says that a person should know, such as an image that could not be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ref:
    """An output of an action, as something another action can read.

    Attributes:
        action: Id of the action.
        output: Role of the output.
        name: File or directory name.
        tree: It is a directory.
    """

    action: str
    output: str
    name: str
    tree: bool = False

    def to(self, role: str) -> ActionInput:
        """Return it as an input with a role of the consumer's."""
        return ActionInput(role=role, action=self.action, output=self.output, name=self.name)

    def path(self, role: str) -> str:
        """Return where the consumer sees it."""
        return f"in/{role}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRef:
    """A file of the user's, as something an action can read: the counterpart of :class:`Ref`.

    Attributes:
        file: Where it is, absolute.
        name: What the consumer sees; never the user's own name for it, which cannot change any bytes.
    """

    file: Path
    name: str

    def to(self, role: str) -> FileInput:
        """Return it as an input with a role of the consumer's."""
        return FileInput(role=role, name=self.name, path=self.file)

    def path(self, role: str) -> str:
        """Return where the consumer sees it."""
        return f"in/{role}/{self.name}"


def own_step(  # noqa: PLR0913 - an action has this many sides
    action_id: str,
    step: str,
    program: str,
    arguments: list[str],
    *,
    target: str,
    inputs: tuple[Input, ...],
    outputs: tuple[Output, ...],
    files: tuple[tuple[str, str], ...] = (),
    machine: bool = False,
    resumable: bool = False,
    origin: tuple[tuple[str, str], ...] = (),
) -> Action:
    """Return an action that runs one of edgebuild's own step programs."""
    distributions = tuple(f"distribution:{name}" for name in DISTRIBUTIONS[program])
    return Action(
        id=action_id,
        step=step,
        argv=("python", "-m", f"edgebuild.steps.{program}", *arguments),
        inputs=inputs,
        outputs=outputs,
        files=files,
        tools=("python", f"code:edgebuild.steps.{program}", *distributions),
        machine=machine,
        resumable=resumable,
        findings=(WARNING,),
        targets=(target,),
        origin=origin,
    )


def imgsz_arguments(size: tuple[int, int]) -> list[str]:
    """Return the input size as every step takes it: height, then width."""
    return ["--imgsz", str(size[0]), str(size[1])]


def split_input(dataset: Dataset, name: str, role: str) -> TreeInput:
    """Return one split of the dataset, images and labels, as an input."""
    split = dataset.splits[name]
    return TreeInput(role=role, root=split.root, files=tuple(sorted((*split.images, *split.labels))))


def validation_input(dataset: Dataset) -> TreeInput:
    """Return the validation split as an input."""
    return split_input(dataset, dataset.validation.split, "validation")


def dataset_file(manifest: Manifest, *, training: bool = False) -> tuple[str, str]:
    """Return the rendered file that tells a step the class names and the task.

    Args:
        manifest: The manifest.
        training: Also what only a training reads, so that it reaches nothing else.
    """
    dataset = manifest.dataset
    assert dataset is not None  # noqa: S101 - callers have one
    document: dict[str, Any] = {
        "names": list(dataset.names),
        "nc": len(dataset.names),
        "task": manifest.model.task,
    }
    if dataset.kpt_shape is not None:
        document["kpt_shape"] = list(dataset.kpt_shape)
    if training and dataset.flip_idx:
        document["flip_idx"] = list(dataset.flip_idx)
    return ("dataset.json", canonical_json(document))
