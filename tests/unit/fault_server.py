"""An HTTP cache that misbehaves on request: what real ones do on bad days, on the loopback address."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Faults:
    """What the server holds, what it was asked, and how its next answers go wrong.

    Attributes:
        url: Its address.
        files: Path -> bytes.
        asked: ``METHOD /path`` in order.
        headers: Header of the last request, by lower-case name.
        next: How the next answers go wrong, one each; an empty word goes well.
        always: How all others go wrong.
        release: Set to let go of whoever hangs.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    next: list[str] = field(default_factory=list)
    always: str = ""
    release: threading.Event = field(default_factory=threading.Event)

    def count(self, method: str) -> int:
        return sum(line.startswith(method + " ") for line in self.asked)


@contextlib.contextmanager
def fault_server() -> Iterator[Faults]:
    faults = Faults()

    class Answer(_Answer):
        state = faults

    server = _Server(("127.0.0.1", 0), Answer)
    faults.url = f"http://127.0.0.1:{server.server_port}/cache"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield faults
    finally:
        faults.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args: object) -> None:
        """Say nothing: that the other side leaves early is what is tested."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Faults

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        state = self.state
        state.asked.append(f"{self.command} {self.path}")
        state.headers = {name.lower(): value for name, value in self.headers.items()}
        fault = state.next.pop(0) if state.next else state.always
        if fault == "slow-upload":
            time.sleep(0.3)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault == "hang":
            state.release.wait(30)
            self.close_connection = True
        elif fault == "reset":
            self.close_connection = True
        elif fault.startswith("redirect "):
            self._send(302, b"", location=fault.partition(" ")[2])
        elif fault.isdigit():
            self._send(int(fault), b"no")
        elif self.command == "PUT":
            state.files[self.path] = body
            self._send(201, b"")
        elif self.path not in state.files:
            self._send(404, b"absent")
        else:
            self._send_file(state.files[self.path], fault)

    def _send_file(self, data: bytes, fault: str) -> None:
        if fault == "flip":
            data = data[:1] + bytes([data[1] ^ 1]) + data[2:]
        if fault == "cut":  # announced whole, ended in the middle
            self._send(200, data, only=len(data) // 2)
            self.close_connection = True
        elif fault == "drip":
            self._send(200, data, only=0)
            with contextlib.suppress(OSError):
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    if self.state.release.wait(0.02):
                        return
        elif fault == "short":
            self._send(200, data[:-1])
        elif fault == "endless":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not self.state.release.is_set():
                    self.wfile.write(bytes(65536))
            self.close_connection = True
        else:
            self._send(200, data)

    def _send(self, status: int, data: bytes, *, only: int | None = None, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if only is None else data[:only])
            self.wfile.flush()
