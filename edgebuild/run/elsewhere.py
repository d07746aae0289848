"""The remote cache of a command, when one is asked for, and how warnings about it are said."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgebuild.cache.store import Store
    from edgebuild.remote.tier import RemoteTier


def open_named(store: Store, url: str, mode: str) -> RemoteTier | None:
    """Open the remote cache that was asked for, if any.

    Args:
        store: Where what it has goes.
        url: Of ``--remote``; empty: the one that the environment names.
        mode: ``read`` or ``read-write``; empty: as the environment says.
    """
    if not (url or os.environ.get("EDGEBUILD_REMOTE")):
        return None
    from edgebuild.remote.tier import open_tier  # noqa: PLC0415 - most have no remote cache

    return open_tier(store, os.environ, url=url, mode=mode, warn=warn)


def to_look(url: str) -> Callable[[Store], RemoteTier | None]:
    """Return what opens a remote cache, only to read: a look must not change anything.

    Args:
        url: Of ``--remote``; empty: the one that the environment names, if any.
    """
    return lambda store: open_named(store, url, "read")


def warn(text: str) -> None:
    """Print a warning."""
    sys.stderr.write(f"edgebuild: warning: {text}\n")
