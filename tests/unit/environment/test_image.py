"""Engines that are scripts: what is said of an image that is of no use, and what identifies one that is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.environment.image import find_container, image_variable
from edgebuild.toolchain.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.environment.container import Container

LAYERS = [f"sha256:{'1' * 64}"]
ANSWER = f"{'a' * 64} {json.dumps(LAYERS)} null"

ABSENT = {
    "podman": "Error: inspecting object: localhost/acme:1: image not known",
    "docker": "Error response from daemon: no such image: localhost/acme:1: No such image: localhost/acme:1",
}
NO_DAEMON = "Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?"


def engine(
    folder: Path, name: str, said: str, *, code: int = 0, version: str = "", options: str = "[]"
) -> None:
    """Put an engine on PATH that answers every question about images with the same words."""
    script = f"""#!/bin/sh
case "$1" in
--version) echo "{version or name} version 4.3.1";;
info) echo '{options}';;
*) echo '{said}'; exit {code};;
esac
"""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(script, encoding="utf-8")
    (folder / name).chmod(0o755)


def looked(folder: Path, choice: Any = "auto") -> tuple[Container | None, str, str]:
    needs = Environment(image="localhost/acme:1", engine=choice)
    return find_container("acme", needs, {"PATH": str(folder)}, folder)


def found(folder: Path) -> Container:
    container, problem, _ = looked(folder)
    assert container is not None, problem
    return container


@pytest.mark.parametrize(
    ("choice", "said", "get"),
    [
        ("auto", "podman or docker is not on PATH", "install one of them"),
        ("docker", "and docker is not on PATH", "install docker"),
    ],
)
def test_without_an_engine_it_is_said_which_ones_will_do(
    tmp_path: Path, choice: str, said: str, get: str
) -> None:
    container, problem, what = looked(tmp_path, choice)
    assert container is None
    assert problem.endswith(said)
    assert what == get


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_an_image_that_is_not_here_is_not_the_engine_s_fault(tmp_path: Path, name: str) -> None:
    engine(tmp_path, name, ABSENT[name], code=1)
    _, problem, get = looked(tmp_path)
    assert problem == f"acme needs the image localhost/acme:1, and {name} does not have it"
    assert get.startswith(f"`{name} load -i FILE`")


def test_an_engine_that_does_not_work_speaks_for_itself(tmp_path: Path) -> None:
    engine(tmp_path, "docker", NO_DAEMON, code=1)
    _, problem, get = looked(tmp_path)
    assert problem == f"acme needs the image localhost/acme:1, and docker cannot be asked for it: {NO_DAEMON}"
    assert get == "see that `docker info` works"
    engine(tmp_path, "podman", ABSENT["podman"], code=125)
    _, problem, get = looked(tmp_path)
    assert "podman does not have it; docker cannot be asked" in problem
    assert get.startswith("`podman load")


def test_the_engine_that_has_the_image_runs_it(tmp_path: Path) -> None:
    engine(tmp_path, "podman", ABSENT["podman"], code=125)
    engine(tmp_path, "docker", f"sha256:{ANSWER}")
    assert (found(tmp_path).name, found(tmp_path).kind) == ("docker", "docker")


def test_equal_content_counts_as_the_same_image(tmp_path: Path) -> None:
    engine(tmp_path / "a", "podman", f'time="now" level=warning msg="x"\n{ANSWER}')
    engine(tmp_path / "b", "docker", f"sha256:{'b' * 64} {json.dumps(LAYERS)} []")
    engine(tmp_path / "c", "docker", f"sha256:{'b' * 64} {json.dumps(LAYERS)} {json.dumps(['A=1'])}")
    first, second, third = (found(tmp_path / name) for name in "abc")
    assert first.content == second.content
    assert first.digest != second.digest
    assert third.content != second.content


def test_an_engine_s_name_does_not_say_how_it_maps_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    engine(tmp_path, "docker", ANSWER, version="podman")
    assert found(tmp_path).kind == "podman"
    engine(tmp_path, "docker", ANSWER, version="Docker", options='["name=seccomp","name=rootless"]')
    assert found(tmp_path).kind == "docker-rootless"
    engine(tmp_path, "docker", ANSWER, version="Docker", options='["name=seccomp"]')
    assert found(tmp_path).kind == "docker"


def test_the_variable_that_names_another_image() -> None:
    assert image_variable("acme-m1_x") == "EDGEBUILD_IMAGE_ACME_M1_X"
