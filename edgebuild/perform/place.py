"""Inputs of an action: what they are by content, and how they come to lie in its scratch directory."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebuild.action import ActionInput, FileInput, FindingsInput, TreeInput
from edgebuild.cache.store import make_folder
from edgebuild.digest import Digest, canonical_json, digest_text, digest_tree
from edgebuild.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping
    from pathlib import Path

    from edgebuild.action import Action, ActionResult, Input
    from edgebuild.cache.store import Store
    from edgebuild.memo import Memo


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The inputs of one action by content.

    Attributes:
        digests: Per role.
        trees: Listing per tree role, for explanations: (relative path, digest) rows.
    """

    digests: Mapping[str, Digest]
    trees: Mapping[str, tuple[tuple[str, str], ...]]


def read_inputs(action: Action, upstream: Mapping[str, ActionResult], memo: Memo) -> Inputs:
    """Return the content of every input.

    Args:
        action: The action.
        upstream: Results of the actions it needs; they succeeded.
        memo: Remembered digests of the user's files.

    Raises:
        StepError: A file of the user's cannot be read.
    """
    digests: dict[str, Digest] = {}
    trees: dict[str, tuple[tuple[str, str], ...]] = {}
    for item in action.inputs:
        if isinstance(item, ActionInput):
            digests[item.role] = upstream[item.action].artifact(item.output).digest
        elif isinstance(item, FindingsInput):
            digests[item.role] = digest_text(findings_text(item, upstream))
        elif isinstance(item, FileInput):
            digests[item.role] = _digest(item.path, action, memo)
        else:
            rows = tuple((name, _digest(item.root / name, action, memo)) for name in item.files)
            trees[item.role] = rows
            digests[item.role] = digest_tree(rows)
    return Inputs(digests=digests, trees=trees)


def changed_input(action: Action, before: Inputs, memo: Memo) -> str:
    """Return the name of an input file that is no longer what it was, or an empty string."""
    for item in action.inputs:
        if isinstance(item, FileInput) and _digest(item.path, action, memo) != before.digests[item.role]:
            return str(item.path)
        if isinstance(item, TreeInput):
            for name, digest in before.trees[item.role]:
                if _digest(item.root / name, action, memo) != digest:
                    return str(item.root / name)
    return ""


def place_inputs(
    action: Action,
    upstream: Mapping[str, ActionResult],
    store: Store,
    scratch: Path,
    *,
    link: bool,
    copied: Container[str] = (),
) -> None:
    """Lay an action's inputs and rendered files out in its scratch directory.

    Args:
        action: The action.
        upstream: Results of the actions it needs.
        store: Where their artifacts are.
        scratch: The directory.
        link: Link instead of copy: for our own steps, which only read. A vendor's tool gets copies, so
            nothing it does to its input can reach the store or the user's files.
        copied: Roles that are copied although the others are links: a container sees no link's end.
    """
    for item in action.inputs:
        folder = scratch / "in" / item.role
        linked = link and item.role not in copied
        if isinstance(item, ActionInput):
            artifact = upstream[item.action].artifact(item.output)
            store.materialise(artifact, folder / item.name if item.name else folder, link=linked)
        elif isinstance(item, FindingsInput):
            make_folder(folder)
            (folder / item.name).write_text(findings_text(item, upstream), encoding="utf-8")
        else:
            for source, place in _files(item, folder):
                make_folder(place.parent)
                if linked:
                    place.symlink_to(source)
                else:
                    shutil.copyfile(source, place)
    for name, text in action.files:
        place = scratch / "aux" / name
        make_folder(place.parent)
        place.write_text(text, encoding="utf-8", errors="surrogateescape")
    for output in action.outputs:
        make_folder((scratch / "out" / output.path).parent)


def findings_text(item: FindingsInput, upstream: Mapping[str, ActionResult]) -> str:
    """Return the findings of the actions that are errors, as a JSON document."""
    levels = dict(item.levels)
    rows = [
        {"action": name, "id": found.id, "message": found.message}
        for name in item.actions
        for found in upstream[name].findings
        if levels.get(found.id, found.level) == "error"
    ]
    return canonical_json(rows)


def _files(item: Input, folder: Path) -> Iterator[tuple[Path, Path]]:
    if isinstance(item, FileInput):
        yield item.path, folder / item.name
    elif isinstance(item, TreeInput):
        for name in item.files:
            yield item.root / name, folder / name


def _digest(path: Path, action: Action, memo: Memo) -> Digest:
    try:
        return memo.digest(os.fspath(path))
    except OSError as error:
        raise StepError(
            f"{action.id}: {path}: {error.strerror}", hint="put the file back, or mend the manifest"
        ) from error
