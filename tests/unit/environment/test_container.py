from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edgebuild.environment.container import Container, find_container, image_variable
from edgebuild.toolchain.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "ab" * 32


def container(memo: Path, engine: str) -> Container:
    return Container(engine=f"/usr/bin/{engine}", image="acme:1", digest=DIGEST, memo=memo)


def command(folder: Path, engine: str) -> list[str]:
    for name in ("in", "aux", "out"):
        (folder / name).mkdir(exist_ok=True)
    env = {"PATH": "/usr/bin", "HOME": f"{folder}/tmp"}
    argv = ["acmec", "--fast"]
    return container(folder, engine).argv(argv, scratch=folder, env=env, name="edgebuild-1", timeout=100)


@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_files_belong_to_whoever_runs_edgebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    argv = command(tmp_path, engine)
    assert "--user=1000:100" in argv
    # Rootless podman maps users; docker's daemon is root and does as it is told.
    assert ("--userns=keep-id" in argv) == (engine == "podman")


@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_the_command_names_the_image_by_its_digest_and_nothing_is_pulled(tmp_path: Path, engine: str) -> None:
    argv = command(tmp_path, engine)
    assert argv[-3:] == ["--entrypoint=acmec", DIGEST, "--fast"]
    assert {"--rm", "--pull=never", "--network=none", "--workdir=/work"} <= set(argv)
    assert f"--mount=type=bind,source={tmp_path},destination=/work" in argv
    assert f"--mount=type=bind,source={tmp_path}/in,destination=/work/in,readonly" in argv
    assert argv[argv.index("--env") + 1] == "HOME=/work/tmp"
    assert not [word for word in argv if word.startswith("PATH=")]
    assert ("--timeout=160" in argv) == (engine == "podman")


def test_without_an_engine_it_is_said_which_ones_will_do(tmp_path: Path) -> None:
    for engine, said in (
        ("auto", "podman or docker is not on PATH"),
        ("docker", "and docker is not on PATH"),
    ):
        needs = Environment(image="acme:1", engine=engine)  # type: ignore[arg-type]
        found, problem, _ = find_container("acme", needs, {"PATH": str(tmp_path)}, tmp_path)
        assert found is None
        assert problem.endswith(said)


def test_the_variable_that_names_another_image() -> None:
    assert image_variable("acme-m1_x") == "EDGEBUILD_IMAGE_ACME_M1_X"
