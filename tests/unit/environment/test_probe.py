from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from edgebuild.environment import probe
from edgebuild.environment.probe import Probed, identity, probe_tool
from edgebuild.toolchain.load import Tool, VersionProbe

if TYPE_CHECKING:
    from pathlib import Path


def tool(version: VersionProbe | None = None, *, supported: str = "", executable: str = "acmec") -> Tool:
    return Tool(name="acmec", executable=executable, version=version, supported=supported, get="Buy it.")


def script(root: Path, text: str, *, name: str = "bin/acmec") -> dict[str, str]:
    """Write an executable shell script, and return an environment that finds it."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{path.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"}


def distribution(root: Path, folder: str, *, where: str = "site") -> str:
    info = root / where / folder
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: x\n", encoding="utf-8")
    return str(root / where)


COMMAND = VersionProbe(command=("--version",), regex=r"^acmec v?(\S+)")


def test_an_absent_executable_is_not_found_and_says_how_to_get_it(tmp_path: Path) -> None:
    probed = probe_tool("acme", tool(COMMAND), {"PATH": str(tmp_path)})
    assert not probed.found
    assert not probed.usable
    assert probed.problem == "acmec is not on PATH"
    assert probed.get == "Buy it."
    assert str(tmp_path) in probed.how[0]


def test_a_file_on_path_that_cannot_be_executed_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "acmec").write_text("", encoding="utf-8")
    assert not probe_tool("acme", tool(), {"PATH": str(tmp_path)}).found


def test_the_version_is_what_the_command_says(tmp_path: Path) -> None:
    environ = script(tmp_path, 'echo "acmec v2.16.0 clang 3.8"; echo "InstalledDir: /opt/acme/bin"')
    probed = probe_tool("acme", tool(COMMAND, supported=">=2,<3"), environ)
    assert (probed.name, probed.version, probed.usable) == ("acme/acmec", "2.16.0", True)
    assert probed.files == (str(tmp_path / "bin" / "acmec"),)
    assert not probed.findings


def test_what_a_tool_says_on_its_error_output_counts_as_well(tmp_path: Path) -> None:
    probed = probe_tool("acme", tool(COMMAND), script(tmp_path, "echo acmec 3.1 >&2; exit 3"))
    assert probed.version == "3.1"


@pytest.mark.parametrize(("said", "version"), [("v100300", "10.03.00"), ("v8502", "8.5.02")])
def test_the_groups_of_the_regex_are_joined(tmp_path: Path, said: str, version: str) -> None:
    regex = r"v(?:(\d\d)(\d\d)(\d\d)|(\d)(\d)(\d\d))\b"
    wanted = VersionProbe(command=("-v",), regex=regex)
    assert probe_tool("acme", tool(wanted), script(tmp_path, f"echo {said}")).version == version


def test_a_version_out_of_range_is_found_but_not_usable(tmp_path: Path) -> None:
    probed = probe_tool("acme", tool(COMMAND, supported=">=3"), script(tmp_path, "echo acmec 2.16"))
    assert probed.found
    assert not probed.usable
    assert probed.problem == "acme/acmec 2.16 is outside the supported range >=3"


@pytest.mark.parametrize("said", ["echo nothing useful", "exit 1", "echo acmec unknown"])
def test_an_unknown_version_is_a_note_and_the_content_identifies(tmp_path: Path, said: str) -> None:
    probed = probe_tool("acme", tool(COMMAND, supported=">=3"), script(tmp_path, said))
    assert probed.usable
    (finding,) = probed.findings
    assert (finding.id, finding.level) == ("version-unknown", "note")
    assert ">=3" in finding.message
    assert probed.fingerprint
    assert identity(probed) == f"acme/acmec {probed.fingerprint}"


def test_without_a_version_the_content_of_the_executable_identifies_it(tmp_path: Path) -> None:
    first, same, other = (
        probe_tool("acme", tool(), script(tmp_path / place, text))
        for place, text in (("a", "exit 0"), ("b", "exit 0"), ("c", "exit 1"))
    )
    assert identity(first) == identity(same)
    assert identity(first) != identity(other)
    assert not first.findings


def test_a_version_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "VERSION_SECONDS", 0.2)
    probed = probe_tool("acme", tool(COMMAND), script(tmp_path, "sleep 60"))
    assert probed.usable
    assert probed.fingerprint
    assert "did not run" in probed.how[-1]


def test_two_installations_of_one_release_share_an_identity(tmp_path: Path) -> None:
    found = []
    for place in ("one", "two"):
        environ = script(tmp_path / place, f"echo acmec 2.16; echo dir={tmp_path / place}/bin")
        found.append(probe_tool("acme", tool(COMMAND), environ))
    assert found[0].raw != found[1].raw
    assert identity(found[0]) == identity(found[1])
    assert str(tmp_path) not in identity(found[0])


def test_builds_of_one_release_that_call_themselves_differently_do_not(tmp_path: Path) -> None:
    builds = ["B251", "B252"]
    found = [probe_tool("a", tool(COMMAND), script(tmp_path / b, f"echo acmec 2.16 {b}")) for b in builds]
    assert identity(found[0]) != identity(found[1])


def test_version_files_are_tried_in_order(tmp_path: Path) -> None:
    environ = script(tmp_path, "exit 0")
    install = tmp_path / "acme [1]" / "x86_64-linux"
    install.mkdir(parents=True)
    (install / "install.info").write_text("name=acme\nversion=8.0.RC1\npath=/x\n", encoding="utf-8")
    files = ("${ACME_HOME}/*-linux/install.info", "${UNSET}/info", f"{tmp_path}/absent/info")
    wanted = VersionProbe(files=files, regex=r"^version=(\S+)")
    probed = probe_tool("acme", tool(wanted, supported=">=8"), {**environ, "ACME_HOME": str(install.parent)})
    assert (probed.version, probed.usable) == ("8.0.RC1", True)
    assert probed.files[-1] == str(install / "install.info")
    without = probe_tool("acme", tool(wanted, supported=">=8"), environ)
    assert "ACME_HOME is not set" in without.how[1]
    assert f"no file {tmp_path}/absent/info" in without.how
    assert without.fingerprint
    assert without.findings


def test_a_version_file_without_the_line_is_passed_over(tmp_path: Path) -> None:
    environ = script(tmp_path, "exit 0")
    (tmp_path / "a").write_text("nothing\n", encoding="utf-8")
    (tmp_path / "b").write_text("version=7\n", encoding="utf-8")
    wanted = VersionProbe(files=(f"{tmp_path}/a", f"{tmp_path}", f"{tmp_path}/b"), regex=r"^version=(\S+)")
    probed = probe_tool("acme", tool(wanted), environ)
    assert probed.version == "7"
    assert any("has no line matching" in step for step in probed.how)
    assert any(step.startswith("cannot read") for step in probed.how)


@pytest.mark.parametrize(
    "folder",
    ["onnx_runtime-1.31.1.dist-info", "ONNX.Runtime-1.31.1.dist-info", "onnx-runtime-1.31.1.dist-info"],
)
def test_a_distribution_is_found_by_its_normalised_name(tmp_path: Path, folder: str) -> None:
    site = distribution(tmp_path, folder)
    distribution(tmp_path, "onnx_runtime_gpu-9.0.dist-info")
    wanted = tool(VersionProbe(distribution="onnx-runtime"), supported=">=1.20,<2", executable="")
    probed = probe_tool("acme", wanted, {}, paths=[str(tmp_path / "absent"), site])
    assert (probed.found, probed.version) == (True, "1.31.1")
    assert probed.files == (f"{site}/{folder}/METADATA",)


def test_an_absent_distribution_is_not_found(tmp_path: Path) -> None:
    wanted = tool(VersionProbe(distribution="acme"), executable="")
    probed = probe_tool("acme", wanted, {}, paths=[str(tmp_path)])
    assert not probed.found
    assert probed.problem == "the Python distribution acme is not installed"


def test_the_environment_of_a_script_is_asked_before_ours(tmp_path: Path) -> None:
    environ = script(tmp_path / "env", "exit 0")
    distribution(tmp_path, "acme-2.0.dist-info", where="env/lib/python3.9/site-packages")
    ours = distribution(tmp_path, "acme-1.0.dist-info")
    wanted = tool(VersionProbe(distribution="acme"))
    assert probe_tool("acme", wanted, environ, paths=[ours]).version == "2.0"
    elsewhere = script(tmp_path / "bare", "exit 0")
    assert probe_tool("acme", wanted, elsewhere, paths=[ours]).version == "1.0"
    unknown = probe_tool("acme", wanted, elsewhere, paths=[])
    assert unknown.usable
    assert unknown.fingerprint


def test_this_interpreter_is_asked_by_default() -> None:
    wanted = tool(VersionProbe(distribution="pytest"), executable="")
    probed = probe_tool("acme", wanted, {})
    assert probed.version == pytest.__version__
    assert any(probed.files[0].startswith(path) for path in sys.path if path)


def test_an_identity_holds_the_version(tmp_path: Path) -> None:
    probed = Probed(name="acme/acmec", found=True, version="2.16", raw=f"acmec 2.16 in {tmp_path}")
    assert identity(probed).startswith("acme/acmec 2.16 sha256:")
