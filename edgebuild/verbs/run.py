"""``edgebuild run``: bring targets up to date, judge them, package them, report."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import Outcome
from edgebuild.cache.uses import note_run
from edgebuild.errors import LostError
from edgebuild.idle import remember
from edgebuild.plan.selection import own_targets, select
from edgebuild.process import execute
from edgebuild.process.worker import Workers
from edgebuild.run.console import open_display
from edgebuild.run.elsewhere import to_look, warn
from edgebuild.run.engine import run_actions
from edgebuild.run.outcome import forget_lost, run_result, worst
from edgebuild.run.placing import materialise
from edgebuild.run.session import Session, open_session
from edgebuild.run.watch import watched_files, watched_variables
from edgebuild.verbs.plan import PENDING, planned, print_plans
from edgebuild.verbs.show import Ended, idle_text, report_files, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgebuild.action import Action, ActionResult
    from edgebuild.cache.store import Store
    from edgebuild.perform.context import Context
    from edgebuild.plan.selection import Selection
    from edgebuild.remote.tier import RemoteTier
    from edgebuild.results import RunResult

STOPPING = "\nedgebuild: stopping; finished actions are kept, running ones start over next time"

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
    ended: list[Ended] = []
    watched: list[Watched | None] = []
    code = 0
    with signals() as received:
        for asked in opened:
            one, seen, code = _one(asked, options, received, code)
            ended += [one] if one else []
            watched.append(seen)
            if received or (code and not options.keep_going):
                break
    show(ended, as_json=options.json, quiet=options.quiet, explain=options.explain)
    if received:
        return 128 + received[0]
    if all(watched) and not code:
        remember(
            list(options.argv),
            files=list(dict.fromkeys(path for seen in watched if seen for path in seen.files)),
            environ={name: value for seen in watched if seen for name, value in seen.environ.items()},
            text=idle_text(ended, as_json=options.json, quiet=options.quiet),
            since=since,
        )
    return code


def _foresee(options: RunOptions) -> int:
    """Print what every manifest's run would do."""
    found = []
    for path in options.manifests:
        session, chosen, left_out, force = _opened(path, options)
        found.append(planned(session, chosen, left_out, force=force, remote=to_look(options.remote)))
    print_plans(found, form="json" if options.json else "text", explain=options.explain)
    return PENDING if options.exit_code and any(one.pending for one in found) else 0


Asked = tuple["Session", "Selection", "Mapping[str, str]", frozenset[str]]
"""A manifest's plan, what of it was asked for, what is left out and why, and what is forced."""


def _opened(path: str, options: RunOptions) -> Asked:
    """Read a manifest and look whether everything that it needs is here."""
    session = open_session(path, overrides=options.overrides, templates=options.templates)
    asked = own_targets(session.plan, select(session.plan, options.words, until=options.until))
    left_out = session.unavailable(asked, skip_all=options.skip_unavailable)
    chosen = select(session.plan, options.words, until=options.until, without=left_out)
    session.require_distributions()
    return session, chosen, left_out, chosen.asked if options.force else frozenset[str]()


def _one(
    asked: Asked, options: RunOptions, received: list[int], code: int
) -> tuple[Ended | None, Watched | None, int]:
    """Run one manifest.

    Returns:
        How it ended, what it looked at when there was nothing to do, and the worst exit code so far.
    """
    session, chosen, left_out, force = asked
    started = dt.datetime.now(dt.UTC).astimezone().isoformat(timespec="seconds")
    clock = time.monotonic()
    wanted = set(chosen.actions)
    actions = [action for action in session.plan.actions if action.id in wanted]
    quiet = options.quiet or options.json
    with (
        open_display(len(actions), quiet=quiet) as display,
        _workers(options, actions, session) as workers,
        _remote(options) as remote,
    ):
        context = replace(session.context(display, force=force, remote=remote), workers=workers)
        context.cache.store.sweep()
        results, placed = _bring(session, actions, context, chosen, options)
        note_run(context.cache.store.root, session.folder / "journal.jsonl", results.values())
    result = run_result(
        session.plan,
        results,
        context,
        targets=chosen.targets,
        skipped=left_out,
        placed=placed,
        started=started,
        seconds=time.monotonic() - clock,
    )
    reports = () if received else report_files(session, result)
    ended = Ended(session=session, result=result, reports=reports)
    seen = None
    watchable = all(place.watchable for place in session.installed.surroundings.values())
    if watchable and _nothing_to_do(result, options):
        written = [*reports, *(path for paths in placed.values() for path in paths.values())]
        files = watched_files(session, context, results, templates=options.templates, written=written)
        seen = Watched(files=files, environ=watched_variables(session, context.environ))
    return ended, seen, worst({code, result.exit_code})


@contextlib.contextmanager
def _remote(options: RunOptions) -> Iterator[Callable[[Store], RemoteTier | None]]:
    """Open the remote cache when it is asked for; at the end wait for uploads and say what it did."""
    opened: list[RemoteTier] = []

    def open_it(store: Store) -> RemoteTier | None:
        if not (options.remote or os.environ.get("EDGEBUILD_REMOTE")):
            return None
        from edgebuild.remote.tier import open_tier  # noqa: PLC0415 - most runs have no remote cache

        tier = open_tier(store, os.environ, url=options.remote, mode=options.remote_mode, warn=warn)
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
    session: Session, actions: list[Action], context: Context, chosen: Selection, options: RunOptions
) -> tuple[dict[str, ActionResult], dict[str, dict[str, Path]]]:
    """Bring actions to their results and results to their places.

    Bytes of an earlier result may turn out to be gone only when they are needed. Then that result is
    forgotten and everything is brought up to date once more.

    Raises:
        LostError: They are gone again and again: something removes them while we run.
    """
    for left in range(ROUNDS - 1, -1, -1):
        results = run_actions(actions, context, jobs=options.jobs, keep_going=options.keep_going)
        try:
            placed = materialise(session.plan, results, context, chosen.targets)
        except LostError:
            if not left:
                raise
            placed = {}
        if not forget_lost(results, context) or not left or execute.stopping():
            return results, placed
        context = replace(context, force=frozenset())
    raise AssertionError("the last round returns")


def _workers(options: RunOptions, actions: Sequence[Action], session: Session) -> Workers:
    """Return what serves our own steps during the run; nothing where the user said so."""
    wanted = options.worker and os.environ.get("EDGEBUILD_WORKER", "") != "off"
    return Workers(actions if wanted else (), session.folder / "worker")


def _nothing_to_do(result: RunResult, options: RunOptions) -> bool:
    """Whether the same command would have nothing to do next time, and would say the same."""
    outcomes = {view.result.outcome for view in result.actions if view.result}
    return outcomes <= {Outcome.CURRENT} and not (result.exit_code or options.force or options.explain)


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """On the first signal end every process politely, on the second at once; finished results are kept."""
    received: list[int] = []

    def handle(number: int, frame: Any) -> None:
        del frame
        if received:
            execute.kill_all()
            return
        received.append(number)
        execute.stop_all()
        with contextlib.suppress(OSError, RuntimeError):  # the terminal may be what has gone
            print(STOPPING, file=sys.stderr)

    kinds = [signal.SIGINT, signal.SIGTERM]
    kinds += [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]  # nohup
    before = {number: signal.signal(number, handle) for number in kinds}
    try:
        yield received
    finally:
        for number, old in before.items():
            signal.signal(number, old)
