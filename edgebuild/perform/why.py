"""Why an action runs: the difference between two key documents, in words. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import Reason
from edgebuild.digest import short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Rows = tuple[tuple[str, str], ...]

LONGEST = 160
"""Characters of a difference between two texts that are shown."""


def reasons(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    old_trees: Mapping[str, Rows],
    new_trees: Mapping[str, Rows],
    texts: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> tuple[Reason, ...]:
    """Return what differs between the last key document of an action and this one.

    Args:
        old: The key document of its last success here, or None.
        new: The key document now.
        old_trees: File listings of the tree inputs then, by role.
        new_trees: File listings of the tree inputs now, by role.
        texts: Texts of the rendered files, by path: then, and now.

    Returns:
        One reason per difference; a single ``unchanged`` when there is none.
    """
    if old is None:
        return (Reason(kind="new", what="no earlier result in this workspace"),)
    found = [
        *_command(old["argv"], new["argv"]),
        *_mapping("environment", old["env"], new["env"]),
        *_inputs(old["inputs"], new["inputs"], old_trees, new_trees),
        *_files(old["files"], new["files"], *texts),
        *_tools(old["tools"], new["tools"]),
        *_mapping("machine", {"processor": old["machine"]}, {"processor": new["machine"]}),
        *_rest(old, new),
    ]
    return tuple(found) or (Reason(kind="unchanged", what="nothing that can change its output"),)


def _command(old: list[str], new: list[str]) -> Iterator[Reason]:
    """Compare two argvs by option, so that a changed value names its option and an order does not matter."""
    before, after = _options(old), _options(new)
    if old != new and before == after:
        yield Reason(kind="command", what="order of the arguments", old=" ".join(old), new=" ".join(new))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield Reason(kind="option", what=name, old=_value(before.get(name)), new=_value(after.get(name)))


def _options(argv: list[str]) -> dict[str, tuple[str, ...]]:
    """Return option -> values; words before the first option are the command itself."""
    options: dict[str, tuple[str, ...]] = {}
    name = "command"
    for word in argv:
        value = word
        if word.startswith("-") and not _is_number(word):
            name, equals, value = word.partition("=")
            options.setdefault(name, ())
            if not equals:
                continue
        options[name] = (*options.get(name, ()), value)
    return options


def _value(values: tuple[str, ...] | None) -> str:
    """Return an option's values in words; one that takes none is ``set``."""
    return "" if values is None else " ".join(values) or "set"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _inputs(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    old_trees: Mapping[str, Rows],
    new_trees: Mapping[str, Rows],
) -> Iterator[Reason]:
    for role in dict.fromkeys([*old, *new]):
        before, after = old.get(role), new.get(role)
        if before == after:
            continue
        if role in old_trees and role in new_trees:
            yield _tree(role, dict(old_trees[role]), dict(new_trees[role]))
        else:
            yield Reason(kind="input", what=role, old=_content(before, after), new=_content(after, before))


def _tree(role: str, old: Mapping[str, str], new: Mapping[str, str]) -> Reason:
    added = sorted(set(new) - set(old))
    removed = sorted(set(old) - set(new))
    changed = sorted(name for name in set(old) & set(new) if old[name] != new[name])
    counts = [
        f"{sign}{len(names)}" for sign, names in (("+", added), ("-", removed), ("~", changed)) if names
    ]
    names = [f"+{n}" for n in added] + [f"-{n}" for n in removed] + [f"~{n}" for n in changed]
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return Reason(
        kind="input",
        what=role,
        old=f"{len(old)} files",
        new=f"{len(new)} files: {' '.join(counts)} files ({shown})",
    )


def _tools(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Reason]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            code = name.startswith("code:")
            kind = "code" if code else "tool"
            before, after = old.get(name, ""), new.get(name, "")
            yield Reason(
                kind=kind,
                what=name.removeprefix("code:").removeprefix("distribution:"),
                old=short(before) if code else before,
                new=short(after) if code else after,
            )


def _files(
    old: Mapping[str, str], new: Mapping[str, str], old_texts: Mapping[str, str], new_texts: Mapping[str, str]
) -> Iterator[Reason]:
    """Compare rendered files: the lines that differ where both texts are known, else their digests."""
    for reason in _mapping("file", old, new, digest=True):
        before, after = old_texts.get(reason.what), new_texts.get(reason.what)
        if before is None or after is None:
            yield reason
            continue
        gone, come = _difference(before, after)
        yield replace(reason, old=gone or reason.old, new=come or reason.new)


def _difference(old: str, new: str) -> tuple[str, str]:
    """Return what only the old and what only the new text has, each cut to a readable length."""
    lines = list(difflib.ndiff(_pieces(old), _pieces(new)))
    gone, come = (
        " ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in ("- ", "+ ")
    )
    return _cut(gone), _cut(come)


def _pieces(text: str) -> list[str]:
    """Return the lines of a text; a document in one line is taken apart at its commas."""
    lines = text.splitlines()
    return lines if len(lines) > 1 else re.split(r"(?<=[,{}\[\]])", text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _mapping(
    kind: str, old: Mapping[str, str], new: Mapping[str, str], *, digest: bool = False
) -> Iterator[Reason]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            before, after = old.get(name, ""), new.get(name, "")
            if digest:
                before, after = short(before), short(after)
            yield Reason(kind=kind, what=name, old=before, new=after)


def _rest(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Reason]:
    yield from _mapping("output", _spelled(old["outputs"]), _spelled(new["outputs"]))
    for name, what in (("step", "step"), ("success", "what a good log has and lacks"), ("schema", "key")):
        if old.get(name) != new.get(name):
            yield Reason(kind="command", what=what, old=str(old.get(name)), new=str(new.get(name)))


def _spelled(outputs: Mapping[str, list[Any]]) -> dict[str, str]:
    """Return role -> path of the outputs, with what else is declared of them."""
    return {
        role: " ".join(filter(None, [path, "(directory)" if tree else "", magic, *map(_text, more)]))
        for role, (path, tree, magic, *more) in outputs.items()
    }


def _text(rule: Any) -> str:
    return ", ".join(rule) if isinstance(rule, list) else str(rule)


def _content(row: Any, other: Any) -> str:
    """Return an input's content in short; its name where that is all that differs."""
    if row is None:
        return ""
    return str(row[0]) if other is not None and row[1] == other[1] else short(str(row[1]))
