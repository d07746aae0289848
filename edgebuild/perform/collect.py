"""Outputs of an action: proof that they are there and complete, and their way into the store."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from edgebuild.action import Artifact, Finding
from edgebuild.cache.store import store_error
from edgebuild.digest import Digest, digest_file, digest_tree
from edgebuild.errors import StepError
from edgebuild.plan.finding_levels import LEVELS
from edgebuild.protocol import FINDING_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgebuild.action import Action, LogRule, Output
    from edgebuild.cache.store import Store


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/][0-~]|[0-Z\\^-~])")
"""ECMA-48: control sequences (colours), commands to the terminal (titles), character sets, short codes."""


def read_log(log: Path, start: int = 0) -> str:
    """Return what a process said, from a byte of its log on: earlier attempts and our own lines left out.

    Colours and other escape codes are left out too: a rule is about what a person reads.
    """
    with log.open("rb") as stream:
        stream.seek(start)
        text = stream.read().decode("utf-8", "replace")
    return _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def check_log(action: Action, text: str) -> None:
    """Check what the toolchain says a good log has and lacks.

    Args:
        action: The action.
        text: What its process said.

    Raises:
        StepError: The log contradicts success; the exit code alone is not proof.
    """
    # What went wrong says more than what is missing because of it.
    for pattern in action.success.log_lacks:
        match = re.search(pattern, text, re.MULTILINE)
        if match:
            raise StepError(f"{action.id}: exited 0, but its log says {_whole_line(match)!r}")
    for pattern in action.success.log_has:
        if not re.search(pattern, text, re.MULTILINE):
            raise StepError(f"{action.id}: exited 0, but its log has no line matching {pattern!r}")


def _whole_line(match: re.Match[str]) -> str:
    """Return the line that a match begins in, or the match where that is empty."""
    start = match.string.rfind("\n", 0, match.start()) + 1
    return match.string[start:].partition("\n")[0].strip()[:400] or match.group(0)


def find(rules: Sequence[LogRule], text: str) -> tuple[Finding, ...]:
    """Return what the toolchain's rules find in a log, each rule once, with the first matching line."""
    lines = text.split("\n") if rules else []
    found = []
    for rule in rules:
        pattern = re.compile(rule.pattern)
        line = next((line for line in lines if pattern.search(line)), None)
        if line is not None:
            message = rule.message or line.strip()[:400]
            found.append(Finding(id=rule.id, level=rule.level, message=message, hint=rule.hint))
    return tuple(found)


def as_ruled(findings: Sequence[Finding], rules: Sequence[LogRule]) -> tuple[Finding, ...]:
    """Return findings of an earlier run with the level and hint that their rules give them today.

    What a rule added since then would have found is not known; one that rejects has the action run again.
    """
    return tuple(
        replace(found, level=rule.level, hint=rule.hint) if (rule := _rule_of(found, rules)) else found
        for found in findings
    )


def _rule_of(found: Finding, rules: Sequence[LogRule]) -> LogRule | None:
    """Return the rule that finds what was found; of several with one id the one that says or matches it."""
    named = [rule for rule in rules if rule.id == found.id]
    for rule in named:
        if found.message == rule.message or (not rule.message and re.search(rule.pattern, found.message)):
            return rule
    return named[0] if named else None


def said_findings(text: str) -> tuple[Finding, ...]:
    """Return what one of our own steps said with :data:`FINDING_PREFIX`, each once."""
    found: dict[Finding, None] = {}
    for line in text.split("\n"):
        if line.startswith(FINDING_PREFIX):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                row = json.loads(line.removeprefix(FINDING_PREFIX))
                level = LEVELS[row["level"]]
                message, hint = str(row["message"])[:400], str(row.get("hint", ""))
                found[Finding(id=str(row["id"]), level=level, message=message, hint=hint)] = None
    return tuple(found)


def collect_outputs(action: Action, scratch: Path, store: Store) -> tuple[Artifact, ...]:
    """Check every declared output and move it into the store.

    Raises:
        StepError: An output is missing, empty, of the wrong kind or has the wrong first bytes.
        StoreError: The store cannot take it.
    """
    for output in action.outputs:
        _check(action, output, scratch / "out")
    return tuple(_adopt(output, scratch / "out" / output.path, store) for output in action.outputs)


def _check(action: Action, output: Output, root: Path) -> None:
    what = f"{action.id}: exited 0, but its output {output.path!r}"
    path = root / output.path
    # A link anywhere on the way would let a tool hand us files that are not its own.
    way = accumulate(path.relative_to(root).parts, lambda folder, name: folder / name, initial=root)
    links = [place for place in way if place.is_symlink()]
    if links:
        raise StepError(f"{what} is a symbolic link ({links[0].name})")
    if output.tree:
        _check_tree(what, path)
        missing = [name for name in output.holds if not (path / name).is_file()]
        if missing:
            raise StepError(f"{what} holds no {', '.join(missing)}: the tool did not finish")
        return
    if not path.is_file():
        raise StepError(f"{what} was not made")
    if path.stat().st_size == 0:
        raise StepError(f"{what} is empty")
    magic = bytes.fromhex(output.magic)
    with path.open("rb") as stream:
        head = stream.read(len(magic))
    if head != magic:
        raise StepError(
            f"{what} starts with {head.hex()}, not with {output.magic}: it is not what it should be"
        )
    if output.matches and not re.search(output.matches, path.read_text("utf-8", "replace"), re.MULTILINE):
        raise StepError(f"{what} has nothing that matches {output.matches!r}")


def _check_tree(what: str, path: Path) -> None:
    if not path.is_dir():
        raise StepError(f"{what} was not made, or is not a directory")
    found = [p for p in sorted(path.rglob("*")) if p.is_symlink() or not p.is_dir()]
    strange = next((p for p in found if p.is_symlink() or not p.is_file()), None)
    if strange is not None:
        name = strange.relative_to(path).as_posix()
        raise StepError(f"{what} holds {name!r}, which is a link or no regular file")
    if not found:
        raise StepError(f"{what} is a directory without files")


def _adopt(output: Output, path: Path, store: Store) -> Artifact:
    if not output.tree:
        digest, size = _adopt_file(path, store)
        return Artifact(role=output.role, digest=digest, size=size)
    rows = [
        (name.relative_to(path).as_posix(), *_adopt_file(name, store))
        for name in sorted(path.rglob("*"))
        if name.is_file()
    ]
    return tree_artifact(output.role, rows)


def tree_artifact(role: str, entries: list[tuple[str, Digest, int]]) -> Artifact:
    """Return the artifact of a directory from its (relative path, digest, size) rows."""
    rows = tuple(sorted(entries))
    return Artifact(
        role=role,
        digest=digest_tree((name, digest) for name, digest, _ in rows),
        size=sum(size for _, _, size in rows),
        entries=rows,
        tree=True,
    )


def _adopt_file(path: Path, store: Store) -> tuple[Digest, int]:
    try:
        size = os.stat(path).st_size  # noqa: PTH116 - one call per output file
        digest = digest_file(path)
    except OSError as error:
        raise store_error(error, path) from error
    store.adopt(path, digest)
    return digest, size
