"""Steps in real containers: podman, and an image made of nothing but a static busybox."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import Action, Output
from edgebuild.environment.surroundings import Surroundings, probe_in, surroundings
from edgebuild.errors import StepError, StepTimeoutError
from edgebuild.perform.attempt import attempt
from tests.unit.environments import acme

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgebuild.toolchain.load import Toolchain

BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "cat", "ls", "echo", "id", "touch", "sleep", "env", "grep", "wget", "rm")

ACMEC = """#!/bin/sh
[ "$1" = --version ] && { echo "acmec 2.5 (/opt/acme)"; exit 0; }
cat "$1" > "$2"
"""

CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed"),
    pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed"),
    pytest.mark.skipif(not Path(BUSYBOX).is_file(), reason="busybox-static is not installed"),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root here: rootless podman needs more of a machine"),
]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A podman of our own with two images in it."""
    folder = tmp_path_factory.mktemp("podman")
    (folder / "containers.conf").write_text(CONTAINERS, encoding="utf-8")
    storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(storage, encoding="utf-8")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    env |= {
        "CONTAINERS_CONF": f"{folder}/containers.conf",
        "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
    }
    for version in ("1", "2"):
        image = rootfs(folder, version)
        done = podman(
            env, "import", "--change", 'ENTRYPOINT ["/bin/false"]', str(image), f"localhost/acme:{version}"
        )
        assert done.returncode == 0, done.stderr
    if podman(env, "run", "--rm", "--network=none", "--entrypoint=true", "localhost/acme:1").returncode:
        pytest.skip("podman cannot run a container on this machine")
    yield env
    shutil.rmtree(folder, ignore_errors=True)


def rootfs(folder: Path, version: str) -> Path:
    root = folder / f"root-{version}"
    (root / "bin").mkdir(parents=True)
    (root / "opt").mkdir()
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in (*APPLETS, "true", "false"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "bin/acmec").write_text(ACMEC.replace("2.5", f"2.{version}"), encoding="utf-8")
    (root / "bin/acmec").chmod(0o755)
    (root / "opt/version.txt").write_text(f"release {version}.7\n", encoding="utf-8")
    with tarfile.open(folder / f"root-{version}.tar", "w") as archive:
        archive.add(root, arcname=".")
    return folder / f"root-{version}.tar"


def podman(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    argv = ["podman", *words]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def chain(tmp_path: Path) -> Toolchain:
    return acme(tmp_path, "image: localhost/acme:1\nengine: podman")


@pytest.fixture
def place(tmp_path: Path, chain: Toolchain, environ: dict[str, str]) -> Surroundings:
    found = surroundings(chain, environ, tmp_path / "cache")
    assert found is not None
    assert found.problem == ""
    return found


def run(
    tmp_path: Path, script: str, place: Surroundings, environ: dict[str, str], timeout: float | None = None
) -> tuple[Path, str]:
    """Run a shell script as a vendor's step and return its directory and log."""
    scratch = tmp_path / "scratch"

    def lay_out() -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        for name in ("in/model", "aux", "out"):
            (scratch / name).mkdir(parents=True)
        (scratch / "in/model/model.onnx").write_text("a model", encoding="utf-8")

    action = Action(
        id="t/compile",
        step="compile",
        argv=("sh", "-c", script),
        env=(("MODE", "fast, small"),),
        outputs=(Output(role="model", path="model.acme"),),
        environment="acme",
        timeout=timeout,
    )
    log = tmp_path / "compile.log"
    attempt(
        action,
        scratch=scratch,
        log=log,
        environ={**environ, "SECRET": "of the caller"},
        lay_out=lay_out,
        progress=print,
        surroundings=place,
    )
    return scratch, log.read_text(encoding="utf-8")


def test_a_step_sees_its_inputs_and_leaves_its_outputs(
    tmp_path: Path, place: Surroundings, environ: dict[str, str]
) -> None:
    scratch, log = run(
        tmp_path, "acmec in/model/model.onnx out/model.acme; echo scrap > scrap; env", place, environ
    )
    made = scratch / "out/model.acme"
    assert made.read_text(encoding="utf-8") == "a model"
    assert (made.stat().st_uid, made.stat().st_gid) == (os.getuid(), os.getgid())
    lines = log.splitlines()
    assert "MODE=fast, small" in lines
    assert "HOME=/work/tmp" in lines
    assert "SOURCE_DATE_EPOCH=315532800" in lines
    assert "SECRET" not in log
    assert str(tmp_path) not in "\n".join(line for line in lines if not line.startswith("#"))


def test_inputs_cannot_be_written_and_there_is_no_network(
    tmp_path: Path, place: Surroundings, environ: dict[str, str]
) -> None:
    script = (
        "echo x > in/model/model.onnx; rm in/model/model.onnx; touch in/new; ls /sys/class/net > out/nets"
    )
    scratch, log = run(tmp_path, script, place, environ)
    assert (scratch / "in/model/model.onnx").read_text(encoding="utf-8") == "a model"
    assert not (scratch / "in/new").exists()
    assert log.count("Read-only file system") == 3
    assert (scratch / "out/nets").read_text(encoding="utf-8").split() in ([], ["lo"])


def test_a_failure_carries_the_tool_s_own_exit_code_and_words(
    tmp_path: Path, place: Surroundings, environ: dict[str, str]
) -> None:
    with pytest.raises(StepError, match="exit code 9") as raised:
        run(tmp_path, "echo 'E10001: no such chip'; exit 9", place, environ)
    assert "E10001: no such chip" in raised.value.hint


def test_a_container_is_gone_after_its_time_is_up(
    tmp_path: Path, place: Surroundings, environ: dict[str, str]
) -> None:
    with pytest.raises(StepTimeoutError):
        run(tmp_path, "sleep 600", place, environ, timeout=3)
    assert podman(environ, "ps", "--all", "--quiet").stdout == ""


def test_tools_and_versions_are_looked_for_inside(
    chain: Toolchain, place: Surroundings, environ: dict[str, str]
) -> None:
    tool = chain.tools["acmec"]
    found = probe_in(place, chain, tool, environ)
    assert (found.version, found.usable) == ("2.1", True)
    # An image never changes: what was asked once is known, also without the engine.
    assert probe_in(place, chain, tool, {}).version == "2.1"
    gone = probe_in(place, chain, replace(tool, executable="boltc", version=None), environ)
    assert gone.problem == "boltc is not in the image localhost/acme:1"
    assert tool.version is not None
    by_file = replace(tool.version, command=(), files=("/opt/*.txt",), regex=r"release (\S+)")
    assert probe_in(place, chain, replace(tool, version=by_file), environ).version == "1.7"


def test_the_image_s_content_is_the_identity_and_its_name_is_not(
    tmp_path: Path, chain: Toolchain, place: Surroundings, environ: dict[str, str]
) -> None:
    assert podman(environ, "tag", "localhost/acme:1", "localhost/other:9").returncode == 0
    named = {**environ, "EDGEBUILD_IMAGE_ACME": "localhost/other:9"}
    same = surroundings(chain, named, tmp_path)
    other = surroundings(chain, {**environ, "EDGEBUILD_IMAGE_ACME": "localhost/acme:2"}, tmp_path)
    assert same is not None
    assert other is not None
    assert same.identity == place.identity
    assert other.identity not in {"", place.identity}


def test_an_image_that_is_not_here_is_not_pulled(
    tmp_path: Path, chain: Toolchain, environ: dict[str, str]
) -> None:
    found = surroundings(chain, {**environ, "EDGEBUILD_IMAGE_ACME": "localhost/absent:1"}, tmp_path)
    assert found is not None
    assert "needs the image localhost/absent:1, and podman does not have it" in found.problem
    assert found.identity == ""
    assert "podman load" in found.get
