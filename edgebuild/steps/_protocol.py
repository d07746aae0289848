"""The validation protocol: one way to score an artifact, the same for float and quantized ones.

Images, letterbox, confidence, NMS and metrics are Ultralytics' own: its validator is driven here with the
artifact in place of its model, as ``YOLO("model.onnx").val(rect=False)`` would do it. Two differences make
the result depend on nothing but the inputs: NMS sees one image at a time, because Ultralytics drops the rest
of a batch when NMS takes too long, and labels are read through links, so no cache of an earlier run is met.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from edgebuild.images import label_of
from edgebuild.steps._dataset import Dataset, digest_file, link_tree, list_images
from edgebuild.steps._metrics import read_metrics
from edgebuild.steps._step import fail, progress
from edgebuild.steps._ultralytics import isolate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from edgebuild.steps._runtime import Artifact

VALIDATORS = {
    "detect": "DetectionValidator",
    "segment": "SegmentationValidator",
    "pose": "PoseValidator",
    "obb": "OBBValidator",
    "classify": "ClassificationValidator",
}
"""Ultralytics' validator of each task, found in ``ultralytics.models.yolo.<task>``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How artifacts are scored.

    Attributes:
        task: detect, segment, pose, obb or classify.
        imgsz: Height and width of the input in pixels.
        confidence: Boxes below this score are dropped.
        iou: Overlap above which NMS drops the weaker box.
        max_detections: Boxes kept per image.
        batch: Images per call of the artifact.
    """

    task: str
    imgsz: tuple[int, int]
    confidence: float
    iou: float
    max_detections: int
    batch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """What a validation found.

    Attributes:
        metrics: ``{"name", "value", "unit"}`` of each metric.
        images: Images that were scored.
        ignored: Images that Ultralytics could not use, with what it says about them.
        max_detections: The limit that was used: Ultralytics raises its default for crowded datasets.
        first: Input of the first image, (1, channels, height, width).
    """

    metrics: list[dict[str, Any]]
    images: int
    ignored: tuple[str, ...]
    max_detections: int
    first: npt.NDArray[np.float32]


def images_digest(validation: str | Path) -> str:
    """Return one SHA-256 over the relative path and content of every image and label of a tree."""
    import hashlib

    root = Path(validation)
    files = set()
    for image in list_images(root):
        files.add((image.file, image.path))
        if image.label.is_file():
            files.add((label_of(image.file), image.label))
    total = hashlib.sha256()
    for name, path in sorted(files):
        total.update(f"{name}\0{digest_file(path)}\n".encode())
    return total.hexdigest()


def check_model(info: Mapping[str, Any], dataset: Dataset, *, task: str, imgsz: tuple[int, int]) -> None:
    """Refuse a model that does not fit the dataset or the protocol.

    Raises:
        StepFailure: Task, class names or image size disagree.
    """
    for name, said in (("model", info.get("task", task)), ("dataset", dataset.task)):
        if said != task:
            fail(
                f"the {name} is for task {said!r}, the protocol for {task!r}", hint="use one task throughout"
            )
    if task not in VALIDATORS:
        fail(f"task {task!r} is not supported yet", hint=f"supported: {', '.join(VALIDATORS)}")
    _check_names(model_names(info), dataset.names)
    built = tuple(int(side) for side in info["imgsz"])
    if built != imgsz and not info.get("dynamic"):
        asked = f"{imgsz[0]}x{imgsz[1]}"
        fail(f"the artifact was built for {built[0]}x{built[1]} pixels, the protocol says {asked}",
             hint="use one image size throughout")  # fmt: skip


def model_names(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a model's class names by class id, from a list or a mapping."""
    names = info["names"]
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=int)]
    return tuple(str(name) for name in names)


def _check_names(model: Sequence[str], dataset: Sequence[str]) -> None:
    if len(model) != len(dataset):
        fail(f"the model has {len(model)} classes, the dataset {len(dataset)}",
             hint="validate with the dataset the model was trained for")  # fmt: skip
    for index, (of_model, of_dataset) in enumerate(zip(model, dataset, strict=True)):
        if of_model != of_dataset:
            fail(f"class {index} is {of_model!r} in the model and {of_dataset!r} in the dataset",
                 hint="the names must be the same and in the same order")  # fmt: skip


def validate(
    artifact: Artifact, protocol: Protocol, dataset: Dataset, validation: str | Path, *, end2end: bool
) -> Scores:
    """Score an artifact on a validation tree.

    Args:
        artifact: What to score.
        protocol: How.
        dataset: Class names and what else the task needs.
        validation: Tree of the validation split.
        end2end: The artifact's output is final boxes and needs no NMS.

    Raises:
        StepFailure: No image can be used, no object is labelled, or the artifact fails.
    """
    links = _link_images(validation, task=protocol.task)
    validator = _make_validator(protocol)
    _prepare(validator, protocol, dataset, links, end2end=end2end)
    seen, first = 0, None
    total = len(validator.dataloader.dataset)
    for index, loaded in enumerate(validator.dataloader):
        batch = validator.preprocess(loaded)
        images = batch["img"].numpy()
        first = images[:1] if first is None else first
        validator.update_metrics(_predict(validator, artifact, images), batch)
        seen += len(images)
        if index % max(total // (20 * protocol.batch), 1) == 0 or seen == total:
            progress(seen, total, "images")
    validator.get_stats()
    if first is None:
        fail("no validation image can be used", hint="look at the dataset's files")
    return Scores(
        metrics=read_metrics(validator.metrics, protocol.task, dataset.names),
        images=seen,
        ignored=_ignored(validator, links),
        max_detections=int(validator.args.max_det),
        first=first,
    )


def _link_images(validation: str | Path, *, task: str) -> Path:
    """Link the tree; JPEG files that lack their end marker are copied, because Ultralytics rewrites those.

    Older versions write through a link, newer ones replace the link; a copy is safe with both.
    """
    links = link_tree(validation, "validation-links", task=task)
    for place in links.rglob("*"):
        if place.is_symlink() and _lacks_end_marker(place):
            source = place.resolve()
            place.unlink()
            shutil.copyfile(source, place)
    return links


def _lacks_end_marker(path: Path) -> bool:
    """Say whether a JPEG file lacks its end marker."""
    with path.open("rb") as stream:
        if stream.read(2) != b"\xff\xd8":
            return False
        stream.seek(-2, os.SEEK_END)
        return stream.read() != b"\xff\xd9"


def _make_validator(protocol: Protocol) -> Any:
    os.environ.setdefault("YOLO_VERBOSE", "false")
    isolate()
    import importlib

    module = importlib.import_module(f"ultralytics.models.yolo.{protocol.task}")
    height, width = protocol.imgsz
    arguments = {
        "task": protocol.task,
        "mode": "val",
        "split": "val",
        "device": "cpu",
        "workers": 0,
        "batch": protocol.batch,
        "conf": protocol.confidence,
        "iou": protocol.iou,
        "max_det": protocol.max_detections,
        "rect": False,
        "plots": False,
        "verbose": False,
    }
    validator = getattr(module, VALIDATORS[protocol.task])(save_dir=Path("validator"), args=arguments)
    # The constructor would make any size square; Ultralytics sets exported models' sizes the same way.
    validator.args.imgsz = height if height == width else [height, width]
    return validator


def _prepare(validator: Any, protocol: Protocol, dataset: Dataset, links: Path, *, end2end: bool) -> None:
    """Do what Ultralytics' validator does between opening a model and the first batch."""
    import torch

    names = dict(enumerate(dataset.names))
    place = str(links if protocol.task != "classify" else _class_root(links))
    validator.training = False
    validator.device = torch.device("cpu")
    validator.stride = 32
    validator.names = names
    validator.data = {"channels": 3} | dict(dataset.extra) | {"names": names, "nc": len(names), "val": place}
    try:
        validator.dataloader = validator.get_dataloader(place, protocol.batch)
    except (RuntimeError, ValueError, FileNotFoundError) as error:
        fail(f"the validation images cannot be used: {' '.join(str(error).split())}",
             hint="look at the dataset's files")  # fmt: skip
    # The part of a model that init_metrics looks at.
    validator.init_metrics(SimpleNamespace(names=names, end2end=end2end, format="onnx"))


def _class_root(links: Path) -> Path:
    """Return the folder that holds the class folders."""
    return Path(os.path.commonpath([image.path.parent.parent for image in list_images(links)]))


def _predict(validator: Any, artifact: Artifact, images: npt.NDArray[np.float32]) -> Any:
    """Run a batch, then post-process each image alone; classification needs no post-processing per image."""
    import torch

    outputs = [torch.tensor(output) for output in artifact(images)]
    if validator.args.task == "classify":
        return validator.postprocess(outputs)
    found = []
    for index in range(len(images)):
        one = [output[index : index + 1] for output in outputs]
        found += validator.postprocess(one if len(one) > 1 else one[0])
    return found


def _ignored(validator: Any, links: Path) -> tuple[str, ...]:
    """List the images that Ultralytics left out, because they or their labels are damaged."""
    dataset = validator.dataloader.dataset
    used = set(getattr(dataset, "im_files", None) or [sample[0] for sample in dataset.samples])
    return tuple(image.file for image in list_images(links) if str(image.path) not in used)
