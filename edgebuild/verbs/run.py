"""``edgebuild run``: bring targets up to date, judge them, package them, report."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgebuild import execute
from edgebuild.action import Outcome
from edgebuild.console import open_display
from edgebuild.engine import run_actions
from edgebuild.errors import LostError
from edgebuild.idle import remember
from edgebuild.outcome import forget_lost, materialise, run_result
from edgebuild.results import count, run_document
from edgebuild.selection import own_targets, select
from edgebuild.session import Session, open_session
from edgebuild.verbs.plan import print_forecast
from edgebuild.watch import watched_files, watched_variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgebuild.action import Action, ActionResult
    from edgebuild.perform import Context
    from edgebuild.results import RunResult
    from edgebuild.selection import Selection

ROUNDS = 3
"""How often a run starts over because bytes it counted on are gone from the store."""

PENDING = 10
"""Exit code of ``--dry-run --exit-code`` when something would run."""

REPORTS = ("report.html", "report.json", "report.md")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What the user asked of ``run``; ``argv`` is the command line itself."""

    argv: tuple[str, ...]
    manifest: str
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
    json: bool
    quiet: bool


def run(options: RunOptions) -> int:
    """Run, and return the exit code."""
    since = time.time_ns()
    session = open_session(options.manifest, overrides=options.overrides, templates=options.templates)
    asked = own_targets(session.plan, select(session.plan, options.words, until=options.until))
    left_out = session.unavailable(asked, skip_all=options.skip_unavailable)
    chosen = select(session.plan, options.words, until=options.until, without=left_out)
    session.require_distributions()
    force = chosen.asked if options.force else frozenset[str]()
    if options.dry_run:
        form = "json" if options.json else "text"
        pending = print_forecast(session, chosen, left_out, force=force, form=form, explain=options.explain)
        return PENDING if pending and options.exit_code else 0
    started = dt.datetime.now(dt.UTC).astimezone().isoformat(timespec="seconds")
    clock = time.monotonic()
    wanted = set(chosen.actions)
    actions = [action for action in session.plan.actions if action.id in wanted]
    with _signals() as received, open_display(len(actions), quiet=options.quiet or options.json) as display:
        context = session.context(display, force=force)
        context.cache.store.sweep()
        results, placed = _bring(session, actions, context, chosen, options)
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
    reports = _report(session, result) if not received else ()
    _show(result, reports, options, session)
    if received:
        return 128 + received[0]
    if _nothing_to_do(result, options):
        written = [*reports, *(path for paths in placed.values() for path in paths.values())]
        files = watched_files(session, context, results, templates=options.templates, written=written)
        remember(
            list(options.argv),
            files=files,
            environ=watched_variables(session, context.environ),
            text=_text(replace(result, seconds=0.0), reports, options, session),
            since=since,
        )
    return result.exit_code


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


def _nothing_to_do(result: RunResult, options: RunOptions) -> bool:
    """Whether the same command would have nothing to do next time, and would say the same."""
    outcomes = {view.result.outcome for view in result.actions if view.result}
    return outcomes <= {Outcome.CURRENT} and not (result.exit_code or options.force or options.explain)


def _report(session: Session, result: RunResult) -> tuple[Path, ...]:
    """Write the report unless nothing at all is different from the one that is there."""
    from edgebuild.report import write_report  # noqa: PLC0415 - a run with nothing to do writes none

    folder = session.manifest.folder / "build" / session.manifest.name
    paths = tuple(folder / name for name in REPORTS)
    idle = all(view.result is None or view.result.outcome is Outcome.CURRENT for view in result.actions)
    if idle and all(path.exists() for path in paths) and _same_verdicts(paths[1], result):
        return paths
    return write_report(result, folder)


def _same_verdicts(path: Path, result: RunResult) -> bool:
    """Whether the report on disk covers the same targets with the same status."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        old = json.loads(path.read_text(encoding="utf-8"))
        rows = [(row["name"], row["status"], row["package"]) for row in old["targets"]]
        return rows == [(t.name, t.status, t.package or None) for t in result.targets]
    return False


def _text(result: RunResult, reports: tuple[Path, ...], options: RunOptions, session: Session) -> str:
    """Return what a run that had nothing to do prints."""
    if options.json:
        return _document(result, reports) + "\n"
    return "" if options.quiet else "\n".join([*_closing_lines(result, reports, session), ""])


def _document(result: RunResult, reports: tuple[Path, ...]) -> str:
    document = run_document(result) | {"report": [os.path.relpath(path) for path in reports]}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _show(result: RunResult, reports: tuple[Path, ...], options: RunOptions, session: Session) -> None:
    if options.json:
        print(_document(result, reports))
    elif not options.quiet:
        _print_result(result, reports, session, explain=options.explain)
    for view in result.actions:
        if view.result and view.result.outcome is Outcome.FAILED:
            print(f"edgebuild: {view.result.message}", file=sys.stderr)


def _print_result(result: RunResult, reports: tuple[Path, ...], session: Session, *, explain: bool) -> None:
    from edgebuild.verbs.explain import reason_lines  # noqa: PLC0415 - only with --explain

    if explain:
        for view in result.actions:
            if view.result:
                print("\n".join(reason_lines(session, view.id, str(view.result.outcome), view.result.why)))
    if result.exit_code or any(count(result, outcome) for outcome in (Outcome.RAN, Outcome.CACHED)):
        from rich.console import Console  # noqa: PLC0415 - a run with nothing to do prints three lines

        from edgebuild.report_terminal import terminal_table  # noqa: PLC0415

        # Rich takes 80 columns where there is no terminal; a log file has room for whole rows.
        terminal_table(result, Console(width=None if sys.stdout.isatty() else 120))
    print("\n".join(_closing_lines(result, reports, session)))


def _closing_lines(result: RunResult, reports: tuple[Path, ...], session: Session) -> list[str]:
    """Return how many actions ended how, and where the report and the packages are."""
    always = {"ran": Outcome.RAN, "cached": Outcome.CACHED, "current": Outcome.CURRENT}
    rest = {"failed": Outcome.FAILED, "skipped": Outcome.SKIPPED}
    numbers = {name: count(result, outcome) for name, outcome in (always | rest).items()}
    text = ", ".join(f"{number} {name}" for name, number in numbers.items() if number or name in always)
    lines = [f"{text}; {result.seconds:.1f} s"]
    lines += [f"report: {os.path.relpath(reports[0])}"] if reports else []
    if any(target.package for target in result.targets):
        dist = session.manifest.folder / "dist" / session.manifest.name
        lines.append(f"packages: {os.path.relpath(dist)}{os.sep}")
    return lines


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """On the first signal end every process politely, on the second at once; finished results are kept."""
    received: list[int] = []

    def handle(number: int, frame: Any) -> None:
        del frame
        if received:
            execute.kill_all()
            return
        received.append(number)
        print(
            "\nedgebuild: stopping; finished actions are kept, running ones start over next time",
            file=sys.stderr,
        )
        execute.stop_all()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, old in before.items():
            signal.signal(number, old)
