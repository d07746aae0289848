"""Import heavy packages once, then become any number of steps: ``python -m edgebuild.steps._zygote``.

The program behind :mod:`edgebuild.process.worker`. It imports the modules it is told to and waits on a
socket. For each request it forks; the child takes on the directory, the environment, the output and the
process marker asked for and goes on as ``python -m MODULE ARGUMENTS...`` would, down to how the interpreter
ends. The parent stays as it was: it imports nothing more and starts no thread, so every child begins from one
state.

Messages are JSON, one per datagram. On the control socket: ``{"ready": true}`` or ``{"refused": why}`` from
here, then requests ``{"argv", "cwd", "env"}`` with two file descriptors, a channel and an output. On a
channel: ``{"pid"}`` from here, ``{"begun": true}`` or ``{"refused": why}`` from the child, when it is dead
``{"ended": true}``, and after ``bury`` from the other side ``{"exit_code"}``. Who closes a channel wants its
child dead; who closes the control socket, or dies, wants everything dead.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.process.tree import MARKER, kill_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

PR_SET_PDEATHSIG = 1

REQUEST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A process that somebody wants.

    Attributes:
        argv: Interpreter, ``-m``, module, arguments.
        cwd: Working directory.
        env: The whole environment, with the process marker.
        channel: Where to tell what becomes of it.
        output: File descriptor of both output streams.
    """

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    channel: socket.socket
    output: int


@dataclass(kw_only=True, slots=True)
class Child:
    """A process that was split off, from the parent's side.

    Attributes:
        pid: Its number, not given to another process until it is buried.
        pidfd: Readable when it is dead.
        mark: Value of its process marker.
        channel: To whoever asked for it.
        dead: It has ended.
        wanted: How it ended has been asked for.
    """

    pid: int
    pidfd: int
    mark: str
    channel: socket.socket
    dead: bool = False
    wanted: bool = False


def main(argv: Sequence[str]) -> Request | None:
    """Import, say so, and serve; return in each child what it has to become, and None at the end.

    Args:
        argv: File descriptor of the control socket, then names of modules.
    """
    control = socket.socket(fileno=int(argv[0]))
    control.set_inheritable(False)
    try:
        for name in argv[1:]:
            importlib.import_module(name)
        problem = unsafe()
    except Exception as error:  # noqa: BLE001 - importing runs anything; a plain process will show it all
        problem = f"{type(error).__name__}: {error}"
    if problem:
        _tell(control, {"refused": problem[:4000]})
        return None
    gc.collect()
    gc.freeze()  # no collection in a child looks at, and so copies, what is shared
    _tell(control, {"ready": True})
    return Zygote(control).serve()


def unsafe() -> str:
    """Return why this process must not be forked, or an empty string."""
    # OpenBLAS starts threads when it is loaded. It ends them before a fork and starts them again when they
    # are next needed, so after one fork, of a child that does nothing, only our own thread is left.
    if not (pid := os.fork()):
        os._exit(0)
    os.waitpid(pid, 0)
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - a count is all
    torch = sys.modules.get("torch")
    if threads != 1:
        return f"{threads} threads run after the imports"
    if torch is not None and torch.cuda.is_initialized():
        return "CUDA was initialised by the imports"
    return ""


class Zygote:
    """The parent's loop."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, Child] = {}  # by the descriptors of channel and pidfd
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> Request | None:
        """Serve until nobody is left to serve; in a child, return what it has to become."""
        while True:
            for number, _ in self._poll.poll():
                if number != self._control.fileno():
                    self._attend(number)
                    continue
                request = _receive(self._control)
                if request is None:
                    self._end()
                    return None
                if self._split(request):
                    return request

    def _split(self, request: Request) -> bool:
        """Fork; return True in the child, set up."""
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            self._become(request, parent)
            return True
        os.close(request.output)
        child = Child(
            pid=pid, pidfd=os.pidfd_open(pid), mark=request.env.get(MARKER, ""), channel=request.channel
        )
        for number in (child.pidfd, child.channel.fileno()):
            self._children[number] = child
            self._poll.register(number, select.POLLIN)
        _tell(child.channel, {"pid": pid})
        return False

    def _become(self, request: Request, parent: int) -> None:
        """Turn this child into the process that was asked for; on any failure tell why and vanish."""
        try:
            self._forget()
            set_up(request, parent)
            _tell(request.channel, {"begun": True})
            request.channel.close()
        except BaseException as error:  # noqa: BLE001 - the parent's loop must never go on in a child
            with contextlib.suppress(BaseException):
                _tell(request.channel, {"refused": f"{type(error).__name__}: {error}"})
            os._exit(1)

    def _forget(self) -> None:
        """Close what is the parent's business: other children must see its end, not this child's."""
        self._control.close()
        for number in self._children:
            os.close(number)
        for child in self._children.values():
            child.channel.detach()

    def _attend(self, number: int) -> None:
        """Deal with a dead child, or with what was said on a channel."""
        child = self._children.get(number)
        if child is None:  # put away by an earlier event of the same round
            return
        if number == child.pidfd:
            child.dead = True
            self._poll.unregister(number)
            _tell(child.channel, {"ended": True})
        elif _is_closed(child.channel):
            kill_tree(child.pid, child.mark)
            self._bury(child)
            return
        else:
            child.wanted = True
        if child.dead and child.wanted:
            self._bury(child)

    def _bury(self, child: Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        _tell(child.channel, {"exit_code": os.waitstatus_to_exitcode(status)})
        for number in (child.pidfd, child.channel.fileno()):
            with contextlib.suppress(KeyError):
                self._poll.unregister(number)
            del self._children[number]
        os.close(child.pidfd)
        child.channel.close()

    def _end(self) -> None:
        """Kill what is left, strays included; their parent ends with us, so nobody need bury them."""
        for child in {child.pid: child for child in self._children.values()}.values():
            kill_tree(child.pid, child.mark)


def set_up(request: Request, parent: int) -> None:
    """Make this process what a plain start would have made of it.

    Args:
        request: What is wanted.
        parent: The process that forked this one.

    Raises:
        OSError: The directory is not there.
        RuntimeError: The parent died meanwhile, or the process marker cannot be changed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise RuntimeError("the worker is gone")
    os.setsid()
    change_mark(libc, request.env[MARKER])
    os.environ.clear()
    os.environ.update(request.env)
    os.chdir(request.cwd)
    for number in (1, 2):
        os.dup2(request.output, number)
    os.close(request.output)
    tempfile.tempdir = None  # it is remembered from the environment
    atexit.register(gc.unfreeze)  # the interpreter's last collection is for everything
    if "numpy.random" in sys.modules:  # Python's own generator is seeded anew by fork itself
        sys.modules["numpy.random"].seed()


def change_mark(libc: Any, mark: str) -> None:
    """Write the process marker where others see it: into the environment that the kernel shows of us.

    Raises:
        RuntimeError: It is not there, or has not the same length.
    """
    libc.getenv.restype = ctypes.c_void_p
    place = libc.getenv(MARKER.encode())
    old, new = os.environ[MARKER].encode(), mark.encode()
    if not place or len(old) != len(new):
        raise RuntimeError("the process marker cannot be changed")
    ctypes.memmove(place, new, len(new))
    if f"{MARKER}={mark}".encode() not in Path("/proc/self/environ").read_bytes().split(b"\0"):
        raise RuntimeError("the process marker cannot be seen")


def _receive(control: socket.socket) -> Request | None:
    """Return the next request, or None when no more can come."""
    data, numbers, _, _ = socket.recv_fds(control, REQUEST_BYTES, 2)
    if len(numbers) != 2:
        return None
    said = json.loads(data)
    return Request(
        argv=tuple(said["argv"]),
        cwd=said["cwd"],
        env=said["env"],
        channel=socket.socket(fileno=numbers[0]),
        output=numbers[1],
    )


def _tell(channel: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # whoever asked may be gone, which the loop will notice
        channel.send(json.dumps(message).encode())


def _is_closed(channel: socket.socket) -> bool:
    try:
        return not channel.recv(64)
    except OSError:
        return True


def step_in(request: Request) -> None:
    """Go on as ``python -m MODULE ARGUMENTS...``; the interpreter ends as that says."""
    sys.argv = [request.argv[0], *request.argv[3:]]
    runpy.run_module(request.argv[2], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    wanted = main(sys.argv[1:])
    if wanted is not None:
        step_in(wanted)
    else:
        os._exit(0)  # nothing of the imported packages needs an orderly end
