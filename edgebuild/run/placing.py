"""Files in the workspace: artifacts, packages and trained weights where people look for them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgebuild.cache.store import beside, store_error
from edgebuild.lock import held
from edgebuild.plan.measure import archives

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgebuild.action import ActionResult, Artifact
    from edgebuild.memo import Memo
    from edgebuild.perform.context import Context
    from edgebuild.plan.plan import Plan, TargetPlan

TRAINED = ""
"""In place of a target's name: what a training left, which is no target's alone."""

_TRAINING = {"weights": "best.pt", "summary": "training.json"}
"""What of a training people get, by role, and what it is called beside the targets."""


def materialise(
    plan: Plan,
    results: Mapping[str, ActionResult],
    context: Context,
    targets: tuple[str, ...],
    *,
    look: bool = False,
) -> dict[str, dict[str, Path]]:
    """Put artifacts and packages where users look for them; files that are right already are left alone.

    A package is put there when everything that was asked for of its target went well.

    Args:
        plan: The plan.
        results: Result per selected action.
        context: What the run shares.
        targets: Targets whose verdict was selected.
        look: Put nothing anywhere; return the paths as if that had been done.

    Returns:
        Per target, the paths of its ``artifact``, ``package`` and ``measurements``, absolute; by
        :data:`TRAINED`, those of the trained ``weights`` and of their ``summary``.

    Raises:
        LostError: Something that is needed is not to be had from the store.
    """
    _require_documents(plan, results, context)
    chosen = [target for target in plan.targets if target.name in targets]
    places = {target.name: _of_target(plan, target, results) for target in chosen}
    places |= _of_training(plan, results)
    if not look:
        with _alone(context):
            for artifact, place in (row for rows in places.values() for row in rows.values()):
                _place(artifact, place, context)
    return {name: {role: place for role, (_, place) in rows.items()} for name, rows in places.items()}


def present(
    plan: Plan, results: Mapping[str, ActionResult], context: Context, targets: tuple[str, ...]
) -> dict[str, dict[str, Path]]:
    """Return what :func:`materialise` would, of what is in its place already.

    Raises:
        LostError: Something that the report reads is not to be had from the store.
    """
    _require_documents(plan, results, context)
    return {
        name: {
            role: place
            for role, (artifact, place) in _of_target(plan, plan.target(name), results).items()
            if current(artifact, place, context.memo)
        }
        for name in targets
    }


def remove_outdated(
    plan: Plan, results: Mapping[str, ActionResult], context: Context, targets: tuple[str, ...]
) -> tuple[Path, ...]:
    """Remove packages from ``dist/`` that are not what the manifest builds for these targets.

    That is the package, of this version, of a target that failed or ships no more. One whose package was not
    asked for keeps it, and nothing else in the folder is touched.

    Returns:
        What was removed.
    """
    removed = []
    with _alone(context):
        for target in (plan.target(name) for name in targets):
            wanted = _of_target(plan, target, results)
            if not target.package or target.package in results:
                places = dist_places(plan, target.name)
                removed += [place for role, place in places.items() if role not in wanted and _gone(place)]
    return tuple(removed)


def dist_places(plan: Plan, target: str) -> dict[str, Path]:
    """Return where a target's package and its measurements belong, by role, whether it ships or not."""
    folder = plan.manifest.folder / "dist" / plan.manifest.name
    return {role: folder / name for role, name in archives(plan.manifest, target).items()}


def _gone(place: Path) -> bool:
    """Remove a file; return whether there was one."""
    if not (place.is_file() or place.is_symlink()):
        return False
    place.unlink()
    return True


Places = dict[str, tuple["Artifact", "Path"]]
"""What goes where, by role."""


def _of_training(plan: Plan, results: Mapping[str, ActionResult]) -> dict[str, Places]:
    result = results.get("train") if plan.manifest.model.train is not None else None
    if result is None or not result.artifacts:
        return {}
    folder = plan.manifest.folder / "build" / plan.manifest.name / "train"
    return {TRAINED: {role: (result.artifact(role), folder / name) for role, name in _TRAINING.items()}}


def _of_target(plan: Plan, target: TargetPlan, results: Mapping[str, ActionResult]) -> Places:
    built = plan.manifest.folder / "build" / plan.manifest.name / target.name
    wanted = {"artifact": (target.artifact.action, target.artifact.output, built / target.artifact.name)}
    if target.package and all(results[name].succeeded for name in target.actions if name in results):
        places = dist_places(plan, target.name)
        wanted |= {role: (target.package, role, place) for role, place in places.items()}
    return {
        role: (results[action].artifact(output), place)
        for role, (action, output, place) in wanted.items()
        if action in results and results[action].artifacts
    }


@contextlib.contextmanager
def _alone(context: Context) -> Iterator[None]:
    """Let no other run put files into this workspace: what lies half-written there is then nobody's."""
    try:
        with held(context.folder / "placing"):
            yield
    except OSError as error:
        raise store_error(error, context.folder, root=context.cache.store.root) from error


def current(artifact: Artifact, place: Path, memo: Memo) -> bool:
    """Return whether a file or tree in the workspace is, byte for byte, what it should be."""
    if not artifact.tree:
        return place.is_file() and not place.is_symlink() and memo.digest(str(place)) == artifact.digest
    here = (
        {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}
        if place.is_dir()
        else set()
    )
    if here != {name for name, _, _ in artifact.entries}:
        return False
    return all(memo.digest(str(place / name)) == digest for name, digest, _ in artifact.entries)


def delivered(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield action and role of everything that is put into the workspace, or that a report reads."""
    yield from _documents(plan)
    yield from (("train", role) for role in _TRAINING)
    for target in plan.targets:
        yield target.artifact.action, target.artifact.output
        yield from ((target.package, role) for role in archives(plan.manifest, target.name))


def _require_documents(plan: Plan, results: Mapping[str, ActionResult], context: Context) -> None:
    """Make sure that everything the report reads is here; a remote cache may still have it only."""
    for action, role in _documents(plan):
        result = results.get(action)
        if result is not None and result.artifacts:
            context.cache.store.require(result.artifact(role))


def _documents(plan: Plan) -> list[tuple[str, str]]:
    wanted = [(plan.baseline, "metrics"), (plan.baseline_detections, "detections")]
    for target in plan.targets:
        wanted += [
            (target.baseline, "metrics"),
            (target.baseline_detections, "detections"),
            (target.verdict, "verdict"),
            (target.detections, "detections"),
            (target.benchmark, "benchmark"),
            (target.search, "search"),
            (target.compare, "comparison"),
        ]
    return wanted


def _place(artifact: Artifact, place: Path, context: Context) -> None:
    beside(place).unlink(missing_ok=True)  # of a run that was killed
    if not current(artifact, place, context.memo):
        context.cache.store.materialise(artifact, place)
