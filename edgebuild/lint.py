"""What is wrong with a template, found without rendering it, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from edgebuild.errors import Problem
from edgebuild.template import (
    GRAPH_VARIABLES,
    PACKAGE_VARIABLES,
    PLACES,
    VARIABLES,
    TemplateError,
    first_words,
    named,
    near,
    tokens,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgebuild.template import Token

Fault = tuple[int, int, str]
"""Line, column and what is wrong."""

COMMAND_TAGS = frozenset({"if", "elif", "else", "endif", "for", "endfor"})
"""Tags a command may use: what a block or a macro renders would be quoted a second time."""

FOREIGN_TAGS = frozenset({"extends", "from", "import", "include"})
"""Tags that read other templates, whose text would be in no action key."""

QUOTES = frozenset("'\"\\")
SHELL = frozenset("$`|<>;&*?~")

_COMMENT = re.compile(r"(?<!\S)#")
_ABSOLUTE = re.compile(r"(?<!\S)(?:[^\s=/]*=)?(/(?!dev/)[^\s=]+)")


@lru_cache(maxsize=512)
def command_problems(text: str, name: str) -> tuple[Problem, ...]:
    """Return what is wrong with the template of a command.

    Args:
        text: The template's text.
        name: What messages call it.
    """
    pieces = tokens(text)
    if not text.strip():
        return (Problem(file=name, message="is empty", hint="it holds a command line"),)
    faults = [*_tag_faults(pieces), *_data_faults(pieces)]
    return (*_problems(name, faults), *_language_problems(text, name, VARIABLES, pieces))


@lru_cache(maxsize=512)
def text_problems(text: str, name: str, known: frozenset[str] = VARIABLES) -> tuple[Problem, ...]:
    """Return what is wrong with the template of a file.

    Args:
        text: The template's text.
        name: What messages call it.
        known: The variables there are.
    """
    pieces = tokens(text)
    faults = [
        (after.line, after.column, f"the tag {after.text!r} is not allowed: a template stands by itself")
        for _, after in _tags(pieces)
        if after.text in FOREIGN_TAGS
    ]
    return (*_problems(name, faults), *_language_problems(text, name, known, pieces))


def path_problems(text: str, name: str) -> tuple[Problem, ...]:
    """Return the absolute paths in the template of a command; they differ from machine to machine."""
    found = [
        (line, column + match.start(1), f"the absolute path {match[1]!r} may mean something else elsewhere")
        for line, column, words in _data_lines(tokens(text))
        for match in _ABSOLUTE.finditer(words)
    ]
    return tuple(_problems(name, found))


def programs(text: str) -> list[tuple[str, int, int]]:
    """Return the words that a command can begin with where no value decides, with line and column.

    The template has no other faults.
    """
    pieces = [piece for piece in tokens(text) if piece.kind == "data"]
    found: list[tuple[str, int, int]] = []
    for word, line in first_words(text):
        for piece in pieces:
            blank = piece.text[: len(piece.text) - len(piece.text.lstrip())]
            if piece.line == line and piece.text.split()[:1] == [word]:
                column = len(blank) - blank.rfind("\n") if "\n" in blank else piece.column + len(blank)
                found.append((word, line + blank.count("\n"), column))
                break
    return found


def beginning(text: str) -> tuple[int, int]:
    """Return where a command begins: its first word, or the value that it is."""
    first = next((one for one in tokens(text) if one.kind == "variable_begin"), None)
    return (first.line, first.column) if first else (0, 0)


def place_of(text: str, line: int, word: str, variables: Mapping[str, Any] = {}) -> tuple[int, int]:
    """Return where an expression names something, at or after a line; column 0 when it is not found.

    Args:
        text: The template's text.
        line: Where the expression begins.
        word: A variable, or an item of one.
        variables: Their values: an item that is there is not meant.
    """
    pieces = [piece for piece in tokens(text) if piece.kind not in {"whitespace", "data"}]
    for index, piece in enumerate(pieces):
        if piece.line < line or piece.text.strip("'\"") != word or piece.kind not in {"name", "string"}:
            continue
        holder = variables.get(pieces[index - 2].text) if _is_item(pieces, index) else variables
        if not (isinstance(holder, Mapping) and word in holder):
            return piece.line, piece.column
    return line, 0


def problem_of(text: str, name: str, error: TemplateError, variables: Mapping[str, Any] = {}) -> Problem:
    """Return what is wrong with a template, as a problem with its place.

    Args:
        text: The template's text.
        name: What messages call it.
        error: What is wrong.
        variables: Values that were filled in.
    """
    line, column, hint = error.line, 0, ""
    if error.syntax:
        lines = text.splitlines()
        written = lines[line - 1] if 0 < line <= len(lines) else ""
        hint = f"in `{written.strip()}`" if written.strip() else ""
        if quoted := re.search(r"'([^']+)'", error.message):
            # Only what stands in an expression can be wrong.
            begin = min((at for at in (written.find("{{"), written.find("{%")) if at >= 0), default=0)
            column = written.find(quoted[1], begin) + 1
    elif error.missing:
        line, column = place_of(text, line, error.missing, variables)
    else:
        column = _unwritable(text, line, variables)
    return Problem(file=name, line=line, column=column, message=error.message, hint=hint)


def _unwritable(text: str, line: int, variables: Mapping[str, Any]) -> int:
    """Return the column of the value on a line that cannot be written; 0: it may be one of several."""
    pieces = [piece for piece in tokens(text) if piece.line == line and piece.kind != "whitespace"]
    starts = [index + 1 for index, piece in enumerate(pieces[:-1]) if piece.kind == "variable_begin"]
    if len(starts) > 1:
        starts = [at for at in starts if not isinstance(_value(pieces[at:], variables), str | float | list)]
    return pieces[starts[0]].column if len(starts) == 1 else 0


def _value(pieces: Sequence[Token], variables: Mapping[str, Any]) -> Any:
    """Return what a plain `holder.name` stands for, numbers as such; None: it is more than that."""
    words = [piece.text for piece in pieces[:4]]
    holder = variables.get(words[0])
    if len(words) < 4 or words[1] != "." or words[3] != "}}" or not isinstance(holder, Mapping):
        return None
    value = holder.get(words[2])
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _language_problems(
    text: str, name: str, known: frozenset[str], pieces: Sequence[Token]
) -> tuple[Problem, ...]:
    """Return the syntax error of a template, or else the variables that it does not have."""
    try:
        unknown = named(text) - known
    except TemplateError as error:
        return (problem_of(text, name, error),)
    return tuple(_problems(name, [_unknown(pieces, word, known) for word in sorted(unknown)]))


def _unknown(pieces: Sequence[Token], word: str, known: frozenset[str]) -> Fault:
    words = [piece for piece in pieces if piece.kind != "whitespace"]
    line, column = next(
        (
            (piece.line, piece.column)
            for index, piece in enumerate(words)
            if piece.kind == "name" and piece.text == word and words[index - 1].text not in {".", "|"}
        ),
        (0, 0),
    )
    if word in GRAPH_VARIABLES | PACKAGE_VARIABLES:
        where = PLACES.get(known, "this template")
        return line, column, f"{where} has no {word!r} (there are {', '.join(sorted(known))})"
    return line, column, f"there is no variable {word!r}{near(word, known)}"


def _tags(pieces: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    """Yield the beginning of each tag, and its name."""
    words = [piece for piece in pieces if piece.kind != "whitespace"]
    for piece, after in pairwise(words):
        if piece.kind == "block_begin":
            yield piece, after


def _tag_faults(pieces: Sequence[Token]) -> Iterator[Fault]:
    for _, after in _tags(pieces):
        if after.text not in COMMAND_TAGS:
            message = f"the tag {after.text!r} is not allowed in a command: what it renders is quoted twice"
            yield after.line, after.column, message


def _data_faults(pieces: Sequence[Token]) -> Iterator[Fault]:
    for line, column, words in _data_lines(pieces):
        quotes = [at for at, letter in enumerate(words) if letter in QUOTES]
        if quotes:
            message = "quotes and backslashes do not belong in a command: every value is quoted already"
            yield line, column + quotes[0], message
        if comment := _COMMENT.search(words):
            message = (
                "no shell reads the command: what follows '#' would be plain words; write {# a comment #}"
            )
            yield line, column + comment.start(), message
            continue
        shell = [at for at, letter in enumerate(words) if letter in SHELL]
        if shell:
            found = "".join(sorted({words[at] for at in shell}))
            yield line, column + shell[0], f"no shell reads the command: {found!r} would be a plain word"


def _data_lines(pieces: Sequence[Token]) -> Iterator[tuple[int, int, str]]:
    """Yield line, column and text of each line outside of expressions.

    A text that goes on where an expression ended keeps a letter before it: it begins no word.
    """
    for before, piece in zip([None, *pieces], pieces, strict=False):
        if piece.kind != "data":
            continue
        glued = before is not None and before.kind != "comment_end"
        first, *others = piece.text.split("\n")
        yield (piece.line, piece.column - 1, f"x{first}") if glued else (piece.line, piece.column, first)
        yield from ((piece.line + count, 1, line) for count, line in enumerate(others, start=1))


def _is_item(pieces: Sequence[Token], index: int) -> bool:
    return index > 1 and pieces[index - 1].text in {".", "["}


def _problems(name: str, faults: Sequence[Fault]) -> list[Problem]:
    return [Problem(file=name, line=line, column=column, message=text) for line, column, text in faults]
