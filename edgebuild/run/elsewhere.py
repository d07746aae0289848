"""The remote cache as those use it who only look, and how warnings about it are said."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgebuild.cache.store import Store
    from edgebuild.remote.tier import RemoteTier


def to_look(url: str) -> Callable[[Store], RemoteTier | None]:
    """Return what opens a remote cache, only to read: a look must not change anything.

    Args:
        url: Of ``--remote``; empty: the one that the environment names, if any.
    """

    def open_it(store: Store) -> RemoteTier | None:
        if not (url or os.environ.get("EDGEBUILD_REMOTE")):
            return None
        from edgebuild.remote.tier import open_tier  # noqa: PLC0415 - most have no remote cache

        return open_tier(store, os.environ, url=url, mode="read", warn=warn)

    return open_it


def warn(text: str) -> None:
    """Print a warning."""
    sys.stderr.write(f"edgebuild: warning: {text}\n")
