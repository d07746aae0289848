from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgebuild.package import json_bytes, write_package
from edgebuild.verbs.verify import VerifyOptions, verify
from tests.unit.test_package import ABOUT, members

if TYPE_CHECKING:
    from pathlib import Path


def test_files_named_like_packages_in_the_callers_directory_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = members() | {"golden.npz": b"no arrays"}
    write_package(tmp_path / "-demo.tar.gz", held, about={**ABOUT, "status": "passed"})
    for name in ("json.py", "numpy.py"):
        (tmp_path / name).write_text(f"raise SystemExit('{name} of a stranger')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert verify(VerifyOptions(package="-demo.tar.gz", replay=True, json=True)) == 0
    replayed = json.loads(capsys.readouterr().out)["replay"]
    assert replayed["status"] == "not replayed"
    assert "golden.npz" in replayed["why"] or "not installed" in replayed["why"]


@pytest.mark.parametrize(
    ("toolchain", "recipe", "why"),
    [
        ("ncnn", "fp32", "the artifact needs the runtime of ncnn: "),
        ("ascend", "int8", "what was validated is a stand-in: the artifact runs on its device alone"),
        ("of-a-workspace", "int8", "only the runtime of of-a-workspace runs the artifact"),
    ],
)
def test_what_cannot_be_replayed_says_what_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    toolchain: str,
    recipe: str,
    why: str,
) -> None:
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    stranger = tmp_path / "templates" / toolchain
    stranger.mkdir(parents=True)
    (stranger / "toolchain.yaml").write_text("no program of the caller's folder is used", encoding="utf-8")
    about = {**ABOUT, "toolchain": toolchain, "recipe": recipe}
    held = {name: one for name, one in members().items() if not name.startswith("artifact/")}
    held |= {"recipe.json": json_bytes(about), "artifact/model.blob": b"blob", "golden.npz": b"arrays"}
    write_package(tmp_path / "demo.tar.gz", held, about={**about, "status": "passed"})
    assert verify(VerifyOptions(package="demo.tar.gz", replay=True, json=True)) == 0
    replayed = json.loads(capsys.readouterr().out)["replay"]
    assert replayed["status"] == "not replayed"
    assert replayed["why"].startswith(why)
