from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.verbs.doctor import DoctorOptions, doctor
from tests.unit.environments import BODY, write_toolchain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Ask the doctor about a toolchain called acme, with a cache and a PATH of the test's own."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "env"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)

    def ask(environment: str = "", *, as_json: bool = True, **files: str) -> Any:
        templates = write_toolchain(tmp_path, environment, **files)
        assert doctor(DoctorOptions(templates=(str(templates),), json=as_json)) == 0
        said = capsys.readouterr().out
        if not as_json:
            return said
        return next(row for row in json.loads(said)["toolchains"] if row["name"] == "acme")

    return ask


def put(tmp_path: Path, text: str) -> None:
    tool = tmp_path / "bin" / "acmec"
    tool.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    tool.chmod(0o755)


def test_a_tool_that_is_found_has_its_version_and_the_text_that_says_it(
    tmp_path: Path, look: Callable[..., Any]
) -> None:
    put(tmp_path, "echo acmec 2.5 build 77")
    found = look()
    assert found["usable"]
    assert found["environment"] == {"kind": "as found on PATH"}
    (tool,) = found["tools"]
    assert (tool["version"], tool["supported"], tool["raw"]) == ("2.5", ">=2,<4", "acmec 2.5 build 77")


def test_a_version_out_of_range_and_a_missing_tool_are_said(tmp_path: Path, look: Callable[..., Any]) -> None:
    put(tmp_path, "echo acmec 9.1")
    (tool,) = look()["tools"]
    assert not tool["usable"]
    assert tool["problem"] == "acme/acmec 9.1 is outside the supported range >=2,<4"


def test_a_version_that_cannot_be_read_is_said_with_what_was_tried(
    tmp_path: Path, look: Callable[..., Any]
) -> None:
    put(tmp_path, "echo hello")
    lines = [line.strip() for line in look(as_json=False).splitlines()]
    at = lines.index("ok      acmec of unknown version (supported >=2,<4)")
    assert lines[at + 1] == "found acmec on PATH"
    assert lines[at + 2].startswith("`acmec --version` printed nothing matching")


def test_a_version_that_cannot_be_compared_is_said(tmp_path: Path, look: Callable[..., Any]) -> None:
    put(tmp_path, "echo acmec Release-7")
    body = BODY.replace(r"(\d+\.\d+)", r"(\S+)")
    lines = [line.strip() for line in look(as_json=False, body=body).splitlines()]
    at = lines.index("ok      acmec Release-7 (supported >=2,<4)")
    assert lines[at + 1].startswith("acme/acmec has version 'Release-7' (executable ")
    assert lines[at + 1].endswith("); it cannot be compared with >=2,<4")


def test_what_is_missing_is_said_once_with_how_to_get_it(
    look: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = look(as_json=False)
    lines = text[text.index("acme  Acme") :].splitlines()
    assert lines[1] == "  missing acmec: acmec is not on PATH (supported >=2,<4)"
    assert lines[2].startswith("            get it: ")
    assert all(len(line) <= 60 for line in lines[1:4])


def test_an_environment_that_is_not_installed_is_said_once_with_what_makes_it(
    look: Callable[..., Any],
) -> None:
    text = look("requirements: requirements.txt", as_json=False, requirements="a==1\n")
    lines = [line.strip() for line in text.splitlines()]
    at = lines.index("acme  Acme")
    assert lines[at + 1] == "missing own Python: the Python environment of acme is not installed"
    assert lines[at + 3] == "get it: run `edgebuild toolchain install acme`"
    assert not [line for line in lines[at:] if "acmec" in line]


def test_what_an_environment_needs_besides_is_named(tmp_path: Path, look: Callable[..., Any]) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("export ACME=1\n", encoding="utf-8")
    environment = f"activate: {script}\nsystem:\n  - {{name: Java 17, executable: java, get: Install Java.}}"
    found = look(environment)["environment"]
    assert found["problem"] == "acme needs Java 17: java is not on PATH"
    assert found["get"] == "Install Java."
