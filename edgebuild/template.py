"""The language of templates: the only module that knows Jinja.

What a template can name, how a value becomes text, and where in a template a word stands. docs/toolchains.md
lists the variables, which are a contract.
"""

from __future__ import annotations

import json
import re
import shlex
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edgebuild.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Environment, Template, TemplateSyntaxError
    from jinja2.nodes import Node

VARIABLES = frozenset(
    {
        "aux",
        "batch",
        "calibration",
        "extra_args",
        "imgsz",
        "input_shape",
        "inputs",
        "model",
        "options",
        "outputs",
        "precision",
        "quantize",
        "recipe",
        "target",
        "toolchain_file",
        "tools",
    }
)
"""Everything a template can name; docs/toolchains.md says what each one is."""

GRAPH_VARIABLES = VARIABLES | {
    "float_layers",
    "float_modules",
    "float_nodes",
    "float_outputs",
    "float_types",
    "graph",
    "quantized_layers",
    "quantized_nodes",
}
"""What the template of a file that depends on a graph can name."""

PACKAGE_VARIABLES = (VARIABLES - {"aux", "inputs", "outputs", "toolchain_file"}) | {"artifact", "threads"}
"""What the template of a package's file can name."""

PLACES = {
    VARIABLES: "a step's template",
    GRAPH_VARIABLES: "the template of a file that depends on a graph",
    PACKAGE_VARIABLES: "a package's template",
}
"""What messages call the templates that know these variables."""


class TemplateError(Exception):
    """A template is wrong, or a value makes it so.

    Attributes:
        message: What is wrong, with near misses.
        line: Where, counted from 1; 0: not known.
        missing: Name of the value that does not exist, or empty.
        syntax: It is no template at all.
    """

    def __init__(self, message: str, line: int, *, missing: str = "", syntax: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.missing = missing
        self.syntax = syntax


class RefusedError(Exception):
    """A value that has no obvious spelling on a command line or in a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A piece of a template: its kind, such as ``data`` or ``name``, and where it begins, counted from 1."""

    kind: str
    text: str
    line: int
    column: int


def tokens(text: str) -> list[Token]:
    """Return the pieces of a template in order; of a wrong one, those before the fault."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - Jinja is loaded only when something renders

    text = re.sub(r"\r\n?", "\n", text)
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    found: list[Token] = []
    at = 0
    try:
        for _, kind, value in _environment(command=True).lex(text):
            # Jinja leaves out blanks before a tag with a minus sign.
            at = max(at, text.find(value, at))
            line = bisect_right(starts, at)
            found.append(Token(kind=kind, text=value, line=line, column=at - starts[line - 1] + 1))
            at += len(value)
    except TemplateSyntaxError:
        pass
    return found


def named(text: str) -> frozenset[str]:
    """Return the variables that a template names.

    Raises:
        TemplateError: It is not a template, or has an unknown filter.
    """
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - likewise
    from jinja2.meta import find_undeclared_variables  # noqa: PLC0415 - likewise

    try:
        return frozenset(find_undeclared_variables(_environment(command=True).parse(text)))
    except TemplateSyntaxError as error:
        raise _syntax_error(error) from error


def first_words(text: str) -> list[tuple[str, int]]:
    """Return the words that a command can begin with, as far as no value decides, and their data's lines.

    The template is one: :func:`named` had nothing against it.
    """
    return _starts(_environment(command=True).parse(text).body, text.rstrip())[0]


def filled(text: str, name: str, variables: Mapping[str, Any], *, command: bool) -> str:
    """Return a template with values in place of expressions, quoted where it is a command.

    Raises:
        TemplateError: The template is wrong, a value does not exist, or cannot be written.
    """
    from jinja2 import TemplateSyntaxError, UndefinedError  # noqa: PLC0415 - likewise

    try:
        return _compiled(text, name, command=command).render(dict(variables))
    except TemplateSyntaxError as error:
        raise _syntax_error(error) from error
    except UndefinedError as error:
        message = error.message or "undefined"
        missing = re.match(r"there is no value '([^']+)'", message)
        raise TemplateError(message, _line(error, name), missing=missing[1] if missing else "") from error
    except Exception as error:  # an expression can raise anything
        what = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        raise TemplateError(what, _line(error, name)) from error


def near(word: str, known: Iterable[Any]) -> str:
    """Return ``, did you mean 'x'?`` when a known word is near, else nothing."""
    found = did_you_mean(word, map(str, known))
    return f", {found}" if found else ""


def _syntax_error(error: TemplateSyntaxError) -> TemplateError:
    message = error.message or "syntax error"
    word = re.fullmatch(r"No (filter|test) named '(.+)'\.", message)
    if word:
        language = _environment(command=True)
        known = language.filters if word[1] == "filter" else language.tests
        message = f"there is no {word[1]} {word[2]!r}{near(word[2], known)}"
    return TemplateError(message, error.lineno, syntax=True)


def _line(error: BaseException, name: str) -> int:
    trace, line = error.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _starts(body: Iterable[Node], text: str) -> tuple[list[tuple[str, int]], bool]:
    """Return the first words of a part of a template, and whether it may also come to nothing."""
    from jinja2 import nodes  # noqa: PLC0415 - likewise

    found: list[tuple[str, int]] = []
    for node in (
        one for outer in body for one in (outer.nodes if isinstance(outer, nodes.Output) else [outer])
    ):
        if isinstance(node, nodes.TemplateData):
            if word := next(iter(node.data.split()), ""):
                ended = node.data.strip() != word or node.data.endswith(tuple(" \n\t")) or text.endswith(word)
                return [*found, *([(word, node.lineno)] if ended else [])], False
        elif isinstance(node, nodes.If):
            branches = [node.body, *(one.body for one in node.elif_), node.else_]
            ways = [_starts(branch, text) for branch in branches]
            found += [word for words, _ in ways for word in words]
            if not any(nothing for _, nothing in ways):
                return found, False
        elif isinstance(node, nodes.For):
            found += _starts(node.body, text)[0]
        else:
            return found, False  # a value: known when it is rendered
    return found, True


@lru_cache(maxsize=512)
def _compiled(text: str, name: str, *, command: bool) -> Template:
    language = _environment(command=command)
    code = language.compile(text, name=name, filename=name)
    return language.template_class.from_code(language, code, language.make_globals(None))


@lru_cache(maxsize=2)
def _environment(*, command: bool) -> Environment:
    import jinja2  # noqa: PLC0415 - costs start-up time that a finished plan saves

    class Missing(jinja2.StrictUndefined):
        """Says which names there are."""

        @property
        def _undefined_message(self) -> str:
            if self._undefined_hint:
                return self._undefined_hint
            word, holder = str(self._undefined_name), self._undefined_obj
            if not isinstance(holder, Mapping):
                # Without a holder it is a variable: of what there may be, what is near.
                return f"there is no value {word!r}{near(word, GRAPH_VARIABLES | PACKAGE_VARIABLES)}"
            known = ", ".join(map(str, holder))
            return f"there is no value {word!r}{near(word, holder)} (there are {known or 'none'})"

    class ItemsFirst(jinja2.Environment):
        """An option called ``items`` is an option, not a method of the mapping that holds it."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Mapping):
                return obj.get(attribute, self.undefined(obj=obj, name=attribute))
            return super().getattr(obj, attribute)

    language = ItemsFirst(
        undefined=Missing,
        finalize=_quoted if command else _plain,
        # In a command the line breaks around a tag separate words: trimming them would glue two together.
        trim_blocks=not command,
        lstrip_blocks=not command,
        keep_trailing_newline=True,
    )
    language.filters |= {
        "basename": lambda path: _path(path).name,
        "dirname": lambda path: str(_path(path).parent),
        "json": _json,
        "stem": lambda path: str(_path(path).with_suffix("")),
    }
    language.policies["json.dumps_function"] = _json
    return language


def _path(value: Any) -> PurePosixPath:
    return PurePosixPath(_defined(value))


def _json(value: Any, **settings: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False, **settings, "default": _no_json})


def _no_json(value: Any) -> Any:
    raise RefusedError(f"{_kind(_defined(value))} cannot be written as JSON")


def _defined(value: Any) -> Any:
    """Return a value; one that does not exist says its own name when it is turned into text."""
    import jinja2  # noqa: PLC0415 - likewise

    if isinstance(value, jinja2.Undefined):
        str(value)
    return value


def _quoted(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(shlex.quote(_plain(item)) for item in value)
    return shlex.quote(_plain(value))


def _plain(value: Any) -> str:
    """Return a value as text; refuses what has no obvious spelling there."""
    if isinstance(value, bool):
        raise RefusedError(f"{value} has no one spelling; write it with `| lower`, `| int` or an `if`")
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        if "\0" in value:
            raise RefusedError("a value holds a NUL character")
        return value
    # An undefined value says its own name when it is turned into text.
    raise RefusedError(f"{_kind(value)} cannot be written as it is; use a filter such as `| json`")


def _kind(value: Any) -> str:
    return "None" if value is None else f"{str(value)[:60]!r} ({type(value).__name__})"
