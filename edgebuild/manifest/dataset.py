"""The ``dataset`` section: the dataset YAML it names, and the splits that the manifest uses, as listed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.errors import ManifestError, Problem
from edgebuild.images import is_image
from edgebuild.manifest.dataset_file import DatasetFile, is_address, read_class_folders, read_dataset_file
from edgebuild.manifest.listing import make_split, walk_images
from edgebuild.manifest.schema import with_defaults
from edgebuild.manifest.splits import Base, Splits
from edgebuild.manifest.values import Calibration, Dataset, Split, Validation
from edgebuild.suggest import near_file

if TYPE_CHECKING:
    from edgebuild.document.node import Node

CALIBRATION = "calibration"
"""Name of the split that explicitly listed calibration images make up."""

_UNSEEN = "calibrate on images that validation does not see"


def read_dataset(
    section: Node, base: Base, *, task: str, trains: bool, sound: bool = True
) -> tuple[Dataset | None, DatasetFile | None, list[Problem]]:
    """Read the dataset of a manifest.

    Args:
        section: The ``dataset`` section.
        base: Where its paths start.
        task: The model's task.
        trains: Whether the model is trained, which uses ``train`` and ``val``.
        sound: Whether the schema finds nothing wrong; else there are problems, but no dataset.

    Returns:
        The dataset, or None where something is wrong; what its YAML says, or None where it cannot be read;
        and what is wrong.
    """
    try:
        source, problems = _read_source(section, base, task=task)
    except ManifestError as error:
        return None, None, list(error.problems)
    if source is None:
        return None, None, problems
    if not source.root.is_dir():
        return None, source, problems
    splits = Splits(source, base, task=task)
    splits.problems += problems
    if task == "pose" and source.kpt_shape is None:
        hint = "write kpt_shape: [number of keypoints, 2 or 3]"
        splits.problems.append(Problem(file=source.shown, message="pose needs kpt_shape", hint=hint))
    calibration = _list_splits(section, base, source, splits, trains=trains)
    if calibration is None or splits.problems or not sound:
        return None, source, splits.problems
    return _dataset(section, source, splits, calibration), source, []


def _read_source(section: Node, base: Base, *, task: str) -> tuple[DatasetFile | None, list[Problem]]:
    data = section.get("data")
    if data is None or not isinstance(data.value, str) or not data.value:
        return None, []
    path, shown = base.path(data.value), base.name(data.value)
    if is_address(data.value):
        return None, [
            data.problem("dataset.data", f"{data.value} is an address", hint="nothing is downloaded")
        ]
    if not path.exists():
        hint = near_file(path) or "it is relative to the manifest's folder"
        return None, [data.problem("dataset.data", f"no such file: {data.value}", hint=hint)]
    if path.is_dir() and task == "classify":
        return read_class_folders(path, shown=shown)
    if path.is_dir():
        return None, [data.problem("dataset.data", f"{data.value} is a directory", hint="name the YAML file")]
    return read_dataset_file(path, shown=shown)


def _list_splits(
    section: Node, base: Base, source: DatasetFile, splits: Splits, *, trains: bool
) -> Calibration | None:
    validation = with_defaults("validation", section.get("validation"))
    for name in (*(("train", "val") if trains else ()), str(validation["split"])):
        splits.need(name, labelled=True)
    images = section.get("calibration", "images")
    if images is not None and (images.items or isinstance(images.value, str)):
        calibration = _explicit(section, images, base, splits)
    else:
        calibration = _sampled(section, source, splits, str(validation["split"]))
    if calibration is not None and not splits.problems:
        overlap = _overlap(section, splits.found, calibration.split, str(validation["split"]))
        splits.problems += [overlap] if overlap else []
    return calibration


def _dataset(section: Node, source: DatasetFile, splits: Splits, calibration: Calibration) -> Dataset:
    validation = with_defaults("validation", section.get("validation"))
    return Dataset(
        file=source.file,
        names=source.names,
        kpt_shape=source.kpt_shape,
        flip_idx=source.flip_idx,
        splits=dict(splits.found),
        calibration=calibration,
        validation=Validation(
            split=validation["split"],
            confidence=float(validation["confidence"]),
            iou=float(validation["iou"]),
            max_detections=validation["max_detections"],
        ),
        listed=tuple(
            path for items in source.splits.values() for item in items for path in (item.path, *item.tried)
        ),
    )


def _sampled(section: Node, source: DatasetFile, splits: Splits, validation: str) -> Calibration | None:
    node = section.get("calibration")
    values = with_defaults("calibration", node)
    name, wanted = str(values["split"]), values["images"]
    if node is None and not source.splits.get(name):
        # Nothing was asked for, and a float recipe needs none: the plan says so where one does.
        return Calibration(split=name, images=0, sample=values["sample"], seed=values["seed"])
    if name == validation:
        at = section.get("calibration", "split") or section.get("validation", "split") or section
        splits.problems.append(
            at.problem("dataset.calibration.split", f"the split {name!r} also validates", hint=_UNSEEN)
        )
        return None
    split = splits.need(name)
    if split is None or not isinstance(wanted, int):
        return None
    images = section.get("calibration", "images")
    if images is not None and wanted > len(split.images):
        message = f"{wanted} images are asked for, but the split {name!r} holds {len(split.images)}"
        splits.problems.append(images.problem("dataset.calibration.images", message))
    count = min(wanted, len(split.images))
    return Calibration(split=name, images=count, sample=values["sample"], seed=values["seed"])


def _explicit(section: Node, images: Node, base: Base, splits: Splits) -> Calibration | None:
    for name in ("split", "sample", "seed"):
        if (beside := section.get("calibration", name)) is not None:
            message = "has no effect beside explicit images"
            splits.problems.append(beside.problem(f"dataset.calibration.{name}", message, hint="remove it"))
    found, problems = _folder(images, base) if isinstance(images.value, str) else _files(images, base)
    splits.problems += problems
    if problems:
        return None
    common = Path(os.path.commonpath([Path(image).parent for image in found]))
    root = base.folder if common.is_relative_to(base.folder) else common
    split = make_split(CALIBRATION, root=root, images=sorted(found), labelled=True)
    splits.found[CALIBRATION] = split
    return Calibration(split=CALIBRATION, images=len(found), sample="list", seed=0, files=split.images)


def _folder(node: Node, base: Base) -> tuple[list[str], list[Problem]]:
    folder = base.path(node.text)
    found = walk_images(folder) if folder.is_dir() else []
    if found:
        return found, []
    message = f"{node.text}: holds no images" if folder.is_dir() else f"no such folder: {node.text}"
    hint = "give a number, a list of images or a folder of images"
    return [], [node.problem("dataset.calibration.images", message, hint=hint)]


def _files(node: Node, base: Base) -> tuple[list[str], list[Problem]]:
    found: dict[str, None] = {}
    problems = []
    for index, item in enumerate(node.items):
        place = base.path(item.text)
        if str(place) in found or not place.is_file() or not is_image(place.name):
            kind = "listed twice" if str(place) in found else "no such image"
            path = f"dataset.calibration.images.{index}"
            problems.append(item.problem(path, f"{kind}: {item.text}"))
        found[str(place)] = None
    return list(found), problems


def _overlap(section: Node, found: dict[str, Split], calibration: str, validation: str) -> Problem | None:
    if calibration not in found or validation not in found:
        return None
    both = _absolute(found[calibration]) & _absolute(found[validation])
    if not both:
        return None
    node = section.get("calibration") or section
    message = f"{len(both)} images calibrate and validate, such as {Path(min(both)).name}"
    return node.problem("dataset.calibration", message, hint=_UNSEEN)


def _absolute(split: Split) -> set[str]:
    root = str(split.root)
    return {f"{root}/{image}" for image in split.images}
