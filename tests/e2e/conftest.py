"""The workspaces that the tests of the command line use; everything slow is built once per session."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.workspace import REPOSITORY, Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

# Gains and offsets at random: an untrained model has none, and all its classes would score the same.
_WEIGHTS = """
import sys
import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import yaml_model_load

def make(base, name, seed):
    torch.manual_seed(seed)
    # A scale of our own, a quarter of the smallest one.
    settings = yaml_model_load(base)
    settings["scales"] = {"t": [0.5, 0.125, 1024]}
    settings["scale"], settings["nc"] = "t", 2
    import yaml
    with open(f"{name}.yaml", "w") as stream:
        yaml.safe_dump({k: v for k, v in settings.items() if k != "yaml_file"}, stream)
    model = YOLO(f"{name}.yaml")
    model.model.names = {0: "bolt", 1: "nut"}
    for part in model.model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.bias, 0.0, 0.2)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    model.ckpt = {}
    model.save(f"{name}.pt")

make("yolo11n.yaml", "tiny", 0)
make("yolo11n.yaml", "other", 1)
make("yolo11n-seg.yaml", "segment", 0)
saved = torch.load("tiny.pt", weights_only=False)
saved["date"], saved["note"] = "1999-12-31T23:59:59", "the same weights, saved again"
torch.save(saved, "again.pt")
"""


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    """A workspace where nothing was built and the weights are no weights: for what needs no model."""
    return make_workspace(tmp_path)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tiny.pt``, the same saved ``again.pt``, ``other.pt``, and ``segment.pt``."""
    folder = tmp_path_factory.mktemp("weights")
    variables = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", _WEIGHTS],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Workspace:
    """A workspace with everything built; only for copying."""
    workspace = make_workspace(tmp_path_factory.mktemp("master"))
    (workspace.folder / "weights" / "tiny.pt").write_bytes((weights / "tiny.pt").read_bytes())
    ran = workspace.run("-j", "2")
    assert ran.code == 0, ran.done.err
    return workspace


@pytest.fixture
def built(master: Workspace, tmp_path: Path) -> Workspace:
    """A workspace with everything built, to change."""
    return master.copy(tmp_path)


@pytest.fixture(scope="session")
def core_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with edgebuild and its own dependencies, without those of the yolo extra."""
    folder = tmp_path_factory.mktemp("core")
    (folder / "edgebuild").symlink_to(REPOSITORY / "edgebuild")
    for distribution in _with_needs(("doit", "jinja2", "jsonschema", "pyyaml", "rich")):
        tops = {
            file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")
        }
        for top in tops:
            (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder


def _with_needs(names: tuple[str, ...]) -> Iterator[metadata.Distribution]:
    todo, seen = list(names), set()
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # needed by another Python version only
            continue
        yield distribution
        needed = [need for need in distribution.requires or () if "extra ==" not in need]
        todo += [re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0] for need in needed]
