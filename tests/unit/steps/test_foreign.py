"""A runtime file in another interpreter: the same seam, with the artifact on the far side of a socket."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.protocol import RUNTIME_VARIABLE
from edgebuild.steps._runtime import Artifact, open_artifact
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.yolo

INFO = {"imgsz": [4, 4], "batch": 1, "input": {"shape": [1, 3, 4, 4], "channels": "RGB"}, "outputs": [{}, {}]}

RUNTIME = """
import os
import sys

import numpy as np

assert "edgebuild" not in sys.modules
print("loading in", os.environ.get("ACME_HOME"))


class Model:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, images):
        return [images.sum((1, 2, 3)) * self.scale, images[:, :1].astype(np.float16)]


def load(artifact, info, threads):
    return Model(float(open(artifact).read()) * threads * info["batch"])
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Artifact]:
    """Open an artifact with a runtime file in an interpreter that cannot see edgebuild."""
    (tmp_path / "model.acme").write_text("2.5", encoding="utf-8")
    env = {"PATH": os.environ["PATH"], "ACME_HOME": "/opt/acme"}
    holder = "the toolchain's requirements have to name it"
    place = {"python": sys.executable, "env": env, "holder": holder}
    monkeypatch.setenv(RUNTIME_VARIABLE, json.dumps(place))

    def open_it(runtime: str = RUNTIME) -> Artifact:
        (tmp_path / "runtime.py").write_text(runtime, encoding="utf-8")
        artifact = str(tmp_path / "model.acme")
        return open_artifact(artifact, INFO, threads=2, runtime=str(tmp_path / "runtime.py"))

    return open_it


def images(count: int = 1) -> Any:
    import numpy as np

    return np.ones((count, 3, 4, 4), np.float32)


@contextlib.contextmanager
def ended(artifact: Artifact) -> Iterator[Artifact]:
    """Have the server end with the block."""
    assert artifact.foreign is not None
    try:
        yield artifact
    finally:
        artifact.foreign.close()


def test_arrays_come_back_as_the_runtime_made_them(
    foreign: Callable[..., Artifact], capfd: pytest.CaptureFixture[str]
) -> None:
    with ended(foreign()) as artifact:
        outputs = artifact(images())
    assert outputs[0].tolist() == [240.0]
    assert outputs[1].dtype == "float16"
    assert outputs[1].shape == (1, 1, 4, 4)
    assert "loading in /opt/acme" in capfd.readouterr().err


BOUND = (
    RUNTIME
    + """

class Bound(Model):
    def bind(self, images):
        assert images.shape == (1, 3, 4, 4)
        return lambda: None


load = lambda artifact, info, threads: Bound(1.0)
"""
)


def test_it_is_timed_where_it_runs(foreign: Callable[..., Artifact]) -> None:
    with ended(foreign(BOUND)) as artifact:
        assert artifact.foreign is not None
        samples = artifact.foreign.measure(images(), warmup=1, runs=7, seconds_limit=None)
        assert len(samples) == 7
        assert "VmHWM" in artifact.foreign.memory
        assert artifact.foreign.load_ms > 0


LOAD = "import os, sys\ndef load(artifact, info, threads):\n    "

WRONG = {
    LOAD + "raise ValueError('not an acme file')": "ValueError: not an acme file",
    "import acme_sdk": "runtime.py needs the package 'acme_sdk'; the toolchain's requirements",
    "LOAD = 1": "defines no load",
    LOAD + "sys.exit('licence expired')": "SystemExit: licence expired",
    LOAD + "os.abort()": "killed by signal 6",
    LOAD + "print('E: no licence', flush=True)\n    os._exit(9)": "(exit code 9): E: no licence",
    LOAD + "return lambda images: ['words', images]": "is not an array of numbers",
    LOAD + "return lambda images: [images]": "the artifact gave 1 outputs, the float model has 2",
}


@pytest.mark.parametrize(("runtime", "said"), WRONG.items(), ids=range(len(WRONG)))
def test_what_goes_wrong_there_is_said_here_in_words(
    foreign: Callable[..., Artifact], runtime: str, said: str
) -> None:
    with pytest.raises(StepFailure, match=re.escape(said)), ended(foreign(runtime)) as artifact:
        artifact(images())


def test_an_interpreter_that_is_gone_is_said(
    tmp_path: Path, foreign: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"python": str(tmp_path / "bin/python"), "env": {}}
    monkeypatch.setenv(RUNTIME_VARIABLE, json.dumps(place))
    with pytest.raises(StepFailure, match="cannot run in the toolchain's environment"):
        foreign()


def test_an_environment_without_numpy_is_said(
    tmp_path: Path, foreign: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    place = {"python": str(tmp_path / "venv/bin/python"), "env": {}, "holder": "put it into the SDK"}
    monkeypatch.setenv(RUNTIME_VARIABLE, json.dumps(place))
    with pytest.raises(StepFailure, match="needs the package 'numpy'; put it into the SDK"):
        foreign()


PROGRAM = """
import sys
from edgebuild.steps._runtime import open_artifact
artifact = open_artifact(sys.argv[1], {"outputs": [], "batch": 1}, threads=1, runtime=sys.argv[2])
print(artifact.foreign._process.pid, flush=True)
import numpy
artifact(numpy.ones((1, 3, 4, 4), numpy.float32))
"""


def test_it_dies_with_the_step_even_in_the_middle_of_a_call(tmp_path: Path) -> None:
    (tmp_path / "model.acme").write_text("1", encoding="utf-8")
    runtime = tmp_path / "runtime.py"
    runtime.write_text("import time\nload = lambda *_: lambda images: time.sleep(600)\n", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    env |= {RUNTIME_VARIABLE: json.dumps({"python": sys.executable, "env": {"PATH": os.environ["PATH"]}})}
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path / "model.acme"), str(runtime)]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        pid = int(process.stdout.readline())
    time.sleep(0.3)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2][:4]
    except OSError:
        return False
