"""Steps and runtime files in real containers: podman as root and as a user, docker, and images made here."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import Action, Output
from edgebuild.digest import digest_document, digest_file
from edgebuild.environment.container import new_name
from edgebuild.environment.surroundings import Surroundings, probe_in, surroundings
from edgebuild.errors import StepError, StepTimeoutError
from edgebuild.perform.attempt import attempt, command
from edgebuild.plan.own_step import own_step
from edgebuild.protocol import EXIT_MISSING, RUNTIME_VARIABLE
from edgebuild.steps._runtime import Artifact, open_artifact
from edgebuild.steps._step import StepFailure
from tests.contract.engines import ENGINES, Engine, acme_image, engine, python_image
from tests.unit.environments import acme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edgebuild.toolchain.load import Toolchain

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images() -> Iterator[Mapping[str, Path]]:
    """The files of every image, made once for all engines."""
    with tempfile.TemporaryDirectory(prefix="eb-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = {f"localhost/acme:{version}": acme_image(folder, version) for version in ("1", "2")}
        yield made | {"localhost/python:1": python_image(folder)}


@pytest.fixture(scope="module", params=ENGINES)
def loaded(request: pytest.FixtureRequest, images: Mapping[str, Path]) -> Iterator[Engine]:
    with engine(request.param, images) as found:
        yield found


@pytest.fixture
def box(loaded: Engine) -> Iterator[Engine]:
    """The engine, and ourselves the user who calls it."""
    with loaded.called_by_its_user():
        yield loaded


@pytest.fixture
def environ(box: Engine) -> Mapping[str, str]:
    return box.environ


@pytest.fixture
def folder(box: Engine, request: pytest.FixtureRequest) -> Path:
    """A directory of that user's, for one test."""
    found = box.folder / f'test "{len(list(box.folder.iterdir()))}", {request.node.originalname}'
    found.mkdir()
    return found


def toolchain(folder: Path, box: Engine, image: str) -> Toolchain:
    return acme(folder, f"image: localhost/{image}:1\nengine: {box.program}")


@pytest.fixture
def chain(folder: Path, box: Engine) -> Toolchain:
    return toolchain(folder, box, "acme")


def found_place(chain: Toolchain, box: Engine, folder: Path) -> Surroundings:
    found = surroundings(chain, box.environ, folder / "cache")
    assert found is not None
    assert found.problem == ""
    return found


@pytest.fixture
def place(folder: Path, chain: Toolchain, box: Engine) -> Surroundings:
    return found_place(chain, box, folder)


def none_left(box: Engine) -> bool:
    """Whether no container is left; docker takes a moment to remove one."""
    deadline = time.monotonic() + 10
    while (left := box("ps", "--all", "--quiet").stdout) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not left


def run(
    folder: Path, script: str, place: Surroundings, environ: Mapping[str, str], timeout: float | None = None
) -> tuple[Path, str]:
    """Run a shell script as a vendor's step and return its directory and log."""
    scratch = folder / "scratch"

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
    log = folder / "compile.log"
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
    folder: Path, place: Surroundings, environ: Mapping[str, str]
) -> None:
    scratch, log = run(
        folder, "acmec in/model/model.onnx out/model.acme; echo scrap > scrap; env", place, environ
    )
    made = scratch / "out/model.acme"
    assert made.read_text(encoding="utf-8") == "a model"
    assert (made.stat().st_uid, made.stat().st_gid) == (os.getuid(), os.getgid())
    lines = log.splitlines()
    assert "MODE=fast, small" in lines
    assert "HOME=/work/tmp" in lines
    assert "SOURCE_DATE_EPOCH=315532800" in lines
    assert "SECRET" not in log
    assert str(folder) not in "\n".join(line for line in lines if not line.startswith("#"))


def test_inputs_cannot_be_written_and_there_is_no_network(
    folder: Path, place: Surroundings, environ: Mapping[str, str]
) -> None:
    script = (
        "echo x > in/model/model.onnx; rm in/model/model.onnx; touch in/new; ls /sys/class/net > out/nets"
    )
    scratch, log = run(folder, script, place, environ)
    assert (scratch / "in/model/model.onnx").read_text(encoding="utf-8") == "a model"
    assert not (scratch / "in/new").exists()
    assert log.count("Read-only file system") == 3
    assert (scratch / "out/nets").read_text(encoding="utf-8").split() in ([], ["lo"])


def test_a_failure_carries_the_tool_s_own_exit_code_and_words(
    folder: Path, place: Surroundings, environ: Mapping[str, str]
) -> None:
    with pytest.raises(StepError, match="exit code 9") as raised:
        run(folder, "echo 'E10001: no such chip'; exit 9", place, environ)
    assert "E10001: no such chip" in raised.value.hint


def test_a_container_is_gone_after_its_time_is_up(
    folder: Path, box: Engine, place: Surroundings, environ: Mapping[str, str]
) -> None:
    with pytest.raises(StepTimeoutError):
        run(folder, "sleep 600", place, environ, timeout=1)
    assert none_left(box)


def test_tools_and_versions_are_looked_for_inside(
    chain: Toolchain, place: Surroundings, environ: Mapping[str, str]
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
    folder: Path,
    images: Mapping[str, Path],
    box: Engine,
    chain: Toolchain,
    place: Surroundings,
    environ: Mapping[str, str],
) -> None:
    assert box("tag", "localhost/acme:1", "localhost/other:9").returncode == 0
    named = {**environ, "EDGEBUILD_IMAGE_ACME": "localhost/other:9"}
    same = surroundings(chain, named, folder)
    other = surroundings(chain, {**environ, "EDGEBUILD_IMAGE_ACME": "localhost/acme:2"}, folder)
    assert same is not None
    assert other is not None
    assert same.identity == place.identity
    # Every engine says the same of the same files, whatever id it gives them.
    layer = digest_file(images["localhost/acme:1"])
    assert place.identity == f"image {digest_document({'layers': [layer], 'env': []})}"
    assert other.identity not in {"", place.identity}


def test_an_image_that_is_not_here_is_not_pulled(folder: Path, box: Engine, chain: Toolchain) -> None:
    found = surroundings(chain, {**box.environ, "EDGEBUILD_IMAGE_ACME": "localhost/absent:1"}, folder)
    assert found is not None
    said = f"needs the image localhost/absent:1, and {box.program} does not have it"
    assert said in found.problem
    assert found.identity == ""
    assert f"{box.program} load" in found.get


RUNTIME = """
import os
import sys

import numpy as np

assert "edgebuild" not in sys.modules


def load(artifact, info, threads):
    print("loading", artifact, "among", sorted(os.listdir()))
    scale = float(open(artifact).read()) * threads * info["batch"]
    return lambda images: [images.sum((1, 2, 3)) * scale, images[:, :1].astype(np.float16)]
"""

INFO = {"imgsz": [4, 4], "batch": 1, "input": {"shape": [1, 3, 4, 4], "channels": "RGB"}, "outputs": [{}, {}]}


@pytest.fixture
def opened(folder: Path, box: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Artifact]]:
    """Open an artifact as a step of ours does, with a runtime file that runs in a container."""
    scratch = folder / "scratch"
    for name in ("in/artifact", "in/runtime", "out", "tmp"):
        (scratch / name).mkdir(parents=True)
    (scratch / "in/artifact/model.acme").write_text("2.5", encoding="utf-8")
    monkeypatch.chdir(scratch)
    action = own_step("t/validate", "validate", "evaluate", [], target="t", inputs=(), outputs=())
    used: list[tuple[Surroundings, str]] = []

    def open_it(runtime: str = RUNTIME, image: str = "python") -> Artifact:
        place = found_place(toolchain(folder, box, image), box, folder)
        name = new_name()
        used.append((place, name))
        _, env = command(action, scratch, box.environ, place, container=name)
        monkeypatch.setenv(RUNTIME_VARIABLE, env[RUNTIME_VARIABLE])
        (scratch / "in/runtime/runtime.py").write_text(runtime, encoding="utf-8")
        return open_artifact("in/artifact/model.acme", INFO, threads=2, runtime="in/runtime/runtime.py")

    yield open_it
    for place, name in used:
        assert place.container is not None
        place.container.remove(name, box.environ)
    assert none_left(box)


def test_a_runtime_file_answers_from_inside(
    opened: Callable[..., Artifact], capfd: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    artifact = opened()
    images = np.ones((1, 3, 4, 4), np.float32)
    outputs = artifact(images)
    assert outputs[0].tolist() == [240.0]
    assert outputs[1].dtype == np.float16
    assert outputs[1].shape == (1, 1, 4, 4)
    large = np.ones((4, 3, 640, 640), np.float32)
    assert artifact.infer(large)[1].shape == (4, 1, 640, 640)
    assert artifact.foreign is not None
    samples = artifact.foreign.measure(images, warmup=1, runs=7, seconds_limit=None)
    assert len(samples) == 7
    assert "VmHWM" in artifact.foreign.memory
    assert artifact.foreign.close(20) == 0  # it ends by itself when nobody asks any more
    assert "loading in/artifact/model.acme among ['in', 'tmp']" in capfd.readouterr().err


CONFINED = """
import socket


def tried(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        print(error)


def load(artifact, info, threads):
    tried(open, artifact, "w")
    tried(open, "out/new", "w")
    tried(socket.create_connection, ("192.0.2.1", 80))
    open("tmp/scratch", "w").close()
    import acme_sdk
"""


def test_a_runtime_file_can_write_to_nothing_that_counts(
    folder: Path, opened: Callable[..., Artifact], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        StepFailure, match="needs the package 'acme_sdk'; the toolchain's image has to hold it"
    ):
        opened(CONFINED)
    said = capfd.readouterr().err
    for words in (
        "Read-only file system: 'in/",
        "No such file or directory: 'out/",
        "Network is unreachable",
    ):
        assert words in said
    made = folder / "scratch/tmp/scratch"
    assert (made.stat().st_uid, made.stat().st_gid) == (os.getuid(), os.getgid())


def test_a_server_that_ends_has_the_last_word(opened: Callable[..., Artifact]) -> None:
    ends = "import os\ndef load(*_):\n    print('E: no licence', flush=True)\n    os._exit(9)\n"
    with pytest.raises(StepFailure, match=re.escape("(exit code 9): E: no licence")):
        opened(ends)


def test_an_image_without_python_is_said(opened: Callable[..., Artifact]) -> None:
    with pytest.raises(StepFailure, match=r"no container for .*runtime.py: .*python3") as raised:
        opened(image="acme")
    assert raised.value.exit_code == EXIT_MISSING
