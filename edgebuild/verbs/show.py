"""What ``run`` leaves and prints at its end: reports, the verdict table, the closing lines, or JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import Outcome
from edgebuild.gates import METRICS
from edgebuild.results import SCHEMA, RunResult, count, run_document
from edgebuild.run.session import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgebuild.results import TargetResult
    from edgebuild.run.session import Session

REPORTS = ("report.html", "report.json", "report.md", "findings.sarif")

LOG_COLUMNS = 120
"""Width of the table where there is no terminal: rich would take 80, a log file has room for whole rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How the run of one manifest ended.

    Attributes:
        whole: Gives the result with every target of the manifest, for the report.
        reports: Files of the report; none after a run that leaves it as it is.
        removed: Packages of earlier runs that were removed.
        asked_for_absent: Whether something was asked for by name that cannot be built here.
    """

    session: Session
    result: RunResult
    whole: Callable[[], RunResult]
    reports: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()
    asked_for_absent: bool = False

    @property
    def told(self) -> bool:
        """Whether there is more to tell than that there was nothing to do."""
        return bool(self.result.exit_code or self.asked_for_absent or not _idle(self.result))


def report_files(session: Session, result: RunResult, whole: Callable[[], RunResult]) -> tuple[Path, ...]:
    """Write the report, unless nothing at all is different from the one that is there; return its files.

    Args:
        session: The manifest, planned.
        result: What the run came to.
        whole: Gives the same with every target of the manifest.
    """
    folder = session.manifest.folder / "build" / session.manifest.name
    paths = tuple(folder / name for name in REPORTS)
    names = [target.name for target in session.plan.targets]
    if _idle(result) and all(path.exists() for path in paths) and _same(paths[1], result, names):
        return paths
    from edgebuild.report.write import write_report  # noqa: PLC0415 - a run with nothing to do writes none

    with writing(folder):
        return write_report(whole(), folder, _lines(session))


def with_exit_code(one: Ended, code: int) -> Ended:
    """Return how a run ended that was stopped: with the process's exit code, in its reports too."""
    result = replace(one.result, exit_code=code)
    if one.reports:
        report_files(one.session, result, lambda: replace(one.whole(), exit_code=code))
    return replace(one, result=result)


def _idle(result: RunResult) -> bool:
    return all(view.result is None or view.result.outcome is Outcome.CURRENT for view in result.actions)


def _lines(session: Session) -> dict[str, int]:
    """Return the line of each target in the manifest; none for one that was given with ``--set``."""
    positions = session.manifest.positions
    lines = {one.name: positions.get(f"targets.{one.name}", (0, 0))[0] for one in session.manifest.targets}
    return {name: line for name, line in lines.items() if line}


def show(
    ended: Sequence[Ended],
    code: int,
    *,
    not_started: Sequence[str],
    as_json: bool,
    quiet: bool,
    explain: bool,
) -> None:
    """Print how a run ended: results on standard output, errors on standard error."""
    try:
        if as_json:
            print(_document(ended, code, not_started))
        elif not quiet:
            for one in ended:
                _print_one(one, explain=explain)
    finally:  # also when standard output is full
        _print_messages(ended)
        if not_started:
            print(f"edgebuild: not started: {', '.join(not_started)}", file=sys.stderr)


def _print_messages(ended: Sequence[Ended]) -> None:
    messages = [
        view.result.message
        for one in ended
        for view in one.result.actions
        if view.result and view.result.outcome is Outcome.FAILED
    ]
    for message in dict.fromkeys(messages):
        print(f"edgebuild: {message}", file=sys.stderr)


def idle_text(ended: Sequence[Ended], code: int, *, as_json: bool, quiet: bool) -> str:
    """Return what the same command prints when it has nothing to do."""
    idle = [replace(one, result=replace(one.result, seconds=0.0)) for one in ended]
    if as_json:
        return _document(idle, code) + "\n"
    return "" if quiet else "".join(f"{line}\n" for one in idle for line in _closing_lines(one))


def _document(ended: Sequence[Ended], code: int, not_started: Sequence[str] = ()) -> str:
    """Return one run's document as it is; of several manifests a list, with the exit code of the whole."""
    rows: list[dict[str, Any]] = [
        run_document(one.result) | {"report": [os.path.relpath(path) for path in one.reports]}
        for one in ended
    ]
    several = {"schema": SCHEMA, "exit_code": code, "runs": rows, "not_started": list(not_started)}
    whole = rows[0] if len(rows) == 1 and not not_started else several
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _print_one(one: Ended, *, explain: bool) -> None:
    result = one.result
    if explain:
        from edgebuild.verbs.explain import reason_lines  # noqa: PLC0415 - only with --explain

        for view in result.actions:
            if view.result:
                print(
                    "\n".join(reason_lines(one.session, view.id, str(view.result.outcome), view.result.why))
                )
    said = any(view.result and view.result.findings for view in result.actions)
    if one.told and (result.targets or said):
        from rich.console import Console  # noqa: PLC0415 - a run with nothing to do prints three lines

        from edgebuild.report.terminal import terminal_table  # noqa: PLC0415

        console = Console(width=None if sys.stdout.isatty() else LOG_COLUMNS)
        terminal_table(result, console, os.path.relpath(one.session.manifest.folder))
    print("\n".join(_closing_lines(one)))


def _closing_lines(one: Ended) -> list[str]:
    """Return how many actions ended how, and where the report and the packages are."""
    result, manifest = one.result, one.session.manifest
    always = {"ran": Outcome.RAN, "cached": Outcome.CACHED, "current": Outcome.CURRENT}
    rest = {"failed": Outcome.FAILED, "skipped": Outcome.SKIPPED}
    numbers = {name: count(result, outcome) for name, outcome in (always | rest).items()}
    text = ", ".join(f"{number} {name}" for name, number in numbers.items() if number or name in always)
    lines = [f"{manifest.name}: {text}; {result.seconds:.1f} s"]
    lines += [f"trained: {os.path.relpath(manifest.folder / result.trained)}"] if result.trained else []
    lines += [f"report: {os.path.relpath(one.reports[0])}"] if one.reports else []
    lines += _where_lost(one)
    if any(target.package for target in result.targets):
        dist = manifest.folder / "dist" / manifest.name
        lines.append(f"packages: {os.path.relpath(dist)}{os.sep}")
    lines += [f"removed: {os.path.relpath(path)}: not what this run built" for path in one.removed]
    return lines


def _where_lost(one: Ended) -> list[str]:
    """Return how to find out where accuracy is lost, when a quantized target lost too much of it."""
    quantized = any(action.step == "quantize" for action in one.session.plan.actions)
    lost = any(
        verdict.gate.kind == "max_drop"
        and METRICS[verdict.gate.metric.partition("/")[0]].source == "validate"
        and not verdict.passed
        for target in one.result.targets
        for verdict in target.verdicts
    )
    if one.session.manifest.compare or not (quantized and lost):
        return []
    return ["too much accuracy is lost: `run --compare` shows in which block of the model"]


def _same(path: Path, result: RunResult, names: Sequence[str]) -> bool:
    """Whether the report on disk is of these targets and says the same of those that the run covered."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        old = json.loads(path.read_text(encoding="utf-8"))
        rows = {row["name"]: row for row in old["targets"]}
        same = all(_same_row(rows[target.name], target) for target in result.targets)
        return same and list(rows) == list(names) and old["exit_code"] == result.exit_code
    return False


def _same_row(row: dict[str, Any], target: TargetResult) -> bool:
    """Compare what a report says of a target; of a package that was not asked for, nothing is known."""
    unasked = target.ship and not target.package
    said = (row["status"], row["message"], row["ship"])
    packed = unasked or row["package"] == (target.package or None)
    return packed and said == (target.status, target.message, target.ship)
