"""A runtime file that runs in a toolchain's own Python, while the measuring stays in ours.

Packages of vendors contradict each other and ours, so what runs their artifact often cannot be imported here.
Then a small server (:mod:`edgebuild.steps._server`) is started with the other interpreter, by its path, and
arrays go over a socket. It ends with this step, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edgebuild.process.execute import StartError, serve
from edgebuild.protocol import RUNTIME_VARIABLE
from edgebuild.steps import _server
from edgebuild.steps._step import fail

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

TAIL_LINES = 3
"""How many of the server's last lines an error repeats."""

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
        self._said: deque[str] = deque(maxlen=50)
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        self._python = str(where["python"]) or "python3"
        argv = [self._python, _server.__file__, str(theirs.fileno()), runtime]
        try:
            self._process = serve(argv, cwd=Path.cwd(), env=where["env"], keep=theirs.fileno(), stdout=writer)
        except StartError as error:
            ours.close()
            os.close(reader)
            fail(f"{runtime} cannot run in the toolchain's environment: {error}",
                 hint="`edgebuild doctor` shows the environment")  # fmt: skip
        finally:
            theirs.close()
            os.close(writer)
        self._echo = threading.Thread(target=self._repeat, args=(reader,), daemon=True)
        self._echo.start()
        self._connection = ours
        self._stream = ours.makefile("rwb")
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
        code = self._process.kill(patience)
        self._echo.join(PATIENCE)
        return code

    def _ask(self, request: dict[str, Any], *arrays: npt.NDArray[Any]) -> tuple[dict[str, Any], list[Any]]:
        answer = None
        with contextlib.suppress(OSError):
            _server.send(self._stream, request, arrays)
            answer = _server.receive(self._stream)
        if answer is None:
            self._died()
        document, found = answer
        if "error" in document:
            if document.get("missing") and "No module named" in document["error"]:
                fail(f"{self._runtime} needs the package {document['missing']!r}",
                     hint="the toolchain's requirements have to name it")  # fmt: skip
            fail(f"{self._runtime}: {document['error']}",
                 hint="its log has more; it ran in the toolchain's own environment")  # fmt: skip
        return document, found

    def _died(self) -> NoReturn:
        code = self.close(PATIENCE)
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        last = " / ".join(list(self._said)[-TAIL_LINES:])
        fail(f"{self._runtime} ended in the toolchain's environment ({how})" + (f": {last}" if last else ""),
             hint="run the artifact with the vendor's own tool to see more")  # fmt: skip

    def _repeat(self, reader: int) -> None:
        """Copy what the server prints to our standard error, which is the action's log."""
        with open(reader, "rb") as stream:
            for line in stream:
                os.write(2, line)
                self._said.append(line.decode("utf-8", "replace").strip())
