"""Read a manifest: YAML in, one frozen value out, or every problem found at once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.document.node import Node
from edgebuild.document.parse import parse, read_text
from edgebuild.errors import ManifestError, Problem
from edgebuild.gates import METRICS
from edgebuild.manifest import matrix, merge, schema
from edgebuild.manifest.acceptance import Scope, read_gates
from edgebuild.manifest.build import build
from edgebuild.manifest.checks import check_model, check_targets
from edgebuild.manifest.dataset import read_dataset
from edgebuild.manifest.draft import TASK, Draft, without
from edgebuild.manifest.overrides import apply, concerns_targets, parse_setting
from edgebuild.manifest.splits import Base

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgebuild.gates import Gate
    from edgebuild.manifest.dataset_file import DatasetFile
    from edgebuild.manifest.values import Dataset, Manifest

FORMAT = 1
"""Version of the manifest's format that is understood."""


def load_manifest(path: str | Path, *, overrides: Sequence[str] = ()) -> Manifest:
    """Return what a manifest asks for, with every default filled in.

    Reads the manifest, its dataset YAML and listings; lists the folders of the splits that are used; opens
    no image.

    Args:
        path: The manifest, as the user gave it; messages repeat it.
        overrides: ``--set`` values such as ``targets.rpi5.batch=4``, in order.

    Raises:
        ManifestError: The manifest or a file it names is wrong; carries every problem found.
        UsageError: An override cannot be read.
    """
    draft = draft_manifest(path, overrides=overrides)
    if draft.problems or draft.manifest is None:
        raise ManifestError(list(draft.problems))
    return draft.manifest


def draft_manifest(path: str | Path, *, overrides: Sequence[str] = ()) -> Draft:
    """Return what a manifest asks for as far as it can be read, and what is wrong with it.

    Whoever knows more, such as what toolchains there are, can then say that too, and all at once. The
    arguments are those of :func:`load_manifest`.

    Raises:
        ManifestError: Nothing of it can be judged further.
        UsageError: An override cannot be read.
    """
    try:
        return _draft(str(path), overrides)
    except OSError as error:
        # A name that is too long, a folder that may not be read: wherever met, it is the user's to mend.
        shown = str(error.filename or path)
        raise ManifestError([Problem(file=shown, message=f"cannot be read: {error.strerror}")]) from error


def _draft(file: str, overrides: Sequence[str]) -> Draft:
    root, problems = _assemble(file, overrides)
    base = Base(folder=Path(os.path.abspath(file)).parent, shown=str(Path(file).parent))  # noqa: PTH100 - resolve() would follow links
    unsound = schema.check(root)
    refused = schema.refused(root) if problems or unsound else set()
    # Who does not know the task judges nothing by it: no metric is wrong because the task is.
    judged = without(root, refused & {TASK})
    complete = merge.inherit(judged)
    sound = not problems and not any(path[0] in {"dataset", "model"} for path in refused if path)
    dataset, source, wrong = _dataset(judged, base, sound=sound)
    problems += [*unsound, *check_model(judged, base), *check_targets(complete), *wrong]
    gates = _gates(complete, source, problems)
    if not problems:
        return Draft(manifest=build(complete, file, base, dataset, gates, overrides))
    rest = merge.inherit(_usable(without(judged, refused)))
    known = dataset is not None or root.get("dataset") is None
    if not known or root.get(*TASK) is not judged.get(*TASK):
        gates = {name: _unvalidated(several) for name, several in gates.items()}
    manifest = build(rest, file, base, dataset, gates, overrides) if rest.get("model") else None
    return Draft(manifest=manifest, problems=tuple(distinct(problems)), dataset_known=known)


def _usable(root: Node) -> Node:
    """Return a manifest with mistakes without what cannot be judged for want of something else."""
    entries = {name: node for name, node in root.entries.items() if name != "devices"}
    entries.setdefault("name", Node(value="", place=root.place))
    if root.get("model", "train") is not None and root.get("model", "train", "base") is None:
        entries["model"] = without(entries["model"], [("train",)])
    complete = merge.inherit(root)
    named = {name for name, node in merge.targets_of(complete).items() if node.get("toolchain") is not None}
    others = [("targets", name) for name in merge.targets_of(root) if name not in named]
    return without(replace(root, value=entries), others)


def _unvalidated(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Return the gates on what needs neither a dataset nor a task."""
    return tuple(gate for gate in gates if METRICS[gate.metric.partition("/")[0]].source != "validate")


def _assemble(file: str, texts: Sequence[str]) -> tuple[Node, list[Problem]]:
    """Return the manifest with ``--set`` and ``matrix`` applied."""
    settings = [parse_setting(text) for text in texts]
    root, problems = parse(read_text(file, shown=file, what="manifest"), file=file)
    if not root.is_mapping:
        message = "is no manifest: expected a mapping"
        raise ManifestError([*problems, root.problem("", message, hint="it starts with edgebuild: 1")])
    _refuse_version(root, problems)
    early = [setting for setting in settings if not concerns_targets(setting)]
    root, wrong = apply(root, early)
    root, unexpanded = matrix.expand(root)
    root, late = apply(root, (item for item in settings if concerns_targets(item)))
    return root, [*problems, *wrong, *unexpanded, *late]


def _refuse_version(root: Node, problems: list[Problem]) -> None:
    """Stop at a manifest of another version: everything else in it may mean something else."""
    version = root.get("edgebuild")
    if version is not None and (version.value != FORMAT or isinstance(version.value, bool)):
        hint = f"this edgebuild reads version {FORMAT}: write edgebuild: {FORMAT}"
        message = f"version {version.text or 'nothing'!r} of the format is not known"
        raise ManifestError([*problems, version.problem("edgebuild", message, hint=hint)])


def _dataset(
    root: Node, base: Base, *, sound: bool
) -> tuple[Dataset | None, DatasetFile | None, list[Problem]]:
    section, task = root.get("dataset"), root.get(*TASK)
    if section is None or not section.is_mapping:
        return None, None, []
    trains = root.get("model", "train") is not None
    return read_dataset(section, base, task=task.text if task else "detect", trains=trains, sound=sound)


def _gates(root: Node, source: DatasetFile | None, problems: list[Problem]) -> dict[str, tuple[Gate, ...]]:
    task = root.get(*TASK)
    gates = {}
    for name, target in merge.targets_of(root).items():
        scope = Scope(
            task=task.text if task else "",
            classes=source.names if source else None,
            has_dataset=root.get("dataset") is not None,
        )
        gates[name], wrong = read_gates(target, f"targets.{name}", scope)
        problems += wrong
    return gates


def distinct(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems, once each: a default's mistake shows in every target that inherits it."""
    first: dict[Any, Problem] = {}
    for problem in problems:
        place: Any = (problem.line, problem.column) if problem.line else problem.path
        first.setdefault((problem.file, place, problem.message), problem)
    return list(first.values())
