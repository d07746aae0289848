"""One thing that a toolchain needs, and how its version is found, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionProbe:
    """Where a tool's version is found; exactly one of the three sources is set.

    Attributes:
        files: Paths to try in order; ``${NAME}`` is a variable of the environment, ``*`` a glob.
        command: Arguments of the tool's executable that make it print its version.
        distribution: Name of an installed Python distribution.
        regex: Applied per line to the text; its non-empty groups, joined by dots, are the version.
    """

    files: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    distribution: str = ""
    regex: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """One thing that must be present.

    Attributes:
        name: What steps call it.
        executable: Must be on PATH; empty for a Python distribution.
        version: How to find its version, or None: the executable's content is its identity.
        supported: Range of versions, such as ``>=5.1,<10``, or empty.
        get: How to get it.
        known: Versions that templates choose arguments for, newest first; empty: they do not ask for it.
    """

    name: str
    executable: str
    version: VersionProbe | None
    supported: str
    get: str
    known: tuple[str, ...] = ()
