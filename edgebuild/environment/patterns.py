"""Patterns that say where an SDK lies, such as ``${ACME_HOME}/acme-*/set_env.sh``: the newest comes first."""

from __future__ import annotations

import glob
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def variables_in(pattern: str) -> tuple[str, ...]:
    """Return the variables that a pattern mentions."""
    return tuple(_VARIABLE.findall(pattern))


def expand_pattern(pattern: str, environ: Mapping[str, str], how: list[str]) -> list[str]:
    """Return the files that a pattern with variables and globs names, and note in words what was tried.

    Of several releases side by side the newest comes first: numbers count as numbers, 10.0 after 9.2.
    """
    unset = [name for name in variables_in(pattern) if not environ.get(name)]
    if unset:
        how.append(f"skipped {pattern}: {', '.join(unset)} is not set")
        return []
    path = _VARIABLE.sub(lambda match: glob.escape(environ[match.group(1)]), pattern)
    found = sorted(glob.glob(path), key=_by_numbers, reverse=True)  # noqa: PTH207 - Path.glob takes no absolute one
    if not found:
        how.append(f"no file {path}")
    return found


def _by_numbers(path: str) -> list[list[tuple[int, str]]]:
    return [
        [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
        for name in path.split("/")
    ]
