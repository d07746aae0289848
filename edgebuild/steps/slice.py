"""Choose the validation images that a search scores candidates on: ``python -m edgebuild.steps.slice``.

They are copied, with their labels, into a tree of the same layout, so a candidate is scored by the very step
that scores a finished artifact. Which images are chosen depends on their content alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.steps._dataset import count_classes, digest_file, list_images, read_dataset
from edgebuild.steps._sampling import Candidate, stratify
from edgebuild.steps._step import run_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgebuild.steps._dataset import Dataset, Image

WHOLE = 1.25
"""A split that is at most this much larger than what is asked for is taken whole."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments and write the tree."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.slice", description=__doc__)
    parser.add_argument("--validation", required=True, help="tree of the validation split")
    parser.add_argument("--dataset", required=True, help="dataset file")
    parser.add_argument("--images", type=int, required=True, help="how many; all if there are hardly more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, help="tree to write")
    arguments = parser.parse_args(argv)
    dataset = read_dataset(arguments.dataset)
    root = Path(arguments.validation)
    images = list_images(root)
    for image in choose(images, dataset, arguments.images, seed=arguments.seed):
        copy(image.path, root, Path(arguments.output))
        if image.label.is_file():
            copy(image.label, root, Path(arguments.output))


def choose(images: Sequence[Image], dataset: Dataset, count: int, *, seed: int) -> list[Image]:
    """Choose images so that rare classes are among them, or take all when there are hardly more."""
    if len(images) <= count * WHOLE:
        return list(images)
    by_file = {image.file: image for image in images}
    folders = {name: index for index, name in enumerate(sorted({_folder(image) for image in images}))}
    rows = [
        Candidate(file=image.file, digest=digest_file(image.path), classes=_classes(image, dataset, folders))
        for image in images
    ]
    return [by_file[row.file] for row in stratify(rows, count, seed=seed)]


def _classes(image: Image, dataset: Dataset, folders: Mapping[str, int]) -> dict[int, int]:
    if dataset.task == "classify":
        return {folders[_folder(image)]: 1}
    return count_classes(image.label, classes=len(dataset.names))


def _folder(image: Image) -> str:
    return image.path.parent.name


def copy(source: Path, root: Path, output: Path) -> None:
    """Copy one file to the same place below another root."""
    place = output / os.path.relpath(source, root)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


if __name__ == "__main__":
    run_step(main)
