"""From the address of a remote cache to what talks to it; loads only the kind that is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.errors import UsageError
from edgebuild.lock import never
from edgebuild.remote.interface import INSTALL, TIMEOUT_SECONDS, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgebuild.remote.interface import Remote


def open_remote(url: str, environ: Mapping[str, str], *, give_up: Callable[[], bool] = never) -> Remote:
    """Return the remote of an address; nothing is asked of it yet.

    Args:
        url: ``http(s)://``, ``webdav(s)://``, any fsspec address such as ``s3://bucket/prefix``, or a path.
        environ: The caller's environment: credentials, proxies, ``EDGEBUILD_REMOTE_TIMEOUT``.
        give_up: Asked during a transfer; true ends it with StoppedError.

    Raises:
        UsageError: There is no such kind of remote, or a package it needs is not installed.
    """
    timeout = _timeout(environ)
    scheme = url.partition("://")[0].lower() if "://" in url else "file"
    try:
        if scheme in {"http", "https", "webdav", "webdavs"}:
            from edgebuild.remote.http import HttpRemote  # noqa: PLC0415 - only the kind that is used

            return HttpRemote(url, environ, timeout=timeout, give_up=give_up)
        from edgebuild.remote.filesystem import FsspecRemote  # noqa: PLC0415 - likewise

        # Not as_uri(), whose escapes fsspec takes literally.
        address = url if "://" in url else f"file://{Path(url).expanduser().absolute()}"
        return FsspecRemote(address, timeout=timeout, give_up=give_up)
    except ModuleNotFoundError as error:
        if error.name not in {"fsspec", "urllib3"}:
            raise
        message = f"remote cache {shown(url)}: the package {error.name} is not installed"
        raise UsageError(message, hint=f"install it with: {INSTALL}") from error


def _timeout(environ: Mapping[str, str]) -> float:
    text = environ.get("EDGEBUILD_REMOTE_TIMEOUT", "")
    try:
        seconds = float(text) if text else TIMEOUT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:  # also false for NaN
        raise UsageError(f"EDGEBUILD_REMOTE_TIMEOUT={text} is not a number of seconds above 0, up to 3600")
    return seconds
