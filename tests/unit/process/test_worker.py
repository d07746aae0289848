from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import Action, Outcome, Output
from edgebuild.perform.action import perform
from edgebuild.process import execute as module
from edgebuild.process.execute import execute, stop_all
from edgebuild.process.worker import Group, NotServedError, Worker, Workers, group_of
from tests.unit.workbench import Workbench, alive, read_pid, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgebuild.process.values import Execution

REPOSITORY = Path(__file__).resolve().parents[3]

HEAVY = """
import os
with open(os.environ["LOADED"], "a") as stream:
    stream.write(f"{os.getpid()}\\n")
state = []
"""

STATE = """
import gc, json, os, signal, sys
own = {"EDGEBUILD_PROCESS", "HOME", "TMPDIR"}
with open("state.json", "w") as stream:
    json.dump({
        "argv": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
        "folder": os.getcwd(),
        "environment": {k: v for k, v in os.environ.items() if k not in own},
        "home": os.environ["HOME"],
        "name": __name__,
        "package": __package__,
        "main": sys.modules["__main__"].__dict__ is globals(),
        "flags": list(sys.flags),
        "path": sys.path,
        "hash": hash("a word"),
        "input": sys.stdin.read(),
        "encoding": sys.stdout.encoding,
        "signals": {str(n): str(signal.getsignal(n)) for n in signal.valid_signals()},
        "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "files": sorted(int(n) for n in os.listdir("/proc/self/fd"))[:-1],
        "threads": len(os.listdir("/proc/self/task")),
        "collects": gc.isenabled(),
        "umask": os.umask(0),
    }, stream)
"""

STRAYS = """
import os, subprocess, sys, time
if sys.argv[1] == "forked":
    if not os.fork():
        os.setsid()
        open("stray", "w").write(str(os.getpid()))
        time.sleep(300)
else:
    stray = subprocess.Popen(["sleep", "300"], start_new_session=True)
    open("stray", "w").write(str(stray.pid))
while not os.path.exists("stray") or not open("stray").read():
    time.sleep(0.01)
open("pid", "w").write(str(os.getpid()))
time.sleep(float(sys.argv[2]))
"""


class Place:
    """Modules to run, a worker, and where its steps run."""

    def __init__(self, folder: Path, *modules: str) -> None:
        self.folder = folder
        self.code = folder / "code"
        self.code.mkdir()
        self.module("heavy", HEAVY)
        group = Group(name="some", steps=frozenset({"some"}), modules=modules or ("heavy",))
        self.worker = Worker(group, folder / "worker")
        self.runs = 0

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{self.code}",
            "PYTHONSAFEPATH": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LOADED": str(self.folder / "loaded"),
        }

    @property
    def loaded(self) -> list[int]:
        """Processes that imported the heavy module."""
        return [int(line) for line in (self.folder / "loaded").read_text(encoding="utf-8").split()]

    def module(self, name: str, text: str) -> None:
        (self.code / f"{name}.py").write_text(text, encoding="utf-8")

    def step(self, name: str, *arguments: str, served: bool = True, **more: Any) -> Execution:
        """Run a module as ``execute`` would, in a new folder of its own."""
        self.runs += 1
        here = self.here
        here.mkdir()
        env = self.env | {"HOME": str(here), "TMPDIR": str(here)} | more.pop("env", {})
        argv = (sys.executable, "-m", name, *arguments)
        start = self.worker.start if served else None
        return execute(argv, cwd=here, env=env, log=self.log, start=start, **more)

    @property
    def here(self) -> Path:
        return self.folder / f"run{self.runs}"

    @property
    def log(self) -> Path:
        return self.folder / f"log{self.runs}"

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    @property
    def server(self) -> int:
        server = self.worker._server
        assert server is not None
        return server.pid


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.worker.close()


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.3)


def own(step: str = "evaluate", *arguments: str, action_id: str = "", **fields: Any) -> Action:
    return Action(
        id=action_id or step,
        step=step,
        argv=("python", "-m", f"edgebuild.steps.{step}", *arguments),
        inputs=(),
        outputs=(Output(role="out", path="out.txt"),),
        targets=("demo",),
        **fields,
    )


class TestWhichSteps:
    @pytest.mark.parametrize("step", ["evaluate", "detections", "export", "preprocess", "ranges", "quantize"])
    def test_steps_with_heavy_imports_have_a_group(self, step: str) -> None:
        assert group_of(own(step)) is not None

    @pytest.mark.parametrize("step", ["benchmark", "train", "package", "verdict"])
    def test_others_have_none(self, step: str) -> None:
        assert group_of(own(step)) is None

    def test_a_measurement_is_not_disturbed(self) -> None:
        assert group_of(own(machine=True)) is None

    def test_a_toolchains_own_code_meets_no_loaded_package(self) -> None:
        assert group_of(own("evaluate", "--runtime", "in/toolchain/runtime.py")) is None

    def test_a_vendors_command_has_none(self) -> None:
        action = replace(own(), argv=("atc", "-m", "edgebuild.steps.evaluate"))
        assert group_of(action) is None
        assert group_of(replace(own(), argv=("python",))) is None

    def test_no_group_loads_what_reads_the_actions_own_variables(self) -> None:
        groups = [group_of(own(step)) for step in ("evaluate", "detections", "export", "quantize")]
        modules = [name for group in groups if group for name in group.modules]
        assert modules
        assert not [name for name in modules if name.startswith(("ultralytics", "matplotlib", "edgebuild"))]

    def test_one_step_alone_is_not_worth_a_worker(self, tmp_path: Path) -> None:
        actions = [own(action_id="a/validate"), own("export")]
        with Workers(actions, tmp_path) as workers:
            assert workers.starter(actions[0]) is None
        with Workers([*actions, own(action_id="b/validate")], tmp_path) as workers:
            assert workers.starter(actions[0]) is not None
            assert workers.starter(actions[1]) is None
            assert workers.starter(own("verdict")) is None
        assert not list(tmp_path.iterdir()), "no worker was started"


class TestSameAsAProcess:
    def test_a_step_sees_what_it_would_see_alone(self, place: Place) -> None:
        place.module("look", STATE)
        seen = []
        for served in (False, True):
            done = place.step("look", "--a", "b c", served=served)
            assert done.exit_code == 0, place.text()
            state = json.loads((place.here / "state.json").read_text(encoding="utf-8"))
            assert state.pop("folder") == str(place.here)
            assert state.pop("home") == str(place.here)
            seen.append(state)
        assert seen[1] == seen[0]

    def test_the_packages_are_loaded_once(self, place: Place) -> None:
        place.module("use", "import heavy, os\nprint(os.getpid(), len(heavy.state))\nheavy.state.append(1)")
        texts = []
        for _ in range(3):
            assert place.step("use").exit_code == 0
            texts.append(place.text().split())
        assert place.loaded == [place.server]
        assert len({pid for pid, _ in texts}) == 3
        assert {count for _, count in texts} == {"0"}, "what a step changes is its own"

    @pytest.mark.parametrize(
        ("code", "ends"),
        [
            ("pass", 0),
            ("import sys; sys.exit(3)", 3),
            ("import sys; sys.exit('too bad')", 1),
            ("raise ValueError('too bad')", 1),
            ("import os; os.abort()", -signal.SIGABRT),
            ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
            ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
        ],
    )
    def test_it_ends_as_it_would_alone(self, place: Place, code: str, ends: int) -> None:
        place.module("end", f"import atexit\natexit.register(print, 'at the end')\n{code}")
        said = []
        for served in (False, True):
            assert place.step("end", served=served).exit_code == ends
            said.append([line for line in place.text().splitlines() if not line.startswith(" ")])
        assert said[1] == said[0]
        place.module("fine", "")
        assert place.step("fine").exit_code == 0, "the failure was that step's alone"

    def test_lines_reach_the_listener(self, place: Place) -> None:
        place.module("talk", "import os\nprint('@progress 1/2')\nos.system('echo two >&2')")
        lines: list[str] = []
        place.step("talk", on_line=lines.append)
        assert lines == ["@progress 1/2", "two"]
        assert place.text() == "@progress 1/2\ntwo\n"

    def test_several_at_once(self, place: Place) -> None:
        place.module("meet", "import os, sys, time\nopen(sys.argv[1] + sys.argv[2], 'w').close()\n"
                     "while not os.path.exists(sys.argv[1] + sys.argv[3]): time.sleep(0.01)")  # fmt: skip
        ends: list[int] = []
        env = place.env | {"HOME": "/", "TMPDIR": "/"}

        def one(mine: str, other: str) -> None:
            argv = (sys.executable, "-m", "meet", f"{place.folder}/", mine, other)
            log = place.folder / f"{mine}.log"
            done = execute(argv, cwd=place.folder, env=env, log=log, start=place.worker.start, timeout=60)
            ends.append(done.exit_code)

        threads = [threading.Thread(target=one, args=pair) for pair in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ends == [0, 0]
        assert len(place.loaded) == 1

    def test_random_numbers_are_not_shared(self, place: Place) -> None:
        place.module("dice", "import random, tempfile\nprint(random.random(), tempfile.mktemp())")
        said = set()
        for _ in range(2):
            place.step("dice")
            said.add(place.text())
            assert str(place.here) in place.text(), "temporary files go where the action says"
        assert len(said) == 2


class TestEnding:
    @pytest.mark.parametrize("how", ["forked", "started"])
    def test_the_limit_ends_the_whole_tree(self, place: Place, how: str) -> None:
        place.module("stray", STRAYS)
        place.step("stray", how, "0")  # so that the limit is not spent on the imports
        done = place.step("stray", how, "60", timeout=1.5)
        assert done.timed_out
        assert done.exit_code == -signal.SIGTERM
        for name in ("pid", "stray"):
            assert wait_until(lambda name=name: not alive(read_pid(place.here / name)))  # type: ignore[misc]

    @pytest.mark.parametrize("how", ["forked", "started"])
    def test_nothing_is_left_of_a_step_that_ended_well(self, place: Place, how: str) -> None:
        place.module("stray", STRAYS)
        assert place.step("stray", how, "0").exit_code == 0
        assert wait_until(lambda: not alive(read_pid(place.here / "stray")))

    def test_stopping_the_run_ends_it(self, place: Place) -> None:
        place.module("stray", STRAYS)
        place.step("stray", "forked", "0")

        def stop() -> None:
            read_pid(place.folder / "run2" / "pid")
            stop_all()

        thread = threading.Thread(target=stop)
        thread.start()
        done = place.step("stray", "forked", "60")
        thread.join()
        assert done.interrupted
        assert wait_until(lambda: not alive(read_pid(place.here / "stray")))
        assert alive(place.server), "it is the run that ends the worker"
        server = place.server
        place.worker.close()
        assert not alive(server)

    def test_everything_ends_when_edgebuild_is_killed(self, place: Place) -> None:
        place.module("stray", STRAYS)
        place.module("main", """
            import os, sys
            from pathlib import Path
            from edgebuild.process.execute import execute
            from edgebuild.process.worker import Group, Worker
            worker = Worker(Group(name="a", steps=frozenset(), modules=("heavy",)), Path("worker"))
            argv = [sys.executable, "-m", "stray", "forked", "60"]
            execute(argv, cwd=Path.cwd(), env=dict(os.environ), log=Path("log"), start=worker.start)
            """.replace("\n            ", "\n"))  # fmt: skip
        run = subprocess.Popen([sys.executable, "-m", "main"], cwd=place.folder, env=place.env)
        pids = [read_pid(place.folder / name) for name in ("pid", "stray")]
        pids += place.loaded
        assert all(map(alive, pids))
        run.kill()
        run.wait()
        assert wait_until(lambda: not any(map(alive, pids)))


class TestFallingBack:
    def refused(self, place: Place, match: str, **more: Any) -> None:
        place.module("fine", "open('ran', 'w').close()")
        with pytest.raises(NotServedError, match=match):
            place.step("fine", **more)
        assert not (place.here / "ran").exists()

    def test_a_package_that_is_not_there(self, tmp_path: Path) -> None:
        place = Place(tmp_path, "heavy", "absent")
        self.refused(place, "No module named 'absent'")
        self.refused(place, "No module named 'absent'")
        assert len(place.loaded) == 1, "it is not tried again"

    def test_a_package_that_starts_a_thread(self, tmp_path: Path) -> None:
        place = Place(tmp_path, "threads")
        place.module("threads", "import threading, time\n"
                     "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")  # fmt: skip
        self.refused(place, "2 threads run after the imports")
        assert place.worker._server is None

    def test_a_package_that_ends_the_worker(self, tmp_path: Path) -> None:
        place = Place(tmp_path, "ends")
        place.module("ends", "import os; os._exit(0)")
        self.refused(place, "the worker is gone")

    def test_another_environment(self, place: Place) -> None:
        place.module("fine", "")
        assert place.step("fine").exit_code == 0
        self.refused(place, "environment", env={"OMP_NUM_THREADS": "3"})
        assert place.step("fine").exit_code == 0

    def test_a_request_that_is_too_long(self, place: Place) -> None:
        place.module("fine", "")
        with pytest.raises(NotServedError, match="too long"):
            place.step("fine", *(["x" * 1000] * 1000))
        assert place.step("fine").exit_code == 0

    def test_a_folder_that_is_not_there(self, place: Place) -> None:
        place.module("fine", "")
        place.step("fine")
        argv, env = (sys.executable, "-m", "fine"), place.env
        with pytest.raises(NotServedError, match="No such file"):
            execute(argv, cwd=place.folder / "absent", env=env, log=place.log, start=place.worker.start)
        assert place.step("fine").exit_code == 0

    def test_a_worker_that_dies_takes_the_step_with_it(self, place: Place) -> None:
        place.module("stray", STRAYS)
        place.step("stray", "forked", "0")

        def kill() -> None:
            read_pid(place.folder / "run2" / "pid")
            os.kill(place.server, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(NotServedError, match="the worker is gone"):
            place.step("stray", "forked", "60")
        thread.join()
        for name in ("pid", "stray"):
            assert not alive(read_pid(place.here / name))
        self.refused(place, "the worker is gone|Broken pipe")
        self.refused(place, "the worker is gone|Broken pipe")


class TestPerform:
    def action(self) -> Action:
        return replace(own(), argv=("python", "-c", "open('out/out.txt', 'w').write('x')"))

    def test_what_no_worker_serves_is_a_process(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = Place(bench.folder, "absent")
        workers = Workers((), bench.folder)
        monkeypatch.setattr(workers, "starter", lambda _: place.worker.start)
        result = perform(self.action(), {}, replace(bench.context(), workers=workers))
        assert result.outcome is Outcome.RAN, result.message
        log = (bench.workspace / result.log).read_text(encoding="utf-8")
        # Whether the worker says why before it is gone is a matter of timing.
        assert re.search(
            r"^# not in a worker after all \((the worker is gone|.*'absent')\): a process", log, re.MULTILINE
        )

    def test_a_step_that_was_begun_starts_over_in_a_clean_directory(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def begin(argv: object, *, cwd: Path, env: object) -> Any:
            del argv, env
            (cwd / "out").mkdir(exist_ok=True)
            (cwd / "out" / "half").touch()
            raise NotServedError("it died")

        script = "import os; open('out/out.txt', 'w').write(str(os.listdir('out')))"
        workers = Workers((), bench.folder)
        monkeypatch.setattr(workers, "starter", lambda _: begin)
        action = replace(own(), argv=("python", "-c", script))
        context = replace(bench.context(), workers=workers)
        result = perform(action, {}, context)
        assert result.outcome is Outcome.RAN, result.message
        assert [blob.read_text(encoding="utf-8") for blob in bench.blobs()] == ["['out.txt']"]
