from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from edgebuild.environment.store import MARKER, home
from edgebuild.verbs.toolchain import list_all, remove_all, show_installed
from tests.unit.environments import acme


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an environment that acme asked for, and that its twin, with equal requirements, finds too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    toolchain = acme(tmp_path, "requirements: requirements.txt", requirements="a==1\n")
    shutil.copytree(tmp_path / "templates/acme", tmp_path / "templates/twin")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    folder = home(tmp_path / "cache") / toolchain.environment.digest(version)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").symlink_to(sys.executable)
    marker = {"toolchains": ["acme"], "python": version, "size": 2_000_000, "seconds": 1.0}
    (folder / MARKER).write_text(json.dumps(marker | {"installed": "2026-01-02"}), encoding="utf-8")
    return folder


def test_everyone_who_uses_an_environment_is_named(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_installed(as_json=False) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("acme, twin  Python ")
    assert line.endswith(f"2.0 MB  2026-01-02  {shared}")
    show_installed(as_json=True)
    (row,) = json.loads(capsys.readouterr().out)["environments"]
    assert (row["toolchains"], row["used_by"]) == (["acme"], ["acme", "twin"])


def test_who_loses_an_environment_is_said(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert remove_all("acme") == 0
    assert not shared.exists()
    removed, lost = capsys.readouterr().out.splitlines()
    assert removed == f"removed {shared} (2.0 MB)"
    assert lost == "twin used it too: `edgebuild toolchain install twin`"


def test_a_toolchain_that_cannot_be_read_does_not_spoil_the_list(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("templates/twin/toolchain.yaml").write_text("toolchain: 2\n", encoding="utf-8")
    assert list_all((), as_json=False) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["acme"].split(maxsplit=4)[1:] == ["own", "Python,", "installed", "Acme"]
    assert "wrong" in lines["twin"]
    assert f"templates{os.sep}twin" in lines["twin"]
    assert shared.exists()
