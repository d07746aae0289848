"""The Ultralytics dataset YAML, or a folder of class folders: what it says, before anything is listed.

Differences from Ultralytics, all towards one meaning on every machine: ``path`` is relative to the YAML's own
folder, a missing split is an error, and nothing is ever downloaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.document.node import Node, Place
from edgebuild.document.parse import parse, read_text
from edgebuild.errors import ManifestError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

SPLITS = ("train", "val", "test")
_ALIASES = {"val": ("val", "validation", "valid")}
"""Other names that Ultralytics takes for a split, in a YAML or as a folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where one split is said to be.

    Attributes:
        text: As written.
        path: Absolute.
        place: Where it is written.
        tried: Where else it was looked for; what comes to be there may change what is meant.
    """

    text: str
    path: Path
    place: Place
    tried: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetFile:
    """What a dataset YAML says.

    Attributes:
        file: The YAML, or the folder, absolute.
        shown: What messages call it.
        root: What the splits' paths are relative to, absolute.
        names: Class names in the order of their ids.
        kpt_shape: Keypoints and dimensions, if given.
        flip_idx: Which keypoint each becomes in a mirrored image, or none.
        splits: By split, the folders, listings or images that make it up.
        remote: Whether it also says where the dataset could be downloaded.
    """

    file: Path
    shown: str
    root: Path
    names: tuple[str, ...]
    kpt_shape: tuple[int, int] | None
    splits: Mapping[str, tuple[Source, ...]]
    remote: bool
    flip_idx: tuple[int, ...] = ()


def read_dataset_file(path: Path, *, shown: str) -> tuple[DatasetFile, list[Problem]]:
    """Return what a dataset YAML says, and what is wrong with it.

    Raises:
        ManifestError: It cannot be read at all.
    """
    node, problems = parse(read_text(path, shown=shown, what="dataset YAML"), file=shown, any_keys=True)
    if not node.is_mapping:
        raise ManifestError([*problems, node.problem("", "is no dataset YAML: expected a mapping")])
    root, wrong = _root(node, path)
    names, more = _names(node)
    kpt_shape, shape = _kpt_shape(node)
    flip_idx, flip = _flip_idx(node, kpt_shape[0] if kpt_shape else 0)
    splits = {split: _sources(node, split, root) for split in SPLITS}
    problems += [*wrong, *more, *shape, *flip, *(p for _, found in splits.values() for p in found)]
    return DatasetFile(
        file=path,
        shown=shown,
        root=root,
        names=names,
        kpt_shape=kpt_shape,
        splits={split: sources for split, (sources, _) in splits.items() if sources},
        remote=node.get("download") is not None,
        flip_idx=flip_idx,
    ), problems


def read_class_folders(path: Path, *, shown: str) -> tuple[DatasetFile, list[Problem]]:
    """Return the dataset that a folder of split folders of class folders is; for ``classify``."""
    place = Place(file=shown)
    splits = {}
    for split in SPLITS:
        folder = next((path / name for name in _ALIASES.get(split, (split,)) if (path / name).is_dir()), None)
        if folder:
            splits[split] = (Source(text=folder.name, path=folder, place=place),)
    problems = []
    names: tuple[str, ...] = ()
    if not splits:
        hint = "a dataset for classify holds train/ and val/, each with a folder per class"
        problems.append(Problem(file=shown, message="holds no folder train or val", hint=hint))
    else:
        names = class_folders(next(iter(splits.values()))[0].path)
    return DatasetFile(
        file=path, shown=shown, root=path, names=names, kpt_shape=None, splits=splits, remote=False
    ), problems


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the class names that a split folder's subfolders stand for, sorted."""
    with os.scandir(folder) as entries:
        return tuple(
            sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        )


def is_address(text: str) -> bool:
    """Whether a path is really a URL."""
    return "://" in text


def _root(node: Node, file: Path) -> tuple[Path, list[Problem]]:
    written = node.get("path")
    if written is None or written.value is None:
        return file.parent, []
    if not isinstance(written.value, str) or is_address(written.value):
        hint = "name a folder; nothing is downloaded"
        return file.parent, [written.problem("path", f"{written.text!r} is no folder", hint=hint)]
    root = Path(os.path.normpath(file.parent / written.value))
    if root.is_dir():
        return root, []
    hint = "it is relative to the folder of the dataset YAML"
    if node.get("download") is not None:
        hint += "; nothing is downloaded: fetch the dataset first"
    return root, [written.problem("path", f"no such folder: {written.value}", hint=hint)]


def _names(node: Node) -> tuple[tuple[str, ...], list[Problem]]:
    names = node.get("names")
    if names is None or not (names.is_mapping or isinstance(names.value, tuple)):
        hint = "write names: [first, second] or {0: first, 1: second}"
        return (), [(names or node).problem("names", "the class names are missing", hint=hint)]
    items = list(names.items)
    if names.is_mapping:
        numbers = sorted(int(key) if key.isdecimal() else -1 for key in names.entries)
        if numbers != list(range(len(numbers))):
            hint = f"number the {len(numbers)} names from 0 to {len(numbers) - 1}"
            return (), [names.problem("names", "the class ids are not 0, 1, 2, ...", hint=hint)]
        items = [item for _, item in sorted(names.entries.items(), key=lambda entry: int(entry[0]))]
    problems = [_bad_class(item) for item in items if _is_bad_class(item)]
    found = tuple(item.text for item in items)
    if not found:
        problems.append(names.problem("names", "there are no classes"))
    repeated = (
        sorted({name for name in found if found.count(name) > 1}) if len(set(found)) < len(found) else []
    )
    problems += [names.problem("names", f"the class {name!r} is named twice") for name in repeated]
    classes = node.get("nc")
    if found and classes is not None and classes.value not in {None, len(found)}:
        problems.append(classes.problem("nc", f"nc is {classes.text} but there are {len(found)} names",
                                        hint="make them agree, or remove nc"))  # fmt: skip
    return found, problems


def _is_bad_class(item: Node) -> bool:
    return not item.trapped and (not item.text.strip() or isinstance(item.value, bool | dict | tuple | None))


def _bad_class(item: Node) -> Problem:
    hint = f"quote it: '{item.text}'" if item.text.strip() else ""
    return item.problem("names", "a class name must be text", hint=hint)


def _kpt_shape(node: Node) -> tuple[tuple[int, int] | None, list[Problem]]:
    shape = node.get("kpt_shape")
    if shape is None or shape.value is None:
        return None, []
    values = [item.value for item in shape.items]
    match values:
        case [int(points), int(dimensions)] if points > 0 and dimensions in {2, 3}:
            return (points, dimensions), []
    hint = "write [number of keypoints, 2 or 3]"
    return None, [shape.problem("kpt_shape", "is no shape of keypoints", hint=hint)]


def _flip_idx(node: Node, points: int) -> tuple[tuple[int, ...], list[Problem]]:
    """Return ``flip_idx``, without which Ultralytics mirrors no image of a pose training."""
    written = node.get("flip_idx")
    if not points or written is None or written.value is None:
        return (), []
    values = tuple(item.value for item in written.items if isinstance(item.value, int))
    if sorted(values) == list(range(points)) and len(values) == len(written.items):
        return values, []
    hint = f"write each number from 0 to {points - 1} once"
    return (), [written.problem("flip_idx", "does not name every keypoint once", hint=hint)]


def _sources(node: Node, split: str, root: Path) -> tuple[tuple[Source, ...], list[Problem]]:
    key = next((name for name in _ALIASES.get(split, (split,)) if node.get(name) is not None), split)
    written = node.get(key)
    if written is None or written.value in {None, ""}:
        return (), []
    sources, problems = [], []
    for item in written.items or (written,):
        if not isinstance(item.value, str):
            problems.append(item.problem(key, "expected a path or a list of paths"))
        elif is_address(item.value):
            hint = "nothing is downloaded: name a folder or a .txt listing"
            problems.append(item.problem(key, f"{item.value} is an address", hint=hint))
        else:
            path, tried = _found(root, item.value, alone=item is written)
            sources.append(Source(text=item.value, path=path, place=item.place, tried=tried))
    return tuple(sources), problems


def _found(root: Path, text: str, *, alone: bool) -> tuple[Path, tuple[Path, ...]]:
    """Return where a written path is, and where else it was looked for.

    Roboflow writes ``../train/images`` in a YAML that lies beside ``train``. Ultralytics tries a lone path
    without its first ``../`` where it leads nowhere (``ultralytics/data/utils.py: check_det_dataset``).
    """
    path = Path(os.path.normpath(root / text))
    if path.exists() or not alone or not text.startswith("../"):
        return path, ()
    below = Path(os.path.normpath(root / text.removeprefix("../")))
    return (below, (path,)) if below.exists() else (path, (below,))
