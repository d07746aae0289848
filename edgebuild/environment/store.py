"""Installed Python environments of toolchains, below the cache: which are there, and what is in them.

An environment is one folder, ``environments/<digest>``, named by its requirements and its Python. It counts
only once its marker file is there, which is written last: an install that was killed leaves nothing usable.
Nothing here starts a process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.digest import digest_text
from edgebuild.identity import distributions_in
from edgebuild.versions import in_range

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgebuild.toolchain.environment import Environment

MARKER = "edgebuild.json"
"""File of a complete environment that says what it is."""

NOT_COUNTED = frozenset({"pip"})
"""Distributions that install others and are imported by nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python that an environment can be made with.

    Attributes:
        executable: Its path, absolute.
        version: Such as ``3.11``.
    """

    executable: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """An environment that is complete.

    Attributes:
        folder: Where it is.
        toolchains: Names of those that asked for it.
        python: Version of its Python, such as ``3.11``.
        size: Bytes, when it was installed.
        seconds: How long that took.
        installed: When, in ISO 8601.
    """

    folder: Path
    toolchains: tuple[str, ...]
    python: str
    size: int
    seconds: float
    installed: str

    @property
    def executable(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The folder that its distributions are in."""
        return self.folder / "lib" / f"python{self.python}" / "site-packages"


def home(root: Path) -> Path:
    """Return where the environments of a cache are."""
    return root / "environments"


def pythons(supported: str, environ: Mapping[str, str]) -> tuple[Interpreter, ...]:
    """Return every Python within a range: the one that runs edgebuild, then those on PATH, newest first.

    They are known by their names; a version manager's placeholder may be among them.
    """
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = {ours: sys.executable}
    for version in (f"3.{minor}" for minor in range(20, 7, -1)):
        path = shutil.which(f"python{version}", path=environ.get("PATH", ""))
        if path:
            found.setdefault(version, path)
    usable = [(version, path) for version, path in found.items() if in_range(version, supported)]
    return tuple(Interpreter(executable=path, version=version) for version, path in usable)


def find(environment: Environment, root: Path, environ: Mapping[str, str]) -> Installed | None:
    """Return the installed environment that some requirements ask for, or None."""
    folders = [home(root) / environment.digest(one.version) for one in pythons(environment.python, environ)]
    return next((found for found in map(read, folders) if found), None)


def read(folder: Path) -> Installed | None:
    """Return the environment in a folder, or None when it is not complete or its Python is gone."""
    try:
        document: dict[str, Any] = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        found = Installed(
            folder=folder,
            toolchains=tuple(document["toolchains"]),
            python=document["python"],
            size=document["size"],
            seconds=document["seconds"],
            installed=document["installed"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.executable.exists() else None


def installed(root: Path) -> tuple[Installed, ...]:
    """Return all complete environments of a cache, by folder."""
    try:
        names = sorted(os.listdir(home(root)))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return ()
    found = [read(home(root) / name) for name in names if re.fullmatch(r"[0-9a-f]{32}", name)]
    return tuple(one for one in found if one)


def distributions(environment: Installed) -> tuple[str, ...]:
    """Return ``name==version`` of everything in an environment, sorted, as it is there now."""
    found = distributions_in(environment.packages)
    return tuple(sorted(f"{name}=={version}" for name, version, _ in found if name not in NOT_COUNTED))


def identity(environment: Installed) -> str:
    """Return what identifies an environment in a key: its Python and everything that is in it."""
    frozen = distributions(environment)
    return f"python {environment.python}, {len(frozen)} distributions {digest_text(chr(10).join(frozen))}"
