"""How targets stand: what of the manifest is built, whichever run built it. Nothing is run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgebuild.cache.leases import LeasedCache
from edgebuild.errors import LostError
from edgebuild.run.forecast import forecast
from edgebuild.run.outcome import run_result
from edgebuild.run.placing import present

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.action import ActionResult
    from edgebuild.perform.context import Context
    from edgebuild.results import RunResult
    from edgebuild.run.session import Session

EARLIER = "of an earlier run"
"""What the report of a run says of a target that the run did not cover."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is built of a manifest as it is now.

    Attributes:
        results: Result per action that has one.
        ready: Names of the targets that are built to their end.
        absent: The other targets -> why.
    """

    results: Mapping[str, ActionResult]
    ready: tuple[str, ...]
    absent: Mapping[str, str]


def standing(session: Session, context: Context) -> Standing:
    """Return how every target of a manifest stands."""
    plan = session.plan
    left_out = session.unavailable(skip_all=True)
    found = forecast(plan.actions, context)
    results = {name: one.result for name, one in found.items() if one.result is not None}
    ready = tuple(
        target.name
        for target in plan.targets
        if target.name not in left_out and (target.package or target.verdict) in results
    )
    absent = {target.name: "not built yet" for target in plan.targets if target.name not in ready}
    return Standing(results=results, ready=ready, absent=absent | left_out)


def completed(
    session: Session,
    context: Context,
    results: Mapping[str, ActionResult],
    run: RunResult,
    *,
    targets: tuple[str, ...],
    left_out: Mapping[str, str],
) -> RunResult:
    """Return a run of a part of a manifest with all of its targets, for the report: the rest as it stands.

    Args:
        session: The manifest, planned.
        context: What the run shared.
        results: What the run did.
        run: The same as a value.
        targets: Names of the targets that it judged.
        left_out: Target -> why it was left out.
    """
    plan = session.plan
    # What is here, and not what a remote cache has: nobody asked for these targets.
    here = LeasedCache(context.cache.store.root, context.folder / "journal.jsonl")
    context = replace(context, cache=here, force=frozenset())
    built = standing(session, context)
    known = {**built.results, **results}
    others = tuple(name for name in built.ready if name not in targets)
    try:
        placed = present(plan, known, context, (*targets, *others))
    except LostError:
        known, others, placed = dict(results), (), present(plan, results, context, targets)
    absent = {one.name: built.absent.get(one.name, "not built yet") for one in plan.targets}
    shown = run_result(
        plan,
        known,
        context,
        targets=(*targets, *others),
        skipped={
            name: why for name, why in (absent | dict(left_out)).items() if name not in (*targets, *others)
        },
        placed=placed,
        started=run.started,
        seconds=run.seconds,
    )
    return replace(
        run,
        targets=tuple(replace(one, message=EARLIER) if one.name in others else one for one in shown.targets),
        baseline=shown.baseline,
        baseline_detections=shown.baseline_detections,
    )
