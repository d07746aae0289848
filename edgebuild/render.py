"""Templates: the only module that knows Jinja.

A ``*.cmd.j2`` is a plain command line. Every interpolated value is quoted, and the result is split into an
argv, so no shell is involved and a value can never become more, or less, than one word. Other templates
render to files and are not quoted. docs/toolchains.md lists the variables, which are a contract.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edgebuild.errors import ManifestError, Problem
from edgebuild.toolchain.options import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jinja2 import Environment, Template, TemplateSyntaxError

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

PACKAGE_VARIABLES = (VARIABLES - {"aux", "inputs", "outputs", "toolchain_file"}) | {"artifact"}
"""What the template of a package's file can name."""

COMMAND_TAGS = frozenset({"if", "elif", "else", "endif", "for", "endfor"})
"""Tags a command may use: what a block or a macro renders would be quoted a second time."""

QUOTES = frozenset("'\"\\")
SHELL = frozenset("$`|<>;&*?~")


class _RefusedError(Exception):
    """A value that has no obvious spelling on a command line or in a file."""


def render_argv(text: str, name: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Render a command template to an argv.

    Args:
        text: The template's text.
        name: What errors call it, such as ``<toolchain>/compile.cmd.j2``.
        variables: Values of the names in :data:`VARIABLES`.

    Raises:
        ManifestError: The template is wrong, names an unknown variable, holds what does not belong in a
            command (see :func:`lint_command`), or meets a value (None, a bool, a mapping) that it must spell
            out with a filter.
    """
    if wrong := _command_faults(text, name):
        raise ManifestError(list(wrong))
    line = _render(text, name, variables, command=True)
    argv = tuple(shlex.split(line))  # quotes are closed: only values have any
    if not argv:
        raise ManifestError([Problem(file=name, message="renders to nothing")])
    return argv


def render_text(text: str, name: str, variables: Mapping[str, Any]) -> str:
    """Render an auxiliary file; nothing is quoted (``| json`` does it where a format wants it).

    Args:
        text: The template's text.
        name: What errors call it.
        variables: Values of the names in :data:`VARIABLES`.

    Raises:
        ManifestError: As for :func:`render_argv`.
    """
    return _render(text, name, variables, command=False)


def file_lookup(uses: Sequence[str]) -> Callable[[str], str]:
    """Return the ``toolchain_file`` of a step: file name -> its path in the scratch directory.

    Args:
        uses: Files the step declares. Any other name is refused: it would not be part of the action key.
    """

    def toolchain_file(name: str) -> str:
        if name not in uses:
            raise _RefusedError(f"toolchain_file({name!r}): the step does not declare it in `uses`")
        return f"in/toolchain/{name}"

    return toolchain_file


def lint_command(text: str, name: str) -> list[str]:
    """Return what is wrong with a command template without rendering it, as ``name:line: message``."""
    return [str(problem) for problem in _command_faults(text, name)]


def lint_text(text: str, name: str, known: frozenset[str] = VARIABLES) -> list[str]:
    """Return what is wrong with the template of an auxiliary file, as ``name:line: message``."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - Jinja is loaded only when something renders

    try:
        found = [_problem(text, name, line, message) for line, message in _unknown_variables(text, known)]
    except TemplateSyntaxError as error:
        found = [_syntax_problem(text, name, error)]
    return [str(problem) for problem in found]


@lru_cache(maxsize=512)
def _command_faults(text: str, name: str) -> tuple[Problem, ...]:
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - Jinja is loaded only when something renders

    try:
        tokens = list(_environment(command=True).lex(text))
        unknown = _unknown_variables(text)
    except TemplateSyntaxError as error:
        return (_syntax_problem(text, name, error),)
    return tuple(_problem(text, name, line, message) for line, message in (*_lint_tokens(tokens), *unknown))


def _problem(text: str, name: str, line: int, message: str) -> Problem:
    """Return a problem, with the column of the word that it quotes first, where that is on the line."""
    quoted = re.search(r"'([^']+)'", message)
    lines = text.splitlines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    column = written.find(quoted.group(1)) + 1 if quoted else 0
    return Problem(file=name, line=line, column=column, message=message)


def _syntax_problem(text: str, name: str, error: TemplateSyntaxError) -> Problem:
    message = error.message or "syntax error"
    word = re.fullmatch(r"No (filter|test) named '(.+)'\.", message)
    if word:
        environment = _environment(command=True)
        known = environment.filters if word[1] == "filter" else environment.tests
        message = f"there is no {word[1]} {word[2]!r}{suggestion(word[2], known)}"
    lines = text.splitlines()
    written = lines[error.lineno - 1].strip() if 0 < error.lineno <= len(lines) else ""
    return replace(_problem(text, name, error.lineno, message), hint=f"in `{written}`" if written else "")


def _lint_tokens(tokens: list[tuple[int, str, str]]) -> Iterator[tuple[int, str]]:
    words = [token for token in tokens if token[1] != "whitespace"]
    for (line, kind, value), after in zip(words, [*words[1:], (0, "", "")], strict=True):
        if kind == "block_begin" and after[2] not in COMMAND_TAGS:
            yield line, f"the tag {after[2]!r} is not allowed in a command: what it renders is quoted twice"
        if kind == "data" and QUOTES & set(value):
            yield line, "quotes and backslashes do not belong in a command: every value is quoted already"
        if kind == "data" and SHELL & set(value):
            found = "".join(sorted(SHELL & set(value)))
            yield line, f"no shell reads the command: {found!r} would be a plain word"


def _unknown_variables(text: str, known: frozenset[str] = VARIABLES) -> list[tuple[int, str]]:
    from jinja2 import nodes  # noqa: PLC0415 - Jinja is loaded only when something renders
    from jinja2.meta import find_undeclared_variables  # noqa: PLC0415 - likewise

    tree = _environment(command=True).parse(text)
    unknown = find_undeclared_variables(tree) - known
    lines = {node.name: node.lineno for node in tree.find_all(nodes.Name)}
    return [
        (lines.get(word, 0), f"there is no variable {word!r}{suggestion(word, known)}")
        for word in sorted(unknown)
    ]


def _render(text: str, name: str, variables: Mapping[str, Any], *, command: bool) -> str:
    from jinja2 import TemplateSyntaxError, UndefinedError  # noqa: PLC0415 - loaded only to render

    try:
        return _compiled(text, name, command=command).render(dict(variables))
    except TemplateSyntaxError as error:
        raise ManifestError([_syntax_problem(text, name, error)]) from error
    except UndefinedError as error:
        problem = _problem(text, name, _line(error, name), error.message or "undefined")
        raise ManifestError([problem]) from error
    except Exception as error:  # an expression can raise anything
        what = str(error) if isinstance(error, _RefusedError) else f"{type(error).__name__}: {error}"
        raise ManifestError([_problem(text, name, _line(error, name), what)]) from error


def _line(error: BaseException, name: str) -> int:
    trace, line = error.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


@lru_cache(maxsize=512)
def _compiled(text: str, name: str, *, command: bool) -> Template:
    environment = _environment(command=command)
    code = environment.compile(text, name=name, filename=name)
    return environment.template_class.from_code(environment, code, environment.make_globals(None))


@lru_cache(maxsize=2)
def _environment(*, command: bool) -> Environment:
    import jinja2  # noqa: PLC0415 - costs start-up time that a finished plan saves

    class Missing(jinja2.StrictUndefined):
        """Says which names there are."""

        @property
        def _undefined_message(self) -> str:
            word, holder = str(self._undefined_name), self._undefined_obj
            known = list(holder) if isinstance(holder, Mapping) else []
            # Without a holder it is a variable: of what there may be, what is near.
            near = suggestion(word, known or GRAPH_VARIABLES | PACKAGE_VARIABLES)
            text = f"there is no value {word!r}{near}"
            return f"{text} (there are {', '.join(map(str, known))})" if known else text

    class ItemsFirst(jinja2.Environment):
        """An option called ``items`` is an option, not a method of the mapping that holds it."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Mapping):
                return obj.get(attribute, self.undefined(obj=obj, name=attribute))
            return super().getattr(obj, attribute)

    environment = ItemsFirst(
        undefined=Missing,
        finalize=_quoted if command else _plain,
        # In a command the line breaks around a tag separate words: trimming them would glue two together.
        trim_blocks=not command,
        lstrip_blocks=not command,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "basename": lambda path: PurePosixPath(path).name,
        "dirname": lambda path: str(PurePosixPath(path).parent),
        "json": lambda value: json.dumps(value, ensure_ascii=False),
        "stem": lambda path: str(PurePosixPath(path).with_suffix("")),
    }
    return environment


def _quoted(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(shlex.quote(_plain(item)) for item in value)
    return shlex.quote(_plain(value))


def _plain(value: Any) -> str:
    """Return a value as text; refuses what has no obvious spelling there."""
    if isinstance(value, bool):
        raise _RefusedError(f"{value} has no one spelling; write it with `| lower`, `| int` or an `if`")
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        if "\0" in value:
            raise _RefusedError("a value holds a NUL character")
        return value
    # An undefined value says its own name when it is turned into text.
    raise _RefusedError(f"{_kind(value)} cannot be written as it is; use a filter such as `| json`")


def _kind(value: Any) -> str:
    return "None" if value is None else f"{str(value)[:60]!r} ({type(value).__name__})"
