"""Scripts that set a vendor's SDK up (``set_env.sh``): sourced once, and what they changed is a value."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.digest import digest_document
from edgebuild.environment.patterns import expand_pattern
from edgebuild.process.execute import StartError, capture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 60.0
"""A script that takes longer asks a question or waits for a licence."""

SOURCE = 'env -0 >"$2/before"; . "$1" || exit; env -0 >"$2/after"'
"""What bash does; its arguments are the script and a folder for the answer."""

SHELL_OWN = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
"""Variables that bash changes by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Activated:
    """What came of a script.

    Attributes:
        script: Its path, or empty when there is none.
        variables: What it set or changed, with the new values.
        identity: Digest of that, without where the SDK lies.
        how: What was tried, in words.
        problem: Why it failed, or empty.
    """

    script: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    identity: str = ""
    how: tuple[str, ...] = ()
    problem: str = ""


def activate(patterns: Sequence[str], base: Mapping[str, str]) -> Activated:
    """Source the first script that exists, in a scrubbed environment.

    Args:
        patterns: Paths to try in order; ``${NAME}`` is a variable, ``*`` a glob.
        base: The environment it starts from; also where the variables in the patterns come from.
    """
    script, how = _find(patterns, base)
    if not script:
        return Activated(how=how)
    with tempfile.TemporaryDirectory(prefix="edgebuild-") as folder:
        argv = ["bash", "--noprofile", "--norc", "-c", SOURCE, "edgebuild", script, folder]
        try:
            done = capture(argv, env=base, timeout=SECONDS)
        except (StartError, TimeoutError) as error:
            return Activated(script=script, how=how, problem=f"{script} cannot be sourced: {error}")
        before, after = (_read(Path(folder, name)) for name in ("before", "after"))
    if done.exit_code or not after:
        said = " ".join(done.text.split()[-30:])
        text = (
            f"{script} failed when it was sourced (exit code {done.exit_code}): {said or 'it says nothing'}"
        )
        return Activated(script=script, how=how, problem=text)
    changed = {
        name: value
        for name, value in sorted(after.items())
        if before.get(name) != value and name not in SHELL_OWN and re.fullmatch(r"[A-Za-z_]\w*", name)
    }
    return Activated(
        script=script,
        variables=tuple(changed.items()),
        identity=f"activated {digest_document(_placeless(changed, before, script))}",
        how=(*how, f"sourced {script}"),
    )


def looked_for(patterns: Sequence[str], base: Mapping[str, str]) -> tuple[str, ...]:
    """Return in words where no script was found."""
    return _find(patterns, base)[1]


def _find(patterns: Sequence[str], base: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    how: list[str] = []
    for pattern in patterns:
        found = expand_pattern(pattern, base, how)
        if found:
            return found[0], tuple(how)
    return "", tuple(how)


def _read(file: Path) -> dict[str, str]:
    try:
        rows = os.fsdecode(file.read_bytes()).split("\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (row.partition("=") for row in rows if row)}


def _placeless(changed: Mapping[str, str], before: Mapping[str, str], script: str) -> dict[str, list[str]]:
    """Return what a script set without where the SDK lies, and without what stood in a list before.

    Two installations of one release then share results wherever they are.
    """
    folder = Path(script).parent
    places = [(str(folder.resolve()), "${SDK}"), (str(folder), "${SDK}"), (before.get("HOME", ""), "${HOME}")]
    found = {}
    for name, value in changed.items():
        old = set(before.get(name, "").split(":"))
        parts = [part for part in value.split(":") if part not in old]
        for place, word in places:
            parts = [_replaced(part, place, word) for part in parts] if place.strip("/") else parts
        found[name] = parts
    return found


def _replaced(part: str, place: str, word: str) -> str:
    inside = part == place or part.startswith(f"{place}/")
    return word + part[len(place) :] if inside else part
