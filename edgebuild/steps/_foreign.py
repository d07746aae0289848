"""A runtime file that runs in a toolchain's own Python, while the measuring stays in ours.

Packages of vendors contradict each other and ours, so what runs their artifact often cannot be imported here.
Then a small server (:mod:`edgebuild.steps._server`) is started with the other interpreter, by its path, and
arrays go over a socket. It ends with this step, however that ends.

In a container nothing can be inherited from us: there the server connects to a socket in the directory that
both sides see.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edgebuild.process.engine import engine_failure
from edgebuild.process.execute import StartError, serve
from edgebuild.protocol import EXIT_MISSING, RUNTIME_VARIABLE
from edgebuild.steps import _server
from edgebuild.steps._step import StepFailure, fail

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from edgebuild.process.execute import Server

TAIL_LINES = 3
"""How many of the server's last lines an error repeats."""

SHARED = Path("tmp")
"""Folder of a step that its container sees too, and may write to."""

PATIENCE = 5.0
"""Seconds that a server which has closed its connection gets to end by itself."""


def place() -> dict[str, Any] | None:
    """Return where a runtime file has to run, or None: in this process."""
    text = os.environ.get(RUNTIME_VARIABLE)
    return json.loads(text) if text else None


class Foreign:
    """An artifact that another Python has loaded; called like any other.

    Attributes:
        load_ms: How long the runtime took to load it, without the start of its process.
        memory: What the kernel said of that process after a measurement: the text of its ``status`` file.
    """

    def __init__(
        self, where: Mapping[str, Any], runtime: str, artifact: str, info: Mapping[str, Any], threads: int
    ) -> None:
        """Start the server and have it load the artifact.

        Raises:
            StepFailure: It cannot be started, or its runtime cannot load the artifact.
        """
        self._runtime = runtime
        self._contained = "container" in where
        self._holder = where.get("holder", "")
        self._said: deque[str] = deque(maxlen=50)
        reader, writer = os.pipe()
        try:
            begin = _in_container if self._contained else _beside
            self._process, self._connection = begin(where, runtime, writer)
        except StartError as error:
            os.close(reader)
            fail(f"{runtime} cannot run in the toolchain's environment: {error}",
                 hint="`edgebuild doctor` shows the environment")  # fmt: skip
        finally:
            os.close(writer)
        self._echo = threading.Thread(target=self._repeat, args=(reader,), daemon=True)
        self._echo.start()
        self._stream = self._connection.makefile("rwb")
        request = {"do": "load", "artifact": artifact, "info": dict(info), "threads": threads}
        self.memory = ""
        try:
            self.load_ms = float(self._ask(request)[0]["load_ms"])
        except BaseException:
            self.close()
            raise

    def __call__(self, images: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Run a batch of images."""
        return self._ask({"do": "run"}, images)[1]

    def measure(
        self, images: npt.NDArray[np.float32], *, warmup: int, runs: int, seconds_limit: float | None
    ) -> list[float]:
        """Time a batch of images inside the server; milliseconds per call."""
        request = {"do": "measure", "warmup": warmup, "runs": runs, "limit": seconds_limit}
        answer, _ = self._ask(request, images)
        self.memory = str(answer["memory"])
        return [float(sample) for sample in answer["samples"]]

    def close(self, patience: float = 0.0) -> int:
        """End the server, at once or after some seconds to end by itself; return its exit code."""
        with contextlib.suppress(OSError):
            self._stream.close()
        self._connection.close()
        # What a container printed last is still on its way through the engine.
        code = self._process.kill(max(patience, PATIENCE) if self._contained else patience)
        self._echo.join(PATIENCE)
        return code

    def _ask(self, request: dict[str, Any], *arrays: npt.NDArray[Any]) -> tuple[dict[str, Any], list[Any]]:
        answer = None
        with contextlib.suppress(OSError):
            _server.send(self._stream, request, arrays)
        # One that ended before it was asked has said why.
        with contextlib.suppress(OSError):
            answer = _server.receive(self._stream)
        if answer is None:
            self._died()
        document, found = answer
        if "error" in document:
            if document.get("missing") and "No module named" in document["error"]:
                fail(f"{self._runtime} needs the package {document['missing']!r}", hint=self._holder)
            fail(f"{self._runtime}: {document['error']}",
                 hint="its log has more; it ran in the toolchain's own environment")  # fmt: skip
        return document, found

    def _died(self) -> NoReturn:
        code = self.close(PATIENCE)
        # An engine tells of a signal as a shell does.
        code = 128 - code if self._contained and code > 128 else code
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        last = " / ".join(list(self._said)[-TAIL_LINES:])
        words = engine_failure(code, "\n".join(self._said)) if self._contained else ""
        if words:
            hint = "`edgebuild doctor` shows the toolchain"
            raise StepFailure(f"no container for {self._runtime}: {words}", hint=hint, exit_code=EXIT_MISSING)
        fail(f"{self._runtime} ended in the toolchain's environment ({how})" + (f": {last}" if last else ""),
             hint="run the artifact with the vendor's own tool to see more")  # fmt: skip

    def _repeat(self, reader: int) -> None:
        """Copy what the server prints to our standard error, which is the action's log."""
        with open(reader, "rb") as stream:
            for line in stream:
                os.write(2, line)
                self._said.append(line.decode("utf-8", "replace").strip())


def _beside(where: Mapping[str, Any], runtime: str, output: int) -> tuple[Server, socket.socket]:
    """Start the server in another Python of this machine; return it and our end of the connection."""
    ours, theirs = socket.socketpair()
    argv = [str(where["python"]) or "python3", _server.__file__, str(theirs.fileno()), runtime]
    with theirs:
        try:
            process = serve(argv, cwd=Path.cwd(), env=where["env"], keep=theirs.fileno(), stdout=output)
        except StartError:
            ours.close()
            raise
    return process, ours


def _in_container(where: Mapping[str, Any], runtime: str, output: int) -> tuple[Server, socket.socket]:
    """Start the server in a container and wait until it has connected, or is known not to.

    The container is named by whoever started this step, and removed by it when the step has ended.
    """
    program, address = SHARED / "runtime_server.py", SHARED / "runtime.socket"
    shutil.copyfile(_server.__file__, program)
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(1)
        argv = [*where["container"], str(program), str(address), runtime]
        # Elsewhere: what works in a step's directory is killed with it, and the engine has to clean up.
        process = serve(argv, cwd=Path("/"), env=where["env"], stdout=output)
        return process, _accepted(listener, process.pid)


def _accepted(listener: socket.socket, pid: int) -> socket.socket:
    """Return the first connection; when the process ends without one, one that is closed."""
    ended = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(ended, select.POLLIN)
    try:
        if listener.fileno() in dict(poll.poll()):
            return listener.accept()[0]
    finally:
        os.close(ended)
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours
