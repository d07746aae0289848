"""Image trees with YOLO labels: listing, class content, digests, and a copy by links for Ultralytics.

A tree is a folder that holds the files of one split. Labels are found by the Ultralytics rule: the last
folder named ``images`` in an image's path becomes ``labels`` and the suffix becomes ``.txt``
(``ultralytics/data/utils.py: img2label_paths``); without such a folder the labels lie beside the images.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgebuild.images import IMAGE_SUFFIXES, is_image, label_of
from edgebuild.steps._step import fail, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One image of a tree.

    Attributes:
        file: Path below the tree, with forward slashes: the image's name in every result.
        path: Where to open it.
        label: Its label file; it need not exist (an image without one shows nothing of interest).
    """

    file: str
    path: Path
    label: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """What the dataset file says.

    Attributes:
        names: Class names by class id.
        task: detect, segment, pose, classify or obb.
        extra: Further keys that go to Ultralytics unchanged, such as ``kpt_shape`` and ``flip_idx``.
    """

    names: tuple[str, ...]
    task: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_dataset(path: str | Path) -> Dataset:
    """Read the dataset file ``{"names": [...], "nc": n, "task": ..., ...}``.

    Raises:
        StepFailure: The file is unreadable, or its names and ``nc`` disagree.
    """
    try:
        document = read_json(path)
        names = tuple(str(name) for name in document["names"])
        task = str(document["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{path}: not a dataset file: {error!r}", hint='it needs "names" and "task"')
    if document.get("nc", len(names)) != len(names):
        fail(f"{path}: nc is {document['nc']} but there are {len(names)} names", hint="make them agree")
    extra = {key: value for key, value in document.items() if key not in {"names", "nc", "task"}}
    return Dataset(names=names, task=task, extra=extra)


def list_images(root: str | Path) -> tuple[Image, ...]:
    """List the images below a folder in the order of their relative paths; hidden files are left out.

    Raises:
        StepFailure: There is no image.
    """
    root = Path(root)
    found = []
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(folder).relative_to(root)
        found += [(below / name).as_posix() for name in files if is_image(name)]
    if not found:
        fail(f"{root}: holds no image", hint=f"supported: {', '.join(sorted(IMAGE_SUFFIXES))}")
    # By the whole path: a folder such as data/images/val has its labels beside, in data/labels/val.
    return tuple(
        Image(file=file, path=root / file, label=Path(label_of((root / file).as_posix())))
        for file in sorted(found)
    )


def count_classes(label: Path, *, classes: int) -> dict[int, int]:
    """Count the objects of each class in a label file; equal rows count once, as in Ultralytics.

    Args:
        label: The label file; a missing one has no objects.
        classes: How many classes there are.

    Raises:
        StepFailure: A row does not start with the id of a class.
    """
    try:
        lines = label.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        fail(f"{label}: cannot be read as a label file: {error}", hint="replace it")
    counts: Counter[int] = Counter()
    seen = set()
    for number, line in enumerate(lines, start=1):
        row = tuple(line.split())
        if row and row not in seen:
            seen.add(row)
            counts[_class_id(row[0], place=f"{label}:{number}", classes=classes)] += 1
    return dict(sorted(counts.items()))


def _class_id(word: str, *, place: str, classes: int) -> int:
    try:
        value = float(word)
    except ValueError:
        fail(f"{place}: {word!r} is not a class id", hint="a row is: class x y width height ...")
    if not value.is_integer() or not 0 <= value < classes:
        fail(f"{place}: class {word} does not exist", hint=f"the dataset's classes are 0 to {classes - 1}")
    return int(value)


def digest_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def link_tree(root: str | Path, into: str | Path, *, task: str) -> Path:
    """Build a folder of links to a tree's files, laid out as Ultralytics wants them.

    Ultralytics leaves cache files beside the labels and rewrites damaged JPEG files in place; both then
    happen in our folder and not in the inputs. Its label rule also sees the folders that lead to the working
    directory; ``into/images/<name>`` and ``into/labels/<name>.txt`` hold whatever those are called.

    Args:
        root: The tree.
        into: A new folder.
        task: For ``classify`` the class folders are kept as they are.

    Returns:
        The folder to name in a dataset description.
    """
    into = Path(into)
    for image in list_images(root):
        if task == "classify":
            _link(image.path, into / image.file)
            continue
        place = linked_name(image.file)
        _link(image.path, into / "images" / place)
        if image.label.is_file():
            _link(image.label, (into / "labels" / place).with_suffix(".txt"))
    return into if task == "classify" else into / "images"


def linked_name(file: str) -> str:
    """Return the name of a tree's image below the ``images`` folder that ``link_tree`` builds."""
    parts = list(PurePosixPath(file).parts)
    folders = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        del parts[folders[-1]]
    # A folder that is still named so would move the place where the labels are looked for.
    return "/".join([*("images-" if part == "images" else part for part in parts[:-1]), parts[-1]])


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or place.exists():
        if place.is_symlink() and place.readlink() == source.resolve():
            return
        fail(f"{source}: two images would share the name {place}", hint="rename one of them")
    place.symlink_to(source.resolve())


def describe_for_ultralytics(
    dataset: Dataset, *, into: str | Path, validation: str | Path, train: str | Path | None = None
) -> str:
    """Link the trees into a folder and write what Ultralytics takes as ``data=``.

    Args:
        dataset: Names and task.
        into: A folder of ours, such as ``data`` in the working directory.
        validation: Tree of the validation split.
        train: Tree of the training split; the validation tree stands in for it where nothing is trained.

    Returns:
        Path of a dataset YAML, or of the folder itself for ``classify``.
    """
    import yaml

    into = Path(into).absolute()
    val = link_tree(validation, into / "val", task=dataset.task)
    places = {"val": val, "train": link_tree(train, into / "train", task=dataset.task) if train else val}
    if dataset.task == "classify":
        if not train:
            _link(into / "val", into / "train")
        return str(into)
    document = dict(dataset.extra) | {"path": str(into), "names": dict(enumerate(dataset.names))}
    document |= {split: place.relative_to(into).as_posix() for split, place in places.items()}
    path = into / "data.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=True, allow_unicode=True), encoding="utf-8")
    return str(path)
