"""Workspaces whose vendors' tools are strict fakes."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.install import install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.workspace import Ran, Workspace


def built_with_fakes(master: Workspace, root: Path, targets: str) -> tuple[Workspace, Ran]:
    """Build a copy of a workspace with other targets and the fakes; it is for copying and reading only."""
    copied = master.copy(root)
    workspace = replace(copied, variables=install(root / "fakes"))
    head = workspace.manifest.read_text(encoding="utf-8").partition("targets:")[0]
    workspace.manifest.write_text(head + targets, encoding="utf-8")
    ran = workspace.run("-j", "2")
    assert ran.code == 0, ran.done.err
    return workspace, ran


def fakes_of(workspace: Workspace) -> Path:
    """Return the folder that holds the fakes of a workspace."""
    return Path(workspace.variables["NEUWARE_HOME"]).parent


@contextlib.contextmanager
def to_change(workspace: Workspace, into: Path) -> Iterator[Workspace]:
    """Give a copy to change; the fakes are shared, for where they lie is passed on to them in variables."""
    yield workspace.copy(into)
    install(fakes_of(workspace))
