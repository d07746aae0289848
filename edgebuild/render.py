"""Templates become argvs and files.

A ``*.cmd.j2`` is a plain command line. Every interpolated value is quoted, and the result is split into an
argv, so no shell is involved and a value can never become more, or less, than one word. Other templates
render to files and are not quoted.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from edgebuild.errors import ManifestError, Problem
from edgebuild.lint import command_problems, problem_of
from edgebuild.template import RefusedError, TemplateError, filled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def render_argv(text: str, name: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Render a command template to an argv.

    Args:
        text: The template's text.
        name: What errors call it, such as ``<toolchain>/compile.cmd.j2``.
        variables: Values of the names in :data:`edgebuild.template.VARIABLES`.

    Raises:
        ManifestError: The template is wrong, names an unknown variable, holds what does not belong in a
            command (:mod:`edgebuild.lint`), or meets a value (None, a bool, a mapping) that it must spell
            out with a filter.
    """
    if wrong := command_problems(text, name):
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
        variables: Values of the names in :data:`edgebuild.template.VARIABLES`.

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
            raise RefusedError(f"toolchain_file({name!r}): the step does not declare it in `uses`")
        return f"in/toolchain/{name}"

    return toolchain_file


def _render(text: str, name: str, variables: Mapping[str, Any], *, command: bool) -> str:
    try:
        return filled(text, name, variables, command=command)
    except TemplateError as error:
        raise ManifestError([problem_of(text, name, error, variables)]) from error
