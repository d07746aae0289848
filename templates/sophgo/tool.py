"""Run one of TPU-MLIR's tools beside the files of the one before, and keep what it leaves.

A .mlir names the file of its weights without a folder, so all tools have to run where these files lie.
``python tool.py [--bring FOLDER] --into FOLDER --keep NAME... -- TOOL ARGUMENT...`` copies the files of the
first folder here, runs the tool, and moves what it made; NAME is a file's whole name or its suffix.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Return the tool's exit code."""
    split = words.index("--")
    settings, command = words[:split], words[split + 1 :]
    keep = settings[settings.index("--keep") + 1 :]
    into = Path(settings[settings.index("--into") + 1])
    if "--bring" in settings:
        for path in sorted(Path(settings[settings.index("--bring") + 1]).iterdir()):
            shutil.copyfile(path, path.name)
    before = set(Path.cwd().iterdir())
    code = subprocess.call(command)  # noqa: S603 - the command of the step, as the toolchain renders it
    if code == 0:
        into.mkdir(parents=True, exist_ok=True)
        for path in sorted(set(Path.cwd().iterdir()) - before):
            if path.is_file() and (path.name in keep or path.suffix in keep):
                shutil.move(path, into / path.name)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
