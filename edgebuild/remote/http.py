"""A remote cache behind HTTP: GET, HEAD and PUT of ``<base>/ac/<key>`` and ``<base>/cas/<sha256>``."""

from __future__ import annotations

import contextlib
import netrc
from typing import TYPE_CHECKING, BinaryIO, Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
    TimeoutError,  # noqa: A004 - urllib3's own
)

from edgebuild.errors import UsageError
from edgebuild.lock import never
from edgebuild.remote.interface import (
    RECORD_LIMIT,
    Receiver,
    RemoteError,
    blob_name,
    receive,
    record_name,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from urllib3 import BaseHTTPResponse, PoolManager
    from urllib3.connectionpool import ConnectionPool

    from edgebuild.action import ActionKey
    from edgebuild.digest import Digest

CONNECT_SECONDS = 5.0
PIECE = 1 << 16
TEMPORARY = frozenset({429, 500, 502, 503, 504})
"""Answers worth asking again for."""

ABSENT = frozenset({404, 410})
KEPT = frozenset({200, 201, 204})
NO_HEAD = frozenset({405, 501})


class _Again(urllib3.Retry):
    """Asks again where that may help; not after silence, which costs its whole time again."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: object | None = None,
    ) -> Self:
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)  # type: ignore[arg-type]


class HttpRemote:
    """The plain HTTP cache protocol. Connections are kept open and shared between threads."""

    def __init__(
        self, url: str, environ: Mapping[str, str], *, timeout: float, give_up: Callable[[], bool] = never
    ) -> None:
        parts = urlsplit(url)
        with contextlib.suppress(ValueError):
            self._host, self._port = parts.hostname or "", parts.port
        if not getattr(self, "_host", ""):
            raise UsageError(f"remote cache {shown(url)}: names no host, or a port that is none")
        scheme = {"webdav": "http", "webdavs": "https"}.get(parts.scheme.lower(), parts.scheme.lower())
        self._webdav = scheme != parts.scheme.lower()
        self._made: set[str] = set()
        self._base = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._timeout = timeout
        self._give_up = give_up
        headers = {"User-Agent": "edgebuild", "Accept-Encoding": "identity"}
        self._pool = _pool(scheme, self._host, headers | _credentials(url, environ))

    def get_record(self, key: ActionKey) -> bytes | None:
        """Return what is kept under an action key, or None."""
        with self._asked("GET", record_name(key), stream=True) as response:
            if response.status in ABSENT:
                return None
            self._require(response, frozenset({200}))
            receiver = Receiver(record_name(key), RECORD_LIMIT, timeout=self._timeout, give_up=self._give_up)
            pieces = []
            for piece in _pieces(response):
                receiver.take(piece)
                pieces.append(piece)
            return b"".join(pieces)

    def put_record(self, key: ActionKey, data: bytes) -> None:
        """Keep a record."""
        try:
            self._put(record_name(key), data, len(data))
        except _BadRequestError as error:
            # github.com/buchgr/bazel-remote: without this flag it keeps Bazel's own records only.
            hint = "bazel-remote takes records only with --disable_http_ac_validation"
            raise RemoteError(f"{error}; {hint}") from error

    def has_blob(self, digest: Digest, *, size: int) -> bool:
        """Return whether a blob of that name and size is there."""
        with self._asked("HEAD", blob_name(digest)) as response:
            if response.status in ABSENT | NO_HEAD:
                return False
            self._require(response, frozenset({200}))
            return response.headers.get("Content-Length", str(size)) == str(size)

    def get_blob(self, digest: Digest, to: Path, *, size: int) -> bool:
        """Write a blob to a new file, hashed on its way; a transfer that breaks off is tried once more."""
        try:
            return self._get_blob(digest, to, size=size)
        except _BrokenOffError:
            return self._get_blob(digest, to, size=size)

    def _get_blob(self, digest: Digest, to: Path, *, size: int) -> bool:
        with self._asked("GET", blob_name(digest), stream=True) as response:
            if response.status in ABSENT:
                return False
            self._require(response, frozenset({200}))
            receiver = Receiver(blob_name(digest), size, timeout=self._timeout, give_up=self._give_up)
            receive(_pieces(response), to, digest, receiver, size=size)
            return True

    def put_blob(self, digest: Digest, path: Path) -> None:
        """Keep a file's bytes under their digest."""
        with path.open("rb") as source:
            self._put(blob_name(digest), source, path.stat().st_size)

    def _put(self, name: str, body: bytes | BinaryIO, size: int) -> None:
        if self._webdav:
            self._make_folder(name.partition("/")[0])
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        with self._asked("PUT", name, body=body, headers=headers) as response:
            self._require(response, KEPT)

    def _make_folder(self, name: str) -> None:
        """Make the base and a folder in it: WebDAV makes none on upload (RFC 4918, 9.7.1)."""
        if name not in self._made:
            for folder in ("", f"{name}/"):
                with self._asked("MKCOL", folder):
                    pass  # made, or there already: the upload will tell
            self._made.add(name)

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        name: str,
        *,
        body: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> Iterator[BaseHTTPResponse]:
        """Ask, and give the answer's head; its body is read where ``stream`` says so."""
        retries = _Again(
            total=None,
            connect=1,
            read=1,
            other=0,
            redirect=3,
            status=2,
            status_forcelist=TEMPORARY,
            allowed_methods=None,  # all of ours may be repeated
            backoff_factor=0.2,
            raise_on_status=False,
            respect_retry_after_header=False,  # it may ask for hours
        )
        try:
            response = self._pool.request(
                method,
                f"{self._base}/{name}",
                body=body,
                headers={**self._pool.headers, **(headers or {})},
                retries=retries,
                redirect=method in {"GET", "HEAD"},  # a redirected upload would not arrive
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, self._timeout), read=self._timeout),
                preload_content=not stream,
            )
        except HTTPError as error:
            raise RemoteError(self._reason(error)) from error
        try:
            yield response
            _finish(response)
        except ProtocolError as error:
            raise _BrokenOffError(self._reason(error)) from error
        except HTTPError as error:
            raise RemoteError(self._reason(error)) from error
        finally:
            if not response.closed:
                response.close()  # what is left of the body is not waited for
            response.release_conn()

    def _require(self, response: BaseHTTPResponse, good: frozenset[int]) -> None:
        status = response.status
        if status in good:
            return
        if status in {401, 403, 407}:
            hint = "set EDGEBUILD_REMOTE_TOKEN, put a user into the address, or a netrc entry"
            raise RemoteError(f"refuses the credentials (HTTP {status}); {hint}")
        if 300 <= status < 400:
            raise RemoteError(f"has moved (HTTP {status}) to {shown(response.headers.get('Location', '?'))}")
        kind = _BadRequestError if status == 400 else RemoteError
        raise kind(f"answers HTTP {status} {response.reason or ''}".rstrip())

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, MaxRetryError) and error.reason is not None:
            return self._reason(error.reason)
        if isinstance(error, NewConnectionError) and not isinstance(error, NameResolutionError):
            cause = error.__cause__
            return (isinstance(cause, OSError) and cause.strerror) or "cannot be connected to"
        reasons = {
            NameResolutionError: f"the host {self._host} cannot be found",
            TimeoutError: f"no answer within {self._timeout:g} s",
            ProtocolError: "the connection broke off",
            SSLError: f"no trusted connection: {error}",
        }
        known = (text for kind, text in reasons.items() if isinstance(error, kind))
        return next(known, f"{type(error).__name__}: {error}")


class _BadRequestError(RemoteError):
    """The server understands what it was asked in another way."""


class _BrokenOffError(RemoteError):
    """The connection ended in the middle of an answer."""


def _finish(response: BaseHTTPResponse) -> None:
    """Read what little is left of an answer, so that its connection serves the next request."""
    if not response.closed and (response.length_remaining or PIECE) < PIECE:
        response.drain_conn()


def _pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield a body as it comes in: a piece may be short, so that a slow sender is noticed."""
    while piece := response.read1(PIECE, decode_content=True):
        yield piece


def _pool(scheme: str, host: str, headers: dict[str, str]) -> PoolManager:
    """Return the connections, through the proxy that the environment names for this host."""
    proxy = getproxies().get(scheme)
    if not proxy or proxy_bypass(host):
        return urllib3.PoolManager(maxsize=16, headers=headers)
    user = urlsplit(proxy).netloc.rpartition("@")[0]
    signed = urllib3.make_headers(proxy_basic_auth=unquote(user)) if user else {}
    return urllib3.ProxyManager(proxy, maxsize=16, headers=headers, proxy_headers=signed)


def _credentials(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the header that says who asks: the address's own user, the token, else netrc."""
    parts = urlsplit(url)
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        return urllib3.make_headers(basic_auth=f"{user}:{password}")
    token = environ.get("EDGEBUILD_REMOTE_TOKEN", "").strip()  # a file's last line end comes along easily
    if token:
        if not all("!" <= character <= "~" for character in token):
            raise UsageError("EDGEBUILD_REMOTE_TOKEN has a character that no token can have")
        return {"Authorization": f"Bearer {token}"}
    found = _netrc(parts.hostname or "", environ)
    return urllib3.make_headers(basic_auth=f"{found[0]}:{found[1]}") if found else {}


def _netrc(host: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        found = netrc.netrc(environ.get("NETRC") or None).authenticators(host)
        if found:
            return found[0], found[2]
    return None
