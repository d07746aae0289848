"""What an action reads: files of the user's, outputs of other actions, and what those said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class FileInput:
    """A file of the user's.

    Attributes:
        role: What the action calls it; it appears as ``in/<role>/<name>``.
        path: Where it is, absolute. Not part of the action's identity.
        name: File name inside ``in/<role>/``.
    """

    role: str
    name: str
    path: Path = field(compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeInput:
    """Many files of the user's, such as one split of a dataset; they appear below ``in/<role>/``.

    Attributes:
        role: What the action calls the tree.
        root: Directory that the relative paths start from, absolute. Not part of the identity.
        files: Relative POSIX paths, sorted.
    """

    role: str
    files: tuple[str, ...]
    root: Path = field(compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionInput:
    """One output of another action; it appears as ``in/<role>/<name>``.

    Attributes:
        role: What the consuming action calls it.
        action: Id of the action that makes it.
        output: Role of the output there.
        name: File or directory name inside ``in/<role>/``; empty: the tree itself is ``in/<role>``.
    """

    role: str
    action: str
    output: str
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingsInput:
    """What actions said that a person should know, as a document at ``in/<role>/<name>``.

    Attributes:
        role: What the consuming action calls it.
        name: File name inside ``in/<role>/``.
        actions: Ids of the actions.
        levels: Level by id, where it is another than the finding's own. Only errors matter: what else is said
            is left out, so that it changes nothing.
    """

    role: str
    name: str
    actions: tuple[str, ...]
    levels: tuple[tuple[str, str], ...] = ()


Input = FileInput | TreeInput | ActionInput | FindingsInput
