"""Warm workers: our own steps, without importing their heavy packages anew for each of them.

A worker is a program of ours (:mod:`edgebuild.steps._zygote`) that imports the packages which a group of
steps needs and then splits off one process per request, so four validations load torch once. The process is
asked for with the argv, directory and environment that a plain one would get, and
:mod:`edgebuild.process.execute` follows it as it follows any other. Whatever goes wrong before the step has
begun, or with the worker itself, is a :class:`NotServedError`: the caller then starts a plain process.
docs/worker.md says what is shared.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Self

from edgebuild.process.execute import serve, stopping
from edgebuild.process.tree import MARKER

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from edgebuild.action import Action
    from edgebuild.process.execute import Server
    from edgebuild.process.values import Start

READY_SECONDS = 600.0
"""How long the imports may take; a plain process has no such limit, but it has no one waiting behind it."""

ANSWER_SECONDS = 60.0
"""How long a worker may take to split off a process, or to say how a dead one ended."""

MESSAGE_BYTES = 1 << 20

PER_ACTION = frozenset({"HOME", "TMPDIR", "YOLO_CONFIG_DIR"})
"""Variables that name the action's own directory: no package in a group reads them while it is imported."""


class NotServedError(Exception):
    """A worker could not serve a request, or died while it did; what was begun has been killed."""


class _LostError(NotServedError):
    """The worker is gone, or as good as gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Steps that import the same heavy packages.

    Attributes:
        name: What it is called in messages.
        steps: Names of the step programs.
        modules: What to import, in the order in which the steps do it. Nothing that a step of the group
            would not import itself: packages look at what is loaded (Ultralytics picks its NMS so). Never
            Ultralytics: it reads the action's own variables while it is imported, and costs next to nothing.
        settings: Variables that the steps' own first import sets before it imports these.
    """

    name: str
    steps: frozenset[str]
    modules: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


GROUPS = (
    Group(
        name="evaluate",
        steps=frozenset({"evaluate"}),
        modules=("onnxruntime", "torch", "torchvision"),
    ),
    Group(
        name="export",
        steps=frozenset({"export"}),
        modules=("torch", "onnx"),
        settings={"OMP_NUM_THREADS": "1"},  # Ultralytics, the first thing that the step imports, sets it
    ),
    Group(
        name="onnx",
        steps=frozenset({"preprocess", "ranges", "quantize", "sensitivity"}),
        modules=("onnx", "onnxruntime.quantization"),
    ),
    Group(name="detections", steps=frozenset({"detections"}), modules=("onnxruntime", "cv2")),
)


def group_of(action: Action) -> Group | None:
    """Return the group that may serve an action, or None: measurements and vendors' code stay alone."""
    package, _, step = action.program.rpartition(".")
    if package != "edgebuild.steps" or action.machine or action.resumable or "--runtime" in action.argv:
        return None
    return next((group for group in GROUPS if step in group.steps), None)


class Workers:
    """The workers of one run: each is started when it is first needed, and ends with the run.

    Args:
        actions: What the run may come to do. A group that has a single action in it needs no worker.
        folder: Directory for what workers need while they import; made when needed.
    """

    def __init__(self, actions: Iterable[Action], folder: Path) -> None:
        groups = [group for group in map(group_of, actions) if group]
        counts = Counter(group.name for group in groups)
        several = {group.name: group for group in groups if counts[group.name] > 1}
        self._workers = {name: Worker(group, folder / name) for name, group in several.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.close()

    def starter(self, action: Action) -> Start | None:
        """Return what starts the action's process in place of a plain start, or None where nothing does."""
        group = group_of(action)
        worker = self._workers.get(group.name) if group else None
        return worker.start if worker else None


class Worker:
    """One worker program; safe to use from several threads."""

    def __init__(self, group: Group, folder: Path) -> None:
        self._group = group
        self._folder = folder
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._control: socket.socket | None = None
        self._common: dict[str, str] = {}
        self._refused = ""

    def start(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Served:
        """Split off a process that runs ``argv``.

        Raises:
            NotServedError: It could not be; nothing of it has run.
        """
        control = self._ready(argv[0], env)
        try:
            return _split_off(control, argv, cwd, env)
        except (_LostError, ConnectionError) as error:
            with self._lock:
                self._end(str(error))
            raise NotServedError(str(error)) from error
        except OSError as error:  # such as a request that is too long for one message
            raise NotServedError(str(error)) from error

    def close(self) -> None:
        """End the worker and everything it split off."""
        with self._lock:
            self._end("the run is over")

    def _ready(self, python: str, env: Mapping[str, str]) -> socket.socket:
        """Return the way to the worker, started if need be; its environment must be that of the request."""
        common = {name: value for name, value in env.items() if name not in PER_ACTION}
        common.pop(MARKER, None)
        with self._lock:
            if self._control is None and not self._refused:
                self._common = common
                self._begin(python)
            if self._control is None:
                raise NotServedError(self._refused)
            if common != self._common:
                raise NotServedError("its environment is another than that of the worker")
            return self._control

    def _begin(self, python: str) -> None:
        import socket  # noqa: PLC0415 - a run that serves nothing needs none

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [python, "-m", "edgebuild.steps._zygote", str(theirs.fileno()), *self._group.modules]
        env = {**self._common, **dict.fromkeys(PER_ACTION, str(self._folder)), **self._group.settings}
        self._control = ours
        try:
            with theirs:  # only the worker holds it on: when that dies, the other end is seen to close
                self._folder.mkdir(parents=True, exist_ok=True)
                self._server = serve(argv, cwd=self._folder, env=env, keep=theirs.fileno())
            answer = _answer(ours, READY_SECONDS)
        except (OSError, NotServedError) as error:
            self._end(str(error))
        else:
            if answer.get("ready") is not True:
                self._end(str(answer.get("refused", answer)))

    def _end(self, why: str) -> None:
        self._refused = self._refused or why
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is not None:
            self._server.kill()
            self._server = None


class Served:
    """A process that a worker split off, as :func:`edgebuild.process.execute.execute` wants to see it."""

    def __init__(self, pid: int, stdout: IO[bytes], channel: socket.socket) -> None:
        self.pid = pid
        self.stdout = stdout
        self._channel = channel

    def wait(self) -> int:
        """Have the dead process buried and return its exit code.

        Raises:
            NotServedError: The worker is gone, and with it how the process ended.
        """
        with self._channel:
            try:
                self._channel.send(b"bury")
                said: dict[str, Any] = {}
                while "exit_code" not in said:
                    said = _answer(self._channel, ANSWER_SECONDS, patient=True)
                return int(said["exit_code"])
            except OSError as error:
                raise NotServedError(f"the worker is gone: {error.strerror}") from error


def _split_off(control: socket.socket, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Served:
    """Ask for a process and wait until it has begun."""
    import socket  # noqa: PLC0415 - likewise

    request = json.dumps({"argv": list(argv), "cwd": str(cwd), "env": dict(env)}).encode()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    try:
        try:
            socket.send_fds(control, [request], [theirs.fileno(), writer])
        finally:
            theirs.close()
            os.close(writer)
        pid = _begun(ours)
    except BaseException:
        ours.close()  # the worker takes it as: nobody wants that process any more
        os.close(reader)
        raise
    return Served(pid, open(reader, "rb", buffering=0), ours)  # noqa: PTH123 - a file descriptor


def _begun(channel: socket.socket) -> int:
    """Wait until the worker has named the process and the process itself is all set; return its number."""
    said: dict[str, Any] = {}
    while not {"pid", "begun"} <= said.keys():
        said |= _answer(channel, ANSWER_SECONDS)
        if "refused" in said or "ended" in said:
            raise NotServedError(str(said.get("refused", "the process died before it began")))
    return int(said["pid"])


def _answer(channel: socket.socket, seconds: float, *, patient: bool = False) -> dict[str, Any]:
    """Return the next message of a channel.

    Args:
        channel: The socket.
        seconds: How long to wait for it.
        patient: Wait although the run is being stopped.

    Raises:
        NotServedError: None came, because the other end is gone, too slow, or the run is being stopped.
    """
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while not poll.poll(200):
        if stopping() and not patient:
            raise NotServedError("the run is being stopped")
        if time.monotonic() > deadline:
            raise _LostError(f"the worker did not answer within {seconds:g} s")
    data = b""
    with contextlib.suppress(ConnectionError):
        data = channel.recv(MESSAGE_BYTES)
    if not data:
        raise _LostError("the worker is gone")
    answer: dict[str, Any] = json.loads(data)
    return answer
