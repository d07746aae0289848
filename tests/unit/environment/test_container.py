from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.environment.container import Container

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "ab" * 32


def container(memo: Path, kind: Any) -> Container:
    return Container(
        engine="/usr/bin/engine", kind=kind, image="acme:1", digest=DIGEST, content="sha256:0", memo=memo
    )


def command(folder: Path, engine: str) -> list[str]:
    for name in ("in", "aux", "out"):
        (folder / name).mkdir(exist_ok=True)
    env = {"PATH": "/usr/bin", "HOME": f"{folder}/tmp"}
    argv = ["acmec", "--fast"]
    return container(folder, engine).argv(argv, scratch=folder, env=env, name="edgebuild-1", timeout=100)


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        # Podman without root maps users; docker's daemon is root and does as it is told.
        ("podman", ["--userns=keep-id", "--user=1000:100"]),
        ("docker", ["--user=1000:100"]),
        # The root of a docker without root is the user.
        ("docker-rootless", ["--user=0:0"]),
    ],
)
def test_files_belong_to_whoever_runs_edgebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, flags: list[str]
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    argv = command(tmp_path, kind)
    assert [word for word in argv if word.startswith("--user")] == flags


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


def test_a_runtime_file_sees_its_inputs_and_cannot_write_what_the_step_leaves(tmp_path: Path) -> None:
    env = {"HOME": f"{tmp_path}/tmp"}
    argv = container(tmp_path, "podman").python_argv(scratch=tmp_path, env=env, name="n", timeout=None)
    assert argv[-2:] == ["--entrypoint=python3", DIGEST]
    assert [word for word in argv if word.startswith("--mount=")] == [
        f"--mount=type=bind,source={tmp_path}/in,destination=/work/in,readonly",
        f"--mount=type=bind,source={tmp_path}/tmp,destination=/work/tmp",
    ]
    assert "--network=none" in argv


def test_a_folder_s_name_cannot_end_a_flag(tmp_path: Path) -> None:
    folder = tmp_path / 'a, "b"'
    folder.mkdir()
    assert f'--mount=type=bind,"source={tmp_path}/a, ""b""",destination=/work' in command(folder, "podman")
