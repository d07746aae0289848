"""``edgebuild run``: bring targets up to date, judge them, package them, report."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgebuild.action import Outcome
from edgebuild.cache.uses import note_run
from edgebuild.errors import LostError
from edgebuild.idle import remember
from edgebuild.plan.selection import own_targets, select
from edgebuild.process import execute
from edgebuild.process.worker import Workers
from edgebuild.run.console import open_display
from edgebuild.run.elsewhere import open_named, to_look, warn
from edgebuild.run.engine import run_actions
from edgebuild.run.outcome import forget_lost, run_result, worst
from edgebuild.run.placing import delivered, dist_places, materialise, remove_outdated
from edgebuild.run.session import Session, open_session, refuse_same_place
from edgebuild.run.spare import spare
from edgebuild.run.standing import completed
from edgebuild.run.watch import watched_files, watched_variables
from edgebuild.verbs.plan import PENDING, planned, print_plans
from edgebuild.verbs.show import Ended, idle_text, report_files, show, with_exit_code
from edgebuild.verbs.signals import signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from edgebuild.action import Action, ActionResult
    from edgebuild.cache.store import Store
    from edgebuild.perform.context import Context
    from edgebuild.plan.selection import Selection
    from edgebuild.remote.tier import RemoteTier
    from edgebuild.results import RunResult

ROUNDS = 3
"""How often a run starts over because bytes it counted on are gone from the store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What the user asked of ``run``; ``argv`` is the command line itself."""

    argv: tuple[str, ...]
    manifests: tuple[str, ...]
    words: tuple[str, ...]
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    jobs: int
    keep_going: bool
    force: bool
    until: str
    dry_run: bool
    exit_code: bool
    explain: bool
    skip_unavailable: bool
    worker: bool
    json: bool
    quiet: bool
    remote: str
    remote_mode: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What was asked for of one manifest.

    Attributes:
        left_out: Target -> why it cannot be built here.
        force: Ids of actions to run although a result is there.
        named: Whether it was asked for by name.
        part: Whether it is not simply everything.
    """

    session: Session
    chosen: Selection
    left_out: Mapping[str, str]
    force: frozenset[str]
    named: bool
    part: bool

    @property
    def actions(self) -> list[Action]:
        """What is to be brought up to date, in plan order."""
        return [self.session.plan.action(name) for name in self.chosen.actions]


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What one manifest's run looked at."""

    files: list[str]
    environ: dict[str, str | None]


def run(options: RunOptions) -> int:
    """Run every manifest, one after the other, and return the worst exit code."""
    if options.dry_run:
        return _foresee(options)
    since = time.time_ns()
    opened = [_opened(path, options) for path in options.manifests]
    refuse_same_place(asked.session for asked in opened)
    ended: list[Ended] = []
    watched: list[Watched | None] = []
    code = 0
    with signals() as received:
        for asked in opened:
            one, seen, code = _one(asked, options, received, code)
            ended.append(one)
            watched.append(seen)
            if received or (code and not options.keep_going):
                break
    if received:
        code = 128 + received[0]
        ended[-1:] = [with_exit_code(one, code) for one in ended[-1:]]
    show(
        ended,
        code,
        not_started=options.manifests[len(ended) :],
        as_json=options.json,
        quiet=options.quiet,
        explain=options.explain,
    )
    if all(watched) and not code:
        remember(
            list(options.argv),
            files=list(dict.fromkeys(path for seen in watched if seen for path in seen.files)),
            environ={name: value for seen in watched if seen for name, value in seen.environ.items()},
            text=idle_text(ended, code, as_json=options.json, quiet=options.quiet),
            since=since,
        )
    return code


def _foresee(options: RunOptions) -> int:
    """Print what every manifest's run would do."""
    found = []
    for path in options.manifests:
        asked = _opened(path, options)
        states = planned(
            asked.session, asked.chosen, asked.left_out, force=asked.force, remote=to_look(options.remote)
        )
        found.append(states)
    refuse_same_place(one.session for one in found)
    print_plans(found, form="json" if options.json else "text", explain=options.explain)
    return PENDING if options.exit_code and any(one.pending for one in found) else 0


def _opened(path: str, options: RunOptions) -> Asked:
    """Read a manifest and look whether everything that it needs is here."""
    session = open_session(path, overrides=options.overrides, templates=options.templates)
    asked = own_targets(session.plan, select(session.plan, options.words, until=options.until))
    left_out = session.unavailable(asked, skip_all=options.skip_unavailable)
    chosen = select(session.plan, options.words, until=options.until, without=left_out)
    session.require_distributions()
    return Asked(
        session=session,
        chosen=chosen,
        left_out=left_out,
        force=chosen.asked if options.force else frozenset(),
        named=bool(options.words),
        part=bool(options.words or options.until),
    )


def _one(
    asked: Asked, options: RunOptions, received: list[int], code: int
) -> tuple[Ended, Watched | None, int]:
    """Run one manifest.

    Returns:
        How it ended, what it looked at when there was nothing to do, and the worst exit code so far.
    """
    session, chosen = asked.session, asked.chosen
    started = dt.datetime.now(dt.UTC).astimezone().isoformat(timespec="seconds")
    clock = time.monotonic()
    quiet = options.quiet or options.json
    with (
        open_display(len(asked.actions), quiet=quiet) as display,
        _workers(options, asked) as workers,
        _remote(options) as remote,
    ):
        context = replace(session.context(display, force=asked.force, remote=remote), workers=workers)
        context.cache.store.sweep()
        spare(asked.actions, context, delivered(session.plan))
        results, placed = _bring(asked, context, options)
        # A run that was stopped has not seen all there is to see, and takes nothing away.
        removed = () if received else remove_outdated(session.plan, results, context, chosen.targets)
        note_run(context.cache.store.root, session.folder / "journal.jsonl", results.values())
        result = run_result(
            session.plan,
            results,
            context,
            targets=chosen.targets,
            skipped=asked.left_out,
            placed=placed,
            started=started,
            seconds=time.monotonic() - clock,
        )
        ended = _reported(asked, context, results, result, stopped=bool(received))
    ended = replace(ended, removed=removed)
    seen = None
    watchable = all(place.watchable for place in session.installed.surroundings.values())
    if watchable and _nothing_to_do(ended, options):
        written = [*ended.reports, *(path for paths in placed.values() for path in paths.values())]
        written += [path for name in chosen.targets for path in dist_places(session.plan, name).values()]
        files = watched_files(session, context, results, templates=options.templates, written=written)
        seen = Watched(files=files, environ=watched_variables(session, context.environ))
    return ended, seen, worst({code, result.exit_code})


def _reported(
    asked: Asked,
    context: Context,
    results: Mapping[str, ActionResult],
    result: RunResult,
    *,
    stopped: bool,
) -> Ended:
    """Leave the report, with every target of the manifest, also after a run of a part.

    A run that was stopped leaves the report as it is, and so does one of a part without a verdict in it.
    """
    session, targets = asked.session, asked.chosen.targets

    def whole() -> RunResult:
        if not asked.part:
            return result
        return completed(session, context, results, result, targets=targets, left_out=asked.left_out)

    judged = targets if asked.part else result.targets
    return Ended(
        session=session,
        result=result,
        whole=whole,
        reports=report_files(session, result, whole) if judged and not stopped else (),
        asked_for_absent=bool(asked.named and asked.left_out),
    )


@contextlib.contextmanager
def _remote(options: RunOptions) -> Iterator[Callable[[Store], RemoteTier | None]]:
    """Open the remote cache when it is asked for; at the end wait for uploads and say what it did."""
    opened: list[RemoteTier] = []

    def open_it(store: Store) -> RemoteTier | None:
        tier = open_named(store, options.remote, options.remote_mode)
        opened.extend([tier] if tier else [])
        return tier

    try:
        yield open_it
    finally:
        for tier in opened:
            summary = tier.close()
            for _, finding in summary.findings:
                warn(finding.message)
            if not options.quiet:
                print(summary.line(), file=sys.stderr)


def _bring(
    asked: Asked, context: Context, options: RunOptions
) -> tuple[dict[str, ActionResult], dict[str, dict[str, Path]]]:
    """Bring actions to their results and results to their places.

    Bytes of an earlier result may turn out to be gone only when they are needed. Then that result is
    forgotten and everything is brought up to date once more.

    Raises:
        LostError: They are gone again and again: something removes them while we run.
    """
    results: dict[str, ActionResult] = {}
    for left in range(ROUNDS - 1, -1, -1):
        again = run_actions(asked.actions, context, jobs=options.jobs, keep_going=options.keep_going)
        results = {name: _in_all(results.get(name), result) for name, result in again.items()}
        try:
            placed = materialise(asked.session.plan, results, context, asked.chosen.targets)
        except LostError:
            if not left:
                raise
            placed = {}
        if not forget_lost(results, context) or not left or execute.stopping():
            return results, placed
        context = replace(context, force=frozenset())
    raise AssertionError("the last round returns")


def _in_all(former: ActionResult | None, result: ActionResult) -> ActionResult:
    """Return what a run that starts over did with an action in all: what it made is current then."""
    made = former is not None and former.succeeded and former.key == result.key
    return former if former and made and result.outcome is Outcome.CURRENT else result


def _workers(options: RunOptions, asked: Asked) -> Workers:
    """Return what serves our own steps during the run; nothing where the user said so."""
    wanted = options.worker and os.environ.get("EDGEBUILD_WORKER", "") != "off"
    return Workers(asked.actions if wanted else (), asked.session.folder / "worker")


def _nothing_to_do(ended: Ended, options: RunOptions) -> bool:
    """Whether the same command would have nothing to do next time, and would say the same."""
    return not (ended.told or ended.removed or options.force or options.explain)
