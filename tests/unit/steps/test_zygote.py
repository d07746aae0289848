from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import Action
from edgebuild.perform.attempt import environment
from edgebuild.process.execute import execute
from edgebuild.process.tree import MARKER
from edgebuild.process.worker import GROUPS, Worker
from tests.unit.steps.fixtures_evaluate import evaluate_arguments, write_case
from tests.unit.workbench import alive, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[3]

SPY = """
import atexit, json, runpy, sys
module = sys.argv.pop(1)
@atexit.register
def look():
    with open("modules.json", "w") as stream:
        json.dump(sorted(sys.modules), stream)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class Zygote:
    """The program, spoken to directly."""

    def __init__(self, folder: Path, *modules: str) -> None:
        self.folder = folder
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(60)
        self.env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}"}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgebuild.steps._zygote", str(theirs.fileno()), *modules],
                env=self.env | {MARKER: "mark-0"},
                pass_fds=(theirs.fileno(),),
            )

    def hear(self, channel: socket.socket | None = None) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads((channel or self.control).recv(1 << 16))
        return heard

    def ask(self, module: str, *, mark: str = "mark-1") -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(60)
        request = {
            "argv": ["python", "-m", module],
            "cwd": str(self.folder),
            "env": self.env | {MARKER: mark},
        }
        with theirs, (self.folder / "output").open("ab") as sink:
            socket.send_fds(self.control, [json.dumps(request).encode()], [theirs.fileno(), sink.fileno()])
        return ours

    def close(self) -> None:
        self.control.close()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    (tmp_path / "sleeps.py").write_text("import time\ntime.sleep(60)", encoding="utf-8")
    (tmp_path / "ends.py").write_text("raise SystemExit(7)", encoding="utf-8")
    made = Zygote(tmp_path, "json")
    assert made.hear() == {"ready": True}
    yield made
    made.close()


class TestProtocol:
    def begun(self, zygote: Zygote, channel: socket.socket) -> int:
        said = zygote.hear(channel) | zygote.hear(channel)
        assert said.pop("begun") is True
        return int(said.pop("pid"))

    def test_a_dead_process_keeps_its_number_until_it_is_buried(self, zygote: Zygote) -> None:
        with zygote.ask("ends") as channel:
            pid = self.begun(zygote, channel)
            assert zygote.hear(channel) == {"ended": True}
            assert Path(f"/proc/{pid}").exists()
            channel.send(b"bury")
            assert zygote.hear(channel) == {"exit_code": 7}
            assert not Path(f"/proc/{pid}").exists()

    def test_burying_may_be_asked_for_before_the_end(self, zygote: Zygote) -> None:
        with zygote.ask("sleeps") as channel:
            pid = self.begun(zygote, channel)
            channel.send(b"bury")
            os.kill(pid, signal.SIGKILL)
            assert zygote.hear(channel) == {"ended": True}
            assert zygote.hear(channel) == {"exit_code": -signal.SIGKILL}

    def test_who_closes_a_channel_wants_its_process_dead(self, zygote: Zygote) -> None:
        other = zygote.ask("sleeps")
        stays = self.begun(zygote, other)
        with zygote.ask("sleeps", mark="mark-2") as channel:
            pid = self.begun(zygote, channel)
        assert wait_until(lambda: not Path(f"/proc/{pid}").exists())
        assert alive(stays)
        other.close()

    def test_the_end_of_the_control_socket_ends_everything(self, zygote: Zygote) -> None:
        with zygote.ask("sleeps") as channel:
            pid = self.begun(zygote, channel)
            zygote.close()
            assert zygote.process.returncode == 0
            assert wait_until(lambda: not alive(pid))

    def test_a_request_without_its_descriptors_is_the_end(self, zygote: Zygote) -> None:
        zygote.control.send(b"{}")
        assert zygote.process.wait(60) == 0

    def test_a_marker_that_does_not_fit_is_refused(self, zygote: Zygote) -> None:
        with zygote.ask("ends", mark="longer-than-before") as channel:
            said = zygote.hear(channel) | zygote.hear(channel)
            assert "marker" in said["refused"]
        with zygote.ask("ends") as channel:
            self.begun(zygote, channel)

    def test_the_marker_can_be_seen_from_outside(self, zygote: Zygote) -> None:
        with zygote.ask("sleeps", mark="mark-9") as channel:
            pid = self.begun(zygote, channel)
            assert f"{MARKER}=mark-9".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            theirs = Path(f"/proc/{zygote.process.pid}/environ").read_bytes().split(b"\0")
            assert f"{MARKER}=mark-0".encode() in theirs

    def test_an_import_that_fails_is_said(self, tmp_path: Path) -> None:
        made = Zygote(tmp_path, "json", "no_such_package")
        assert "no_such_package" in made.hear()["refused"]
        assert made.process.wait(60) == 0
        made.close()


@pytest.fixture(scope="module")
def inputs(
    tmp_path_factory: pytest.TempPathFactory,
    exported: Path,
    build_detector: Callable[..., Any],
    run_step_at: Callable[..., subprocess.CompletedProcess[str]],
) -> tuple[Path, dict[str, list[str]]]:
    """A folder with what the steps read, and the arguments of each."""
    np = pytest.importorskip("numpy")
    folder = tmp_path_factory.mktemp("inputs")
    info = write_case(folder)
    shutil.copy(exported.parent / "yolo11n.pt", folder / "in/weights.pt")
    metadata = {"task": "detect", "names": "{0: 'a', 1: 'b'}"}
    (folder / "in/model.onnx").write_bytes(build_detector(metadata=metadata).SerializeToString())
    np.save(folder / "in/t.npy", np.random.default_rng(0).random((8, 3, 8, 8), dtype=np.float32))
    model = ["--artifact", "in/artifact/model.onnx", "--info", "in/info/model.json"]
    arguments = {
        "evaluate": evaluate_arguments(info),
        "detections": [*model, "--validation", "in/validation", "--output", "out/detections.json"],
        "export": ["--weights", "in/weights.pt", "--task", "detect", "--imgsz", "64", "64", "--simplify",
                   "--model", "out/model.onnx", "--info", "out/model.json"],
        "preprocess": ["--model", "in/model.onnx", "--output", "out/p.onnx"],
        "ranges": ["--model", "in/p.onnx", "--tensors", "in/t.npy", "--output", "out/r.json"],
        "quantize": ["--model", "in/p.onnx", "--ranges", "in/r.json", "--per-channel",
                     "--keep-float", "decode", "last", "--output", "out/q.onnx", "--report", "out/q.json"],
        "sensitivity": ["--model", "in/p.onnx", "--ranges", "in/r.json", "--tensors", "in/t.npy",
                        "--block", "in/block.json", "--keep-float", "decode", "last",
                        "--output", "out/s.json"],
    }  # fmt: skip
    for step, left in (("preprocess", "p.onnx"), ("ranges", "r.json")):
        done = run_step_at(folder, step, *arguments[step])
        assert done.returncode == 0, done.stderr
        shutil.copy(folder / "out" / left, folder / "in" / left)
    nodes = pytest.importorskip("onnx").load(folder / "in/p.onnx").graph.node
    first = next(node.name for node in nodes if node.op_type == "Conv")
    (folder / "in/block.json").write_text(json.dumps([first]), encoding="utf-8")
    shutil.rmtree(folder / "out")
    (folder / "code").mkdir()
    (folder / "code/spy.py").write_text(SPY, encoding="utf-8")
    return folder, arguments


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def said(folder: Path) -> str:
    """Return the log without what no two runs share: the folder, and seconds."""
    text = (folder / "log").read_text(encoding="utf-8").replace(str(folder), "HERE")
    return re.sub(r"\b[0-9.]+ ?s\b", "SECONDS", text)


def foreign(folder: Path) -> set[str]:
    """Return the modules that a step had loaded at its end and that are neither Python's nor ours."""
    loaded = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    ours = {"edgebuild", "spy", "_virtualenv", "__main__", *sys.stdlib_module_names}
    return {name for name in loaded if name.partition(".")[0] not in ours}


@pytest.mark.yolo
@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_worker_changes_no_byte(
    group: Any, inputs: tuple[Path, dict[str, list[str]]], tmp_path: Path
) -> None:
    source, arguments = inputs
    worker = Worker(group, tmp_path / "worker")
    action = Action(
        id="a", step="a", argv=("python", "-m", "edgebuild.steps.a"), inputs=(), outputs=(), targets=("t",)
    )
    try:
        for step in sorted(group.steps):
            places: list[Path] = []
            # Twice by the worker: the second time shows what the first has left behind.
            for served in (False, True, True):
                place = tmp_path / f"{step}{len(places)}"
                shutil.copytree(source / "in", place / "in")
                (place / "tmp").mkdir()
                env = environment(action, place, os.environ)
                env["PYTHONPATH"] += f"{os.pathsep}{source / 'code'}"
                done = execute(
                    [sys.executable, "-m", "spy", f"edgebuild.steps.{step}", *arguments[step]],
                    cwd=place, env=env, log=place / "log", start=worker.start if served else None,
                )  # fmt: skip
                assert done.exit_code == 0, (place / "log").read_text(encoding="utf-8")
                places.append(place)
            alone, *others = places
            assert files(alone / "out")
            for place in others:
                assert files(place / "out") == files(alone / "out")
                # A package may do something else because another one is loaded.
                assert foreign(place) == foreign(alone)
                assert said(place) == said(alone)
                assert {p.name for p in place.iterdir()} == {p.name for p in alone.iterdir()}
    finally:
        worker.close()
