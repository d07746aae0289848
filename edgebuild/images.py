"""What counts as an image, and where its label is: Ultralytics' rules, for the manifest and for the steps.

It imports nothing of ours, so that a step which uses it does not depend on the manifest's code.
"""

from __future__ import annotations

import os

IMAGE_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".dng",
        ".heic",
        ".heif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""What counts as an image: Ultralytics' IMG_FORMATS."""


def is_image(name: str) -> bool:
    """Say whether a file of this name counts as an image; hidden files do not."""
    # Tens of thousands of names are asked about: a Path for each takes many times as long.
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def label_of(image: str) -> str:
    """Return the path of an image's label file, given the image's own, both with forward slashes.

    The last folder named ``images`` becomes ``labels`` and the suffix becomes ``.txt``; without such a folder
    the labels lie beside the images (``ultralytics/data/utils.py: img2label_paths``).
    """
    parts = os.path.splitext(image)[0].split("/")  # noqa: PTH122 - see is_image
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return "/".join(parts) + ".txt"
