"""Run gen_model.py with the calibration images under the names that it looks for.

The samples' calibrators read the files of ``--image_dir`` whose names end in .jpg, and no others. OpenCV
tells the format of an image by its content, so a link with that name is enough.
``python jpg.py FOLDER LINKS -- TOOL ARGUMENT...`` links the images of the first folder into the second.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Return the tool's exit code."""
    split = words.index("--")
    images, links = (Path(word) for word in words[:split])
    links.mkdir(parents=True, exist_ok=True)
    for image in sorted(images.iterdir()):
        (links / f"{image.stem}.jpg").symlink_to(image.resolve())
    return subprocess.call(words[split + 1 :])  # noqa: S603 - the command of the step, as the toolchain renders it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
