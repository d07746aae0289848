"""Runs a toolchain's runtime file in another Python and answers: ``python _server.py SOCKET FILE``.

SOCKET is the number of a connected one that it inherits, or the path of one to connect to.

That Python need not have edgebuild: this program uses the standard library and NumPy alone, and is started by
its path. It keeps to what Python 3.8 understands. :mod:`edgebuild.steps._foreign` is the other end.

A message is the length of a JSON document (8 bytes, big-endian), the document, and the bytes of the arrays
whose types and shapes the document's ``arrays`` lists.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    class Stream(Protocol):
        """Both directions of a connection."""

        def read(self, size: int, /) -> bytes: ...
        def write(self, data: bytes, /) -> object: ...
        def flush(self) -> None: ...


MIN_RUNS = 5
"""Runs measured even when the time limit is already over."""

_LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1


def send(stream: Stream, document: dict[str, Any], arrays: Sequence[Any] = ()) -> None:
    """Write one message.

    Raises:
        TypeError: An array holds something else than numbers.
    """
    import numpy as np

    whole = [np.ascontiguousarray(array) for array in arrays]
    for array in whole:
        if array.dtype.kind not in "biuf":
            raise TypeError("an output of type %s is not an array of numbers" % array.dtype)  # noqa: UP031
    described = [[array.dtype.str, list(array.shape)] for array in whole]
    text = json.dumps({**document, "arrays": described}).encode()
    stream.write(_LENGTH.pack(len(text)))
    stream.write(text)
    for array in whole:
        stream.write(array.tobytes())
    stream.flush()


def receive(stream: Stream) -> tuple[dict[str, Any], list[Any]] | None:
    """Read one message; None when the other end is gone."""
    import numpy as np

    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    text = stream.read(_LENGTH.unpack(head)[0])
    if len(text) < _LENGTH.unpack(head)[0]:
        return None
    document = json.loads(text)
    arrays = []
    for kind, shape in document.pop("arrays"):
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        data = stream.read(count * dtype.itemsize)
        if len(data) < count * dtype.itemsize:
            return None
        arrays.append(np.frombuffer(data, dtype).reshape(shape))
    return document, arrays


def time_calls(
    run: Callable[[], object],
    *,
    warmup: int,
    runs: int,
    limit: float,
    progress: Callable[[int], None],
) -> list[float]:
    """Time a call.

    Args:
        run: What to time.
        warmup: Calls that are not counted.
        runs: Calls that are counted.
        limit: Start no further call after this many seconds (warm-up included), once a few are counted.
        progress: Called now and then with the number of counted calls.

    Returns:
        Wall milliseconds per call, in the order measured.
    """
    end = time.monotonic() + limit
    for done in range(warmup):
        if done and time.monotonic() > end:
            break
        run()
    samples: list[float] = []
    collecting = gc.isenabled()
    gc.disable()  # a collection in the middle of a run would be counted as the artifact's
    try:
        while len(samples) < runs and (len(samples) < MIN_RUNS or time.monotonic() < end):
            started = time.perf_counter_ns()
            run()
            samples.append((time.perf_counter_ns() - started) / 1e6)
            if len(samples) % 50 == 0:
                progress(len(samples))
    finally:
        if collecting:
            gc.enable()
    return samples


def main(argv: Sequence[str]) -> None:
    """Answer requests until the other end is gone."""
    with_parent()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    stream = connected(argv[1]).makefile("rwb")
    try:
        import numpy as np  # noqa: F401
    except ImportError as error:
        text = "the environment has no NumPy: %s" % error  # noqa: UP031
        said = json.dumps({"error": text, "missing": "numpy", "arrays": []}).encode()
        stream.write(_LENGTH.pack(len(said)) + said)
        stream.flush()
        return
    model: Any = None
    while True:
        request = receive(stream)
        if request is None:
            return
        document, arrays = request
        try:
            found: list[Any] = []
            answer: dict[str, Any] = {}
            if document["do"] == "load":
                started = time.perf_counter_ns()
                model = load(argv[2])(document["artifact"], document["info"], document["threads"])
                answer["load_ms"] = (time.perf_counter_ns() - started) / 1e6
            elif document["do"] == "run":
                found = list(model(arrays[0]))
            else:
                answer = {"samples": measured(model, arrays[0], document), "memory": memory()}
            send(stream, answer, found)
        except BaseException as error:  # noqa: BLE001 - a vendor's runtime raises what it likes, even SystemExit
            send(stream, {"error": words(error), "missing": getattr(error, "name", None) or ""})


def connected(where: str) -> socket.socket:
    """Return the socket that leads to the other end."""
    if where.isdigit():
        return socket.socket(fileno=int(where))
    found = socket.socket(socket.AF_UNIX)
    found.connect(where)
    return found


def load(file: str) -> Callable[..., Any]:
    """Return the ``load`` function of a runtime file."""
    spec = importlib.util.spec_from_file_location("edgebuild_runtime", file)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file always has both
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, "load", None)
    if not callable(function):
        raise TypeError("defines no load(artifact, info, threads)")
    return function


def measured(model: Any, images: Any, document: dict[str, Any]) -> list[float]:
    """Time the model here, so that what carries arrays between processes is not counted."""
    bind = getattr(model, "bind", None)
    run = bind(images) if bind else lambda: model(images)
    limit = float("inf") if document["limit"] is None else document["limit"]
    return time_calls(
        run, warmup=document["warmup"], runs=document["runs"], limit=limit, progress=lambda _: None
    )


def memory() -> str:
    """Return what the kernel says of this process."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
        return stream.read()


def words(error: BaseException) -> str:
    """Return an error in one line."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return "%s: %s" % (type(error).__name__, lines[0].strip() if lines else "no message")  # noqa: UP031


def with_parent() -> None:
    """Ask the kernel to kill this process when the one that started it dies."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        return


if __name__ == "__main__":
    main(sys.argv)
