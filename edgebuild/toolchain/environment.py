"""Where a toolchain's tools live, as a toolchain's folder declares it. docs/environments.md says what for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgebuild.digest import digest_document

if TYPE_CHECKING:
    from edgebuild.toolchain.tools import Tool

ENVIRONMENT_TOOL = "environment:"
"""Prefix of the tool name that stands for a toolchain's environment in an action, before its name."""

SCHEMA = 1
"""Raised when an installed environment of an older edgebuild can no longer be used."""

_OPERATOR = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9][A-Za-z0-9.*+!_-]*"
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[A-Za-z0-9._, -]*\]\s*)?"
    rf"(?P<versions>{_OPERATOR}(?:\s*,\s*{_OPERATOR})*)?\s*(?:;.*)?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Requirements that are installed with one call.

    Attributes:
        lines: Such as ``onnx==1.18.0``, in the order written.
        no_deps: Without what they depend on.
    """

    lines: tuple[str, ...]
    no_deps: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemNeed:
    """Something outside Python that an environment needs and that edgebuild cannot install.

    Attributes:
        name: What people call it, such as ``Java 17``.
        tool: How to find it, when it is an executable.
        files: Patterns of which one has to exist, when it is a file such as a library.
        get: How to get it.
    """

    name: str
    tool: Tool | None
    files: tuple[str, ...]
    get: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where a toolchain's tools live; the caller's own environment when nothing is set.

    Attributes:
        requirements: Of a Python environment of its own.
        python: Range of Python versions for it, such as ``>=3.10,<3.13``, or empty: any.
        system: What has to be there besides.
        activate: Patterns of a script that sets the variables up; the first that exists is meant.
        image: Container image, or empty.
        engine: What runs the image.
        locate: Variables that only say where things are: let through, and not part of a key.
    """

    requirements: tuple[Group, ...] = ()
    python: str = ""
    system: tuple[SystemNeed, ...] = ()
    activate: tuple[str, ...] = ()
    image: str = ""
    engine: Literal["auto", "podman", "docker"] = "auto"
    locate: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Whether the tools live elsewhere than in the caller's environment."""
        return bool(self.requirements or self.activate or self.image)

    def digest(self, python: str) -> str:
        """Return what names an installed environment: its requirements and the Python it is for."""
        groups = [[list(group.lines), group.no_deps] for group in self.requirements]
        document = {"schema": SCHEMA, "requirements": groups, "python": python}
        return digest_document(document).removeprefix("sha256:")[:32]


def parse_requirements(text: str) -> tuple[tuple[Group, ...], tuple[tuple[int, str], ...]]:
    """Read a requirements file of a toolchain.

    Plain ``name==version`` lines. ``--no-deps`` after one, or on a line of its own before the rest of the
    file, has them installed without their dependencies, when all others are there. Other options are
    refused: which index is asked is a matter of the machine's pip configuration.

    Returns:
        The groups in the order of their installation, and (line number, what is wrong with it) pairs.
    """
    groups: dict[bool, list[str]] = {False: [], True: []}
    faults: list[tuple[int, str]] = []
    bare = False
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if line == "--no-deps":
            bare = True
            continue
        requirement, flag = re.subn(r"\s+--no-deps$", "", line)
        if not requirement:
            continue
        if message := _fault(requirement):
            faults.append((number, message))
            continue
        groups[bare or bool(flag)].append(requirement)
    if not any(groups.values()) and not faults:
        faults.append((0, "names no requirement"))
    found = (Group(lines=tuple(lines), no_deps=no_deps) for no_deps, lines in groups.items() if lines)
    return tuple(found), tuple(faults)


def _fault(requirement: str) -> str:
    if requirement.startswith("-"):
        return f"{requirement.split(maxsplit=1)[0]!r} has no place here; only --no-deps does"
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        return f"{requirement!r} is not a requirement such as 'onnx==1.18.0'"
    return "" if match["versions"] else f"{requirement!r} names no version; write one, such as '==1.0'"
