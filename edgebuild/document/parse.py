"""YAML as a tree that knows where every value is written.

The subset is small on purpose: one document, string keys, no tags, no merge keys (``<<``), none of the
spellings that :mod:`edgebuild.document.scalar` refuses. Anchors and aliases are allowed where they form no
cycle.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from edgebuild.document.node import Node, Place
from edgebuild.document.scalar import Trap, resolve
from edgebuild.errors import ManifestError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Node", "Place", "parse", "read_plain", "read_text"]

MAX_BYTES = 4 << 20
"""A larger file is no manifest (a dataset YAML that lists tens of thousands of files still fits)."""

MAX_DEPTH = 32
MAX_NODES = 200_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INDENT_TAB = re.compile(r"^[ \t]*?\t", re.MULTILINE)
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_BREAK = re.compile(r"\r\n|\r|\n")

_ADVICE = {
    "mapping values are not allowed": "quote the value if it holds ': ', or check the indentation",
    "cannot start any token": "quote the value",
    "could not find expected ':'": "a key needs ': ' after it, with the space",
    "unexpected end of stream": "a quote is not closed",
    "did not find expected key": "check the indentation of this line and the one above",
    "did not find expected '-'": "check the indentation: a list item starts with '- '",
    "expected <block end>": "check the indentation of this line and the one above",
    "did not find expected ','": "close the bracket, or put a comma between the items",
    "expected ',' or": "close the bracket, or put a comma between the items",
    "did not find expected node content": "close the bracket",
}


def read_text(path: str | Path, *, shown: str, what: str) -> str:
    """Return the text of a YAML file.

    Args:
        path: The file.
        shown: What messages call it.
        what: What it should be, such as ``manifest``.

    Raises:
        ManifestError: It is missing, a directory, unreadable, too large, empty or not UTF-8.
    """
    text = read_plain(path, shown=shown, what=what)
    if not text.strip():
        _refuse(shown, "is empty", hint=f"a {what} is a YAML mapping")
    return text


def read_plain(path: str | Path, *, shown: str, what: str) -> str:
    """Return the text of a file, which may be empty; otherwise as :func:`read_text`."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        _refuse(
            shown,
            f"no such {what}",
            hint="check the path" if path.parent.is_dir() else "its folder is missing",
        )
    except IsADirectoryError:
        _refuse(shown, f"is a directory, not a {what}", hint="name the YAML file in it")
    except (OSError, ValueError) as error:
        _refuse(shown, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(data) > MAX_BYTES:
        _refuse(shown, f"is too large for a {what} ({len(data)} bytes)", hint="is this the right file?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        line, column = _position(before + "?", len(before))
        _refuse(shown, f"is not UTF-8 text (byte 0x{data[error.start]:02x})", line=line, column=column,
                hint="save it as UTF-8")  # fmt: skip
    return text


def parse(text: str, *, file: str, any_keys: bool = False) -> tuple[Node, list[Problem]]:
    """Return the tree of a YAML text, and the problems with spellings in it.

    Args:
        text: The YAML text.
        file: What messages call the file.
        any_keys: Whether unquoted keys may be numbers, as in the ``names`` of a dataset; they become strings.

    Raises:
        ManifestError: The text is no YAML document, so that there is no tree.
    """
    _refuse_characters(text, file=file)
    builder = _Builder(file=file, any_keys=any_keys, lines=len(re.split(r"\r\n|\r|\n", text)))
    try:
        node = builder.document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = _position(text, mark.index) if mark else (0, 0)
        message = _syntax_message(error)
        _refuse(file, message, line=line, column=column, earlier=builder.problems, hint=_advice(message))
    except (yaml.YAMLError, UnicodeError) as error:
        _refuse(file, f"is not YAML: {error}".splitlines()[0], earlier=builder.problems)
    except _Stop:
        raise ManifestError(builder.problems) from None
    return node, builder.problems


class _Stop(Exception):  # noqa: N818 - it only unwinds; the problem is already recorded
    """The document cannot be read further."""


class _Builder:
    """Builds nodes from the parser's events: the only view that shows duplicate keys, tags and aliases."""

    def __init__(self, *, file: str, any_keys: bool, lines: int) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._any_keys = any_keys
        self._lines = lines
        self._anchors: dict[str, tuple[Node | None, int]] = {}
        self._count = 0
        self._events: Iterator[Any] = iter(())

    def document(self, events: Iterator[Any]) -> Node:
        self._events = events
        next(events)  # start of the stream
        event = next(events)
        if isinstance(event, yaml.StreamEndEvent):
            self.problems.append(Problem(file=self._file, message="is empty", hint="only comments are in it"))
            raise _Stop
        node = self._node(next(events), depth=0)
        next(events)  # end of the document
        event = next(events)
        if not isinstance(event, yaml.StreamEndEvent):
            self._stop(event, "a second YAML document starts here", hint="keep one document in a file")
        return node

    def _node(self, event: Any, *, depth: int) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            self._stop(event, "too many values", hint="do aliases multiply each other?")
        if depth > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None:
            self._add(
                event,
                f"the tag {_tag(event.tag)!r} is not supported",
                hint="remove it; quote strings instead",
            )
        before = self._count
        if event.anchor:
            self._anchors[event.anchor] = (None, 0)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(value=tuple(self._sequence(depth)), place=self._place(event))
        else:
            node = Node(value=self._mapping(event, depth), place=self._place(event))
        if event.anchor:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _alias(self, event: Any) -> Node:
        node, size = self._anchors.get(event.anchor, (None, -1))
        if node is None:
            why = "is inside the value it stands for" if size == 0 else "has no anchor before it"
            self._stop(event, f"cyclic or absent reference: the alias *{event.anchor} {why}",
                       hint="write the value out")  # fmt: skip
        self._count += size
        return node

    def _scalar(self, event: Any) -> Node:
        plain = event.style is None or event.style == ""
        place = self._place(event)
        if not plain:
            return Node(value=event.value, place=place, text=event.value)
        value = resolve(event.value)
        if isinstance(value, Trap):
            self._add(event, value.message, hint=value.hint)
            return Node(value=event.value, place=place, text=event.value, plain=True, trapped=True)
        return Node(value=value, place=place, text=event.value, plain=True)

    def _sequence(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth=depth + 1)

    def _mapping(self, start: Any, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._key(event, depth)
            value = self._node(next(self._events), depth=depth + 1)
            if name is None:
                continue
            if name in entries:
                first = entries[name].key or entries[name].place
                self._add(
                    event, f"the key {name!r} is given twice", hint=f"it is already on line {first.line}"
                )
                continue
            if start.flow_style and value.plain and value.text == "" and ":" in name and event.style != '"':
                self._add(event, f"{name!r} is one word to YAML", hint="write a space after ':'")
                continue
            entries[name] = replace(value, key=self._place(event))
        return entries

    def _key(self, event: Any, depth: int) -> str | None:
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, depth=depth + 1)
            self._add(event, "a key must be a string", hint="lists, mappings and aliases cannot be keys")
            return None
        if event.value == "<<" and not event.style:
            self._add(event, "merge keys (<<) are not supported", hint="use defaults: or matrix:")
            return None
        node = self._node(event, depth=depth + 1)
        if node.trapped:
            # A key is a name: whatever else its spelling may mean, that is not what was meant.
            self.problems[-1] = replace(self.problems[-1], hint=f"as a name, quote it: '{node.text}'")
        if node.trapped or isinstance(node.value, str):
            return node.text
        if self._any_keys and node.value is not None and not isinstance(node.value, bool):
            return node.text
        self._add(
            event, f"a key must be a string, not {node.text or 'nothing'}", hint=f"quote it: '{node.text}'"
        )
        return node.text or None

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        if mark.line >= self._lines:  # an absent value after the last line
            return Place(file=self._file, line=self._lines, column=1)
        return Place(file=self._file, line=mark.line + 1, column=mark.column + 1)

    def _add(self, event: Any, message: str, *, hint: str = "") -> None:
        place = self._place(event)
        self.problems.append(
            Problem(file=place.file, line=place.line, column=place.column, message=message, hint=hint)
        )

    def _stop(self, event: Any, message: str, *, hint: str = "") -> NoReturn:
        self._add(event, message, hint=hint)
        raise _Stop


def _refuse(
    file: str,
    message: str,
    *,
    line: int = 0,
    column: int = 0,
    hint: str = "",
    earlier: list[Problem] | None = None,
) -> NoReturn:
    problem = Problem(file=file, line=line, column=column, message=message, hint=hint)
    raise ManifestError([*(earlier or []), problem])


def _refuse_characters(text: str, *, file: str) -> None:
    if found := _INDENT_TAB.search(text):
        line, column = _position(text, found.end() - 1)
        _refuse(file, "a tab in the indentation", line=line, column=column, hint="indent with spaces")
    if found := _FORBIDDEN.search(text):
        line, column = _position(text, found.start())
        _refuse(file, f"the character U+{ord(found[0]):04X} is not allowed", line=line, column=column,
                hint="remove it")  # fmt: skip


def _position(text: str, index: int) -> tuple[int, int]:
    """Return line and column, from 1; the end of a text that ends in a line break is its last line."""
    index = min(index, len(text))
    if index == len(text):
        index = len(text.rstrip())
    breaks = [found.end() for found in _BREAK.finditer(text, 0, index)]
    return len(breaks) + 1, index - (breaks[-1] if breaks else 0) + 1


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    context = ""
    if error.context and error.context_mark and "next token" not in error.context:
        context = f" ({error.context} that starts on line {error.context_mark.line + 1})"
    return f"is not YAML: {error.problem or 'it cannot be read'}{context}"


def _advice(message: str) -> str:
    return next((advice for words, advice in _ADVICE.items() if words in message), "")


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
