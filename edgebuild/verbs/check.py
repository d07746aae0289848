"""``edgebuild check``: everything that can be found wrong without running a step."""

from __future__ import annotations

from dataclasses import dataclass

from edgebuild.amounts import counted
from edgebuild.errors import ManifestError
from edgebuild.manifest.dataset_check import check_images, check_labels
from edgebuild.run.session import open_session


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOptions:
    """What the user asked of ``check``."""

    manifest: str
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    data: bool


def check(options: CheckOptions) -> int:
    """Check the manifest, the plan and, unless told not to, every label and the head of every image.

    Raises:
        ManifestError: Something is wrong; all of it.
    """
    session = open_session(options.manifest, overrides=options.overrides, templates=options.templates)
    manifest, dataset = session.manifest, session.manifest.dataset
    if dataset is not None and options.data:
        problems = []
        for split in dataset.splits.values():
            problems += check_images(split)
            problems += check_labels(split, dataset.names, manifest.model.task)
        if problems:
            raise ManifestError(problems)
    images = {split.name: len(split.images) for split in dataset.splits.values()} if dataset else {}
    counts = ", ".join(f"{name} {number} images" for name, number in images.items())
    size = f"{counted(len(manifest.targets), 'target')}, {counted(len(session.plan.actions), 'action')}"
    print(f"{manifest.file}: {size}; {counts or 'no dataset'}")
    for name, why in session.unavailable(skip_all=True).items():
        print(f"  {name} cannot be built here: {why}")
    return 0
