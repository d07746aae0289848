"""Images and labels on disk: which files a split consists of, without opening one of them."""

# Tens of thousands of names are handled as strings: a Path for each takes many times as long.
# ruff: noqa: PTH100, PTH112, PTH113, PTH116, PTH118, PTH119, PTH120, PTH206

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.errors import Problem
from edgebuild.images import is_image, label_of
from edgebuild.manifest.values import Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

_MOST = 5
"""Problems reported for one listing before the rest is only counted."""


def walk_images(folder: str | Path) -> list[str]:
    """Return the absolute paths of all images below a folder, sorted; hidden names are left out.

    Links to folders are followed, each real folder once.

    Raises:
        OSError: A folder cannot be read.
    """
    return sorted(_walk(os.path.abspath(folder), set()))


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    identity = os.stat(folder)
    if (identity.st_dev, identity.st_ino) in seen:
        return
    seen.add((identity.st_dev, identity.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if is_image(entry.name):
                if entry.is_file():
                    yield entry.path
            elif entry.is_dir():
                yield from _walk(entry.path, seen)


def read_listing(path: Path, *, shown: str, root: Path) -> tuple[list[str], list[Problem]]:
    """Return the images that a ``.txt`` file lists, absolute and sorted, and what is wrong with it.

    A relative line is looked up from the listing's folder, then from the dataset's root.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        return [], [Problem(file=shown, message=f"cannot be read: {error}")]
    images: dict[str, int] = {}
    wrong: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not (text := line.strip()):
            continue
        found = next((place for place in _places(text, path.parent, root) if os.path.isfile(place)), None)
        if found is None or not is_image(os.path.basename(found)):
            message = f"no such file: {text}" if found is None else f"not an image: {text}"
            wrong.append(Problem(file=shown, line=number, message=message))
        elif found in images:
            message = f"listed twice: {text}"
            wrong.append(Problem(file=shown, line=number, message=message, hint=f"see line {images[found]}"))
        else:
            images[found] = number
    return sorted(images), _cut(wrong, shown)


def _places(text: str, folder: Path, root: Path) -> tuple[str, ...]:
    return tuple(os.path.normpath(os.path.join(base, text)) for base in (folder, root))


def _cut(problems: list[Problem], shown: str) -> list[Problem]:
    more = len(problems) - _MOST
    if more <= 0:
        return problems
    return [*problems[:_MOST], Problem(file=shown, message=f"{more} more lines are wrong")]


def make_split(name: str, *, root: Path, images: Sequence[str], labelled: bool) -> Split:
    """Return a split of absolute image paths, with the label files that exist.

    The root stays as it is where everything lies below it; else it becomes the common parent of all, so that
    every path can be written relative to it. The same happens where the labels lie outside, as for a
    root that is itself below a folder named ``images``.

    Args:
        name: The split.
        root: The dataset's root, absolute.
        images: Absolute paths, sorted.
        labelled: Whether the task has label files.
    """
    folders = {os.path.dirname(image) for image in images}
    base = _common(str(root), folders)
    if labelled:
        beyond = {place for folder in folders if (place := _labels_beyond(folder, base))}
        base = _common(base, beyond)
    start = len(base.rstrip(os.sep)) + 1
    relative = [image[start:].replace(os.sep, "/") for image in images]
    labels = _labels(base, relative) if labelled else []
    return Split(
        name=name, root=Path(base), images=tuple(sorted(relative)), labels=tuple(sorted(set(labels)))
    )


def unusable_name(names: Iterable[str]) -> str:
    """Return the first name that no JSON document and no listing can hold (control characters, not UTF-8)."""
    return next((name for name in names if _UNUSABLE.search(name)), "")


def _common(root: str, folders: Iterable[str]) -> str:
    return os.path.commonpath([root, *folders])


def _labels_beyond(folder: str, root: str) -> str:
    """Return the label folder that Ultralytics would use where it lies outside the root, or nothing."""
    below, parts = os.path.relpath(folder, root).split(os.sep), folder.split(os.sep)
    if "images" in below or "images" not in parts:
        return ""
    last = len(parts) - 1 - parts[::-1].index("images")
    place = os.sep.join([*parts[:last], "labels", *parts[last + 1 :]])
    return place if os.path.isdir(place) else ""


def _labels(root: str, images: Iterable[str]) -> Iterator[str]:
    known: dict[str, frozenset[str]] = {}
    for image in images:
        label = label_of(image)
        folder, _, name = label.rpartition("/")
        if folder not in known:
            known[folder] = _names(os.path.join(root, folder))
        if name in known[folder]:
            yield label


def _names(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.name.endswith(".txt"))
    except OSError:
        return frozenset()
