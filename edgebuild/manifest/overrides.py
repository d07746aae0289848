"""``--set a.b.c=value``: values from the command line, laid on the tree before it is checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgebuild.document.node import Node, Place
from edgebuild.document.parse import parse
from edgebuild.errors import ManifestError, Problem, UsageError
from edgebuild.manifest.schema import quoting, wants_text
from edgebuild.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PART = re.compile(r"'[^']+'|\"[^\"]+\"|[^.'\"=]+")
_SHAPE = "write --set path.to.key=value"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One ``--set``.

    Attributes:
        text: As given.
        path: The parts of the dotted path.
        value: The value; its place is the command line.
        refused: What is wrong with its spelling, unless a text is wanted.
    """

    text: str
    path: tuple[str, ...]
    value: Node
    refused: Problem | None = None

    def valued(self, *, text: bool) -> Node:
        """Return the value; a text as it was typed, since a shell takes quotes away.

        Args:
            text: Whether a text is wanted there.

        Raises:
            UsageError: Other YAML parsers read it as something else.
        """
        one = self.value
        if text and one.plain and one.value is not None:
            return replace(one, value=one.text, plain=False, trapped=False)
        if self.refused:
            hint = self.refused.hint.replace(f"quote it: '{one.text}'", f"type: {typed(self.text)}")
            raise UsageError(f"--set {self.text}: {self.refused.message}", hint=hint)
        return one


def typed(text: str) -> str:
    """Return the words on a command line that give the value of a setting as a text."""
    path, _, value = text.partition("=")
    return f"""--set "{path}='{value.strip()}'\""""


def parse_setting(text: str) -> Setting:
    """Return the setting that a text such as ``targets.rpi5.batch=4`` stands for.

    A part that holds a dot may be quoted: ``targets.'a.b'.batch=4``.

    Raises:
        UsageError: It has no ``=``, an odd path, or a value that is not YAML.

    Whether the spelling of a single value is refused depends on what is wanted there: :meth:`Setting.valued`.
    """
    shown = f"--set {text}"
    position = _equals(text)
    if position < 1:
        raise UsageError(f"{shown}: no '=' after a path", hint=_SHAPE)
    path, value = text[:position].strip(), text[position + 1 :]
    parts = _PART.findall(path)
    if ".".join(parts) != path:
        raise UsageError(f"{shown}: {path!r} is no path", hint=_SHAPE)
    if not value.strip():
        raise UsageError(f"{shown}: no value after '='", hint="null takes a value back; '' is an empty text")
    try:
        node, problems = parse(value, file=shown)
    except ManifestError as error:
        problems = list(error.problems)
        node = None
    refused = problems[0] if node is not None and node.trapped else None
    if node is None or (problems and not refused):
        hint = re.sub("quote it: '(.*)'$", lambda found: quoting(found[1], file=shown), problems[0].hint)
        raise UsageError(f"{shown}: {problems[0].message}", hint=hint)
    names = tuple(part.strip("'\"") for part in parts)
    return Setting(text=text, path=names, value=_placed(node, Place(file=shown)), refused=refused)


def apply(root: Node, settings: Iterable[Setting]) -> tuple[Node, list[Problem]]:
    """Return the tree with the settings applied in order, and those that do not fit it.

    Raises:
        UsageError: A value is spelled as something else to other YAML parsers.
    """
    problems: list[Problem] = []
    for setting in settings:
        try:
            root = _set(root, setting.path, (), setting)
        except ManifestError as error:
            problems += error.problems
    return root, problems


def concerns_targets(setting: Setting) -> bool:
    """Whether the setting is applied after ``matrix`` is expanded, so that it reaches those targets too."""
    return setting.path[0] == "targets"


def _equals(text: str) -> int:
    quote = ""
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "=":
            return index
    return -1


def _placed(node: Node, place: Place) -> Node:
    value = node.value
    if node.is_mapping:
        value = {name: _placed(item, place) for name, item in node.entries.items()}
    elif node.items:
        value = tuple(_placed(item, place) for item in node.items)
    return replace(node, value=value, place=place, key=place)


def _set(node: Node, rest: Sequence[str], done: tuple[str, ...], setting: Setting) -> Node:
    if not rest:
        return setting.valued(text=wants_text(done))
    if not node.is_mapping and node.value is not None:
        kind = "a list: set it as a whole" if isinstance(node.value, tuple) else "a single value"
        _misfit(setting, done, f"is {kind}")
    name, rest = _step(node, rest)
    if done == ("targets",) and name not in node.entries:
        hint = did_you_mean(name, node.entries, otherwise=f"targets: {listed(node.entries)}")
        _misfit(setting, (*done, name), "there is no such target", hint=hint)
    child = node.entries.get(name) or Node(value={}, place=setting.value.place, key=setting.value.place)
    return replace(node, value={**node.entries, name: _set(child, rest, (*done, name), setting)})


def _step(node: Node, rest: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the next key and what is left: the longest known key, since names may hold dots."""
    for count in range(len(rest), 1, -1):
        if (name := ".".join(rest[:count])) in node.entries:
            return name, rest[count:]
    return rest[0], rest[1:]


def _misfit(setting: Setting, path: tuple[str, ...], message: str, *, hint: str = "") -> None:
    file = setting.value.place.file
    raise ManifestError([Problem(file=file, path=".".join(path), message=message, hint=hint)])
