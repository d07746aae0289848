"""Splits of a dataset, listed when they are asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.errors import Problem
from edgebuild.images import is_image
from edgebuild.manifest.dataset_file import SPLITS, DatasetFile, Source, class_folders
from edgebuild.manifest.listing import make_split, read_listing, unusable_name, walk_images
from edgebuild.suggest import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgebuild.manifest.values import Split


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """Where a manifest's relative paths start.

    Attributes:
        folder: The manifest's folder, absolute.
        shown: The same as the user gave it, for messages.
    """

    folder: Path
    shown: str

    def path(self, text: str) -> Path:
        """Return the absolute path of one written in the manifest."""
        return Path(os.path.normpath(self.folder / text))

    def name(self, text: str) -> str:
        """Return what messages call a path written in the manifest."""
        return os.path.normpath(Path(self.shown) / text)


class Splits:
    """The splits of one dataset; what is wrong with those asked for is collected in ``problems``.

    Attributes:
        found: The splits listed so far, by name.
        problems: What is wrong.
    """

    def __init__(self, source: DatasetFile, base: Base, *, task: str) -> None:
        self.found: dict[str, Split] = {}
        self.problems: list[Problem] = []
        self._source = source
        self._base = base
        self._task = task

    def need(self, name: str, *, labelled: bool = False) -> Split | None:
        """Return a split that must be there, listed once; None where something is wrong with it.

        Args:
            name: The split.
            labelled: Whether it must have labels.
        """
        if name in self.found:
            return self.found[name]
        if name not in SPLITS:
            return None  # the schema reports it
        sources = self._source.splits.get(name)
        if not sources:
            known = listed(self._source.splits) or "none"
            message = f"the dataset has no split {name!r}"
            self.problems.append(Problem(file=self._source.shown, message=message, hint=f"it has: {known}"))
            return None
        split = self._list(name, sources)
        if split is None:
            return None
        self.found[name] = split
        if labelled and self._task != "classify" and not split.labels:
            message = f"{len(split.images)} images but not one label file"
            hint = "the label of images/a.jpg is labels/a.txt"
            self.problems.append(_problem(sources[0], name, message, hint))
        return split

    def _list(self, name: str, sources: Sequence[Source]) -> Split | None:
        images: set[str] = set()
        before = len(self.problems)
        for source in sources:
            images |= set(self._images(name, source))
        if len(self.problems) > before:
            return None
        first = sources[0]
        if not images:
            self.problems.append(_problem(first, name, f"{first.text}: holds no images", ""))
            return None
        root = self._source.root
        if self._task == "classify":
            root = first.path
            self._check_classes(name, first, sources)
            images = {image for image in images if os.path.dirname(image) != str(root)}  # noqa: PTH120 - speed
        return self._usable(
            make_split(name, root=root, images=sorted(images), labelled=self._task != "classify"), first
        )

    def _images(self, name: str, source: Source) -> list[str]:
        if source.path.is_dir():
            try:
                return walk_images(source.path)
            except OSError as error:
                self.problems.append(_problem(source, name, f"{source.text}: cannot be listed: {error}", ""))
                return []
        if source.path.is_file() and self._task != "classify":
            if is_image(source.path.name):
                return [str(source.path)]
            images, wrong = read_listing(source.path, shown=self._shown(source.path), root=self._source.root)
            self.problems += wrong
            return images
        hint = "nothing is downloaded: fetch the dataset first" if self._source.remote else ""
        or_below = f", nor {source.text.removeprefix('../')}" if source.tried else ""
        message = f"no such folder: {source.text}{or_below} (looked in {self._shown(self._source.root)})"
        self.problems.append(_problem(source, name, message, hint))
        return []

    def _check_classes(self, name: str, source: Source, sources: Sequence[Source]) -> None:
        if len(sources) > 1:
            hint = "name one folder with a folder per class"
            self.problems.append(_problem(source, name, "classify takes one folder for a split", hint))
            return
        folders, names = set(class_folders(source.path)), set(self._source.names)
        for extra in sorted(folders - names):
            hint = f"classes: {listed(self._source.names)}"
            self.problems.append(_problem(source, name, f"{extra!r} in {source.text} is no class", hint))
        for missing in sorted(names - folders):
            # Class ids are the positions of the sorted folders, so a missing one shifts those after it.
            hint = "every split needs every class"
            self.problems.append(
                _problem(source, name, f"no folder for the class {missing!r} in {source.text}", hint)
            )

    def _usable(self, split: Split, source: Source) -> Split | None:
        if name := unusable_name((*split.images, *split.labels)):
            message = f"the file name {name!r} holds characters that are not text"
            self.problems.append(_problem(source, split.name, message, "rename it"))
            return None
        return split

    def _shown(self, path: Path) -> str:
        if path.is_relative_to(self._base.folder):
            return self._base.name(str(path.relative_to(self._base.folder)))
        return str(path)


def _problem(source: Source, path: str, message: str, hint: str) -> Problem:
    place = source.place
    return Problem(
        file=place.file, line=place.line, column=place.column, path=path, message=message, hint=hint
    )
