"""``edgebuild check``: everything that can be found wrong without running a step."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from edgebuild.amounts import counted
from edgebuild.errors import ManifestError
from edgebuild.manifest.dataset_check import check_copies, check_images, check_labels, check_objects
from edgebuild.run.session import open_session, refuse_same_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgebuild.errors import Problem
    from edgebuild.manifest.values import Dataset
    from edgebuild.run.session import Session

SHOWN = 5
"""How many problems are shown that differ in their place only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOptions:
    """What the user asked of ``check``."""

    manifests: tuple[str, ...]
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    data: bool
    json: bool


def check(options: CheckOptions) -> int:
    """Check manifests, their plans and, unless told not to, every label and both ends of every image.

    Raises:
        ManifestError: Something is wrong; all of it, of every manifest.
        UsageError: Two manifests of a folder have one name.
    """
    problems: list[Problem] = []
    sessions = []
    for path in options.manifests:
        try:
            sessions.append(_check(path, options))
        except ManifestError as error:
            problems += error.problems
    problems = list(dict.fromkeys(problems))
    if not problems:
        refuse_same_place(sessions)
    _print(sessions, problems, as_json=options.json)
    if not problems:
        return 0
    found = ManifestError(problems)
    if not options.json:  # whose document has said it
        raise found
    print(f"edgebuild: {found}", file=sys.stderr)
    return found.exit_code


def _check(path: str, options: CheckOptions) -> Session:
    session = open_session(path, overrides=options.overrides, templates=options.templates)
    dataset = session.manifest.dataset
    if dataset is not None and options.data:
        problems = _data_problems(session, dataset)
        if problems:
            raise ManifestError(shortened(problems))
    return session


def _print(sessions: Iterable[Session], problems: Iterable[Problem], *, as_json: bool) -> None:
    """Print what sound manifests come to; as a document with what is wrong with the others."""
    rows = [_row(session) for session in sessions]
    if as_json:
        wrong = [asdict(problem) for problem in problems]
        print(json.dumps({"schema": 1, "manifests": rows, "problems": wrong}, indent=2, ensure_ascii=False))
        return
    for row in rows:
        print("\n".join(_lines(row)))


def _row(session: Session) -> dict[str, Any]:
    manifest, dataset = session.manifest, session.manifest.dataset
    notes = dict.fromkeys(note for target in session.plan.targets for note in target.notes)
    return {
        "manifest": manifest.file,
        "targets": len(manifest.targets),
        "actions": len(session.plan.actions),
        "images": {one.name: len(one.images) for one in dataset.splits.values()} if dataset else {},
        "unavailable": session.unavailable(skip_all=True),
        "notes": [asdict(note) for note in notes],
    }


def _lines(row: dict[str, Any]) -> Iterator[str]:
    counts = ", ".join(f"{name} {number} images" for name, number in row["images"].items())
    size = f"{counted(row['targets'], 'target')}, {counted(row['actions'], 'action')}"
    yield f"{row['manifest']}: {size}; {counts or 'no dataset'}"
    yield from (f"  {name} cannot be built here: {why}" for name, why in row["unavailable"].items())
    for note in row["notes"]:
        yield f"  {note['level']}: {note['message']}" + (f"; {note['hint']}" if note["hint"] else "")


def _data_problems(session: Session, dataset: Dataset) -> list[Problem]:
    """Return what is wrong with files; what compares them or counts in them only where all can be read."""
    model = session.manifest.model
    problems = []
    for split in dataset.splits.values():
        problems += check_images(split)
        problems += check_labels(split, dataset.names, model.task, dataset.kpt_shape)
    if problems:
        return problems
    validation = dataset.splits[dataset.validation.split]
    for name in dict.fromkeys((validation.name, *(("train",) if model.train else ()))):
        problems += check_objects(dataset.splits[name], dataset.file, model.task)
    # What is listed but neither calibrates nor trains may hold what it likes.
    if {"calibrate", "train"} & {action.step for action in session.plan.actions}:
        for split in dataset.splits.values():
            problems += check_copies(split, validation) if split is not validation else []
    return problems


def shortened(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems with the first :data:`SHOWN` of each kind, and how many more there are.

    A dataset with one mistake in its making has it in every file.
    """
    kinds: dict[str, list[Problem]] = {}
    for problem in sorted(problems):
        kinds.setdefault(problem.message, []).append(problem)
    shown = []
    for message, found in kinds.items():
        shown += found[:SHOWN]
        if len(found) > SHOWN:
            more = f"{message} (and {len(found) - SHOWN} more of these)"
            shown[-1] = replace(shown[-1], message=more)
    return shown
