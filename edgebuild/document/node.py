"""A value of a document and the place where it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from edgebuild.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.document.scalar import Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A place in a file: line and column count from 1; both are 0 for a value given with ``--set``."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A value and where it is written.

    Attributes:
        value: A scalar, a mapping of nodes or a tuple of nodes.
        place: Where the value starts.
        key: Where its key starts, when it is the value of a mapping.
        text: A scalar as written, without quotes.
        plain: Whether it is an unquoted scalar.
        trapped: Whether a problem with its spelling is already reported.
    """

    value: Scalar | Mapping[str, Node] | tuple[Node, ...]
    place: Place
    key: Place | None = None
    text: str = ""
    plain: bool = False
    trapped: bool = False

    @property
    def entries(self) -> Mapping[str, Node]:
        """The entries of a mapping; empty for everything else."""
        return cast("Mapping[str, Node]", self.value) if isinstance(self.value, dict) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        """The items of a list; empty for everything else."""
        return self.value if isinstance(self.value, tuple) else ()

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping."""
        return isinstance(self.value, dict)

    @property
    def where(self) -> Place:
        """The place to point at: a scalar itself, the key of a mapping or list."""
        return self.key if self.key and isinstance(self.value, dict | tuple) else self.place

    def get(self, *path: str) -> Node | None:
        """Return the node under nested keys, or None."""
        node: Node | None = self
        for name in path:
            node = node.entries.get(name) if node else None
        return node

    def unwrap(self) -> Any:
        """Return the value as plain dictionaries, lists and scalars."""
        if isinstance(self.value, dict):
            return {name: node.unwrap() for name, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.unwrap() for node in self.value]
        return self.value

    def problem(self, path: str, message: str, *, hint: str = "", at: Place | None = None) -> Problem:
        """Return a problem with this value, or with another place that concerns it."""
        place = at or self.where
        return Problem(
            file=place.file, line=place.line, column=place.column, path=path, message=message, hint=hint
        )
