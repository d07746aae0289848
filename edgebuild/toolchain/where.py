"""Where toolchains are looked for without being told, and how a printed command finds the same one."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_NAME = "toolchain.yaml"

PACKAGE = Path(__file__).resolve().parents[1]


def bundled(name: str) -> tuple[Path, ...]:
    """Return where data files of edgebuild's own lie: in the wheel, or in the checkout."""
    return tuple(p for p in (PACKAGE / "_bundled" / name, PACKAGE.parent / name) if p.is_dir())[:1]


def search_folders(workspace: Path, given: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Return where toolchains are looked for: the given folders, the project's own, the bundled ones."""
    return tuple(p for p in [*given, workspace / "templates", *bundled("templates")] if p.is_dir())


def place_of(name: str, search: Sequence[Path]) -> Path | None:
    """Return the folder of a toolchain: the first that has the name, or None."""
    return next((base / name for base in search if (base / name / FILE_NAME).is_file()), None)


def toolchain_words(folder: Path, here: Path) -> str:
    """Return a toolchain's name as a command in a folder takes it, with ``--templates`` where it needs that.

    Args:
        folder: The toolchain's folder.
        here: Where the command is pasted.
    """
    found = place_of(folder.name, search_folders(here))
    if found is not None and found.resolve() == folder.resolve():
        return folder.name
    outside = not folder.parent.is_relative_to(here)
    place = str(folder.parent) if outside else os.path.relpath(folder.parent, here)
    return f"{folder.name} --templates {shlex.quote(place)}"
