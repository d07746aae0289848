"""Choose calibration images and turn them into tensors: ``python -m edgebuild.steps.calibrate``.

The tensors are exactly what the model sees during validation. No image may also be in the validation split:
ranges measured on it would flatter the quantized model. The bytes of every image of the split are compared
with those of every validation image, and the decoded pixels of the chosen ones too, so a renamed copy, or one
saved anew without loss, is found. Where the chosen images do not stand for the validation images, that is a
finding (see ``_calibration_check``).
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._calibration_check import (
    ClassCount,
    class_findings,
    fail_overlap,
    image_findings,
    refuse_copies_of_validation,
    refuse_one_picture,
)
from edgebuild.steps._dataset import count_classes, digest_file, list_images, read_dataset
from edgebuild.steps._image_facts import measure_images, summary
from edgebuild.steps._letterbox import load_crop, load_tensor
from edgebuild.steps._sampling import Candidate, shuffle, stratify
from edgebuild.steps._step import fail, progress, report_finding, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgebuild.steps._dataset import Dataset, Image
    from edgebuild.steps._image_facts import Facts

SCHEMA = 1

SAMPLES = ("stratified", "random", "first", "list")


def main(argv: Sequence[str]) -> None:
    """Read the arguments, choose the images, and write tensors and selection."""
    arguments = _parse(argv)
    dataset = read_dataset(arguments.dataset)
    if dataset.task != arguments.task:
        fail(f"{arguments.dataset}: is for task {dataset.task!r}, the model for {arguments.task!r}",
             hint="set model.task to the dataset's")  # fmt: skip
    images = {image.file: image for image in list_images(arguments.train)}
    listed = read_list(arguments.list, images) if arguments.sample == "list" else list(images)
    candidates = [describe(images[file], dataset) for file in listed]
    refuse_overlap(candidates, arguments.validation)
    chosen = choose(candidates, arguments.images, sample=arguments.sample, seed=arguments.seed)
    facts = measure_images([images[one.file] for one in chosen], "calibration images looked at")
    compare_with_validation(
        chosen, facts, arguments.validation, dataset, candidates=candidates, sample=arguments.sample
    )
    height, width = arguments.imgsz
    paths = [images[candidate.file].path for candidate in chosen]
    write_tensors(arguments.tensors, paths, (height, width), task=arguments.task)
    settings = {"images": len(chosen), "sample": arguments.sample, "seed": arguments.seed,
                "imgsz": [height, width]}  # fmt: skip
    document = describe_selection(chosen, dataset, settings, available=len(images))
    write_json(arguments.selection, document | {"statistics": summary(facts)})


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.calibrate", description=__doc__)
    parser.add_argument("--train", required=True, help="tree of the split to choose from")
    parser.add_argument("--validation", required=True, help="tree of the validation split")
    parser.add_argument("--dataset", required=True, help="dataset file")
    parser.add_argument("--images", type=int, help="how many; all if left out")
    parser.add_argument("--sample", choices=SAMPLES, default="stratified")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", help="file with one path per line, for --sample list")
    parser.add_argument("--imgsz", nargs=2, type=int, required=True, metavar=("H", "W"))
    parser.add_argument("--task", default="detect")
    parser.add_argument("--tensors", required=True, help="where to write the tensors (.npy)")
    parser.add_argument("--selection", required=True, help="where to write what was chosen")
    arguments = parser.parse_args(argv)
    if arguments.sample == "list" and not arguments.list:
        fail("--sample list needs --list", hint="name the file that lists the images")
    return arguments


def read_list(path: str, images: Mapping[str, Image]) -> list[str]:
    """Read a list of images: one path per line, below the tree or longer; ``#`` starts a comment.

    Args:
        path: The list.
        images: The images of the tree by path below it.

    Raises:
        StepFailure: The list is unreadable or empty, or names no image, several, or one twice.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        fail(
            f"{path}: cannot be read as a list of images: {error}", hint="it is plain text, one path per line"
        )
    found: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        file = _find_listed(line.removeprefix("./"), images, place=f"{path}:{number}")
        if file in found:
            fail(f"{path}:{number}: {file} is listed twice", hint="list each image once")
        found.append(file)
    if not found:
        fail(f"{path}: lists no image", hint="one path per line")
    return found


def _find_listed(line: str, images: Mapping[str, Image], *, place: str) -> str:
    if line in images:
        return line
    # Lists are often written from above the split's folder, or with absolute paths.
    near = [file for file in images if line.endswith(f"/{file}") or file.endswith(f"/{line}")]
    if len(near) != 1:
        what = f"could be {near[0]} or {near[1]}" if near else "is not in the calibration split"
        fail(f"{place}: {line} {what}", hint="write the path below the split's folder")
    return near[0]


def describe(image: Image, dataset: Dataset) -> Candidate:
    """Read what sampling needs to know about an image."""
    try:
        digest = digest_file(image.path)
    except OSError as error:
        fail(f"{image.path}: cannot be read ({error.strerror})", hint="restore the file")
    if dataset.task == "classify":  # the folder is the label
        folder = image.path.parent.name
        classes = {dataset.names.index(folder): 1} if folder in dataset.names else {}
    else:
        classes = count_classes(image.label, classes=len(dataset.names))
    return Candidate(file=image.file, digest=digest, classes=classes)


def refuse_overlap(candidates: Sequence[Candidate], validation: str) -> None:
    """Make sure that no candidate's bytes are also in the validation split.

    Raises:
        StepFailure: Some are; it names them.
    """
    known = {digest_file(image.path): image.file for image in list_images(validation)}
    shared = [(one.file, known[one.digest]) for one in candidates if one.digest in known]
    if shared:
        fail_overlap(shared, "are also in the validation split")


def compare_with_validation(
    chosen: Sequence[Candidate],
    facts: Sequence[Facts],
    validation: str,
    dataset: Dataset,
    *,
    candidates: Sequence[Candidate],
    sample: str,
) -> None:
    """Refuse pictures that also validate, and tell where calibration does not stand for validation.

    Args:
        chosen: The calibration images.
        facts: How they look.
        validation: Tree of the validation split.
        dataset: Names and task.
        candidates: What they were chosen from.
        sample: How.

    Raises:
        StepFailure: A picture is in both, all are one, or a validation image cannot be read.
    """
    refuse_one_picture(facts)
    images = list_images(validation)
    theirs = measure_images(images, "validation images looked at")
    refuse_copies_of_validation(facts, theirs)
    ours = _count(chosen)
    shown = _count([describe(image, dataset) for image in images])
    for name, message, hint in (
        *image_findings(facts, theirs),
        *class_findings(ours, shown, dataset.names, available=_count(candidates), sample=sample),
    ):
        report_finding(name, message, hint=hint)


def _count(candidates: Sequence[Candidate]) -> ClassCount:
    showing = Counter(class_id for one in candidates for class_id in one.classes)
    return ClassCount(images=len(candidates), showing=showing)


def choose(candidates: Sequence[Candidate], count: int | None, *, sample: str, seed: int) -> list[Candidate]:
    """Choose ``count`` of the candidates, or all of them.

    Raises:
        StepFailure: There are not that many.
    """
    wanted = len(candidates) if count is None else count
    if not 0 < wanted <= len(candidates):
        fail(f"{wanted} calibration images were asked for, there are {len(candidates)}",
             hint=f"set dataset.calibration.images to 1 to {len(candidates)}")  # fmt: skip
    if sample == "stratified":
        return stratify(candidates, wanted, seed=seed)
    return (shuffle(candidates, seed=seed) if sample == "random" else list(candidates))[:wanted]


def write_tensors(path: str, images: Sequence[Path], imgsz: tuple[int, int], *, task: str = "detect") -> None:
    """Write one float32 array of shape (N, 3, H, W), image by image, so that memory stays small.

    Raises:
        StepFailure: A tensor holds what is not a number from 0 to 1.
    """
    import numpy as np

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    shape = (len(images), 3, *imgsz)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    load = load_crop if task == "classify" else load_tensor
    for index, image in enumerate(images):
        tensor = load(image, imgsz)
        if not (tensor.min() >= 0 and tensor.max() <= 1):  # NaN compares as neither
            fail(f"{image}: becomes values that are not numbers from 0 to 1",
                 hint="convert it to 8 bits per channel")  # fmt: skip
        array[index] = tensor
        progress(index + 1, len(images), "images")
    array.flush()


def describe_selection(
    chosen: Sequence[Candidate], dataset: Dataset, settings: Mapping[str, Any], *, available: int
) -> dict[str, Any]:
    """Describe the selection: settings, files with digests and classes, and how often each class occurs."""
    objects: Counter[int] = Counter()
    images: Counter[int] = Counter()
    for candidate in chosen:
        objects.update(candidate.classes)
        images.update(candidate.classes.keys())
    return {
        "schema": SCHEMA,
        "settings": dict(settings),
        "available": available,
        "files": [
            {
                "file": one.file,
                "sha256": one.digest,
                "classes": {str(class_id): count for class_id, count in sorted(one.classes.items())},
            }
            for one in chosen
        ],
        "classes": [
            {"id": class_id, "name": name, "images": images[class_id], "objects": objects[class_id]}
            for class_id, name in enumerate(dataset.names)
        ],
        "without_objects": sum(not one.classes for one in chosen),
    }


if __name__ == "__main__":
    run_step(main)
