"""The verdicts of a run as a table in the terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from edgebuild.report.findings import findings
from edgebuild.report.words import SYMBOLS, accuracy_name, limit, metric_title, named, observed, with_unit

if TYPE_CHECKING:
    from rich.console import Console

    from edgebuild.results import RunResult, TargetResult

STYLES = {
    "passed": "green",
    "rejected": "red",
    "missed": "red",
    "failed": "bold red",
    "skipped": "yellow",
    "unmeasured": "yellow",
    "warning": "yellow",
    "error": "red",
}


def terminal_table(run: RunResult, console: Console, folder: str = "") -> None:
    """Print one row per target (status, gates, main metrics with their evidence), findings, packages.

    A run of single steps has no targets to show; what its tools said is told all the same.

    Rich leaves colours out where the output is no terminal or ``NO_COLOR`` is set; symbols and words stay.

    Args:
        run: The run.
        console: Where to print.
        folder: The manifest's, seen from where the user stands: packages are below it.
    """
    if run.targets:
        _print_targets(run, console)
    for finding, origin in findings(run):
        if finding.level != "note":  # those are in the report
            said = f"{finding.message}; {finding.hint}" if finding.hint else finding.message
            text = f"{SYMBOLS[finding.level]} {finding.id} ({origin}): {said}"
            console.print(_text(text, STYLES[finding.level]), soft_wrap=True)
    for target in run.targets:
        if target.package:
            # Not wrapped, so that it can be copied and clicked on.
            place = os.path.normpath(os.path.join(folder, target.package))  # noqa: PTH118 - text, not a file
            console.print(_text(f"{SYMBOLS[target.status]} {place}"), soft_wrap=True)


def _print_targets(run: RunResult, console: Console) -> None:
    from rich.table import Table  # noqa: PLC0415 - only a terminal needs it

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("target", "status", "gates", "metrics"):
        table.add_column(heading, overflow="fold")
    for target in run.targets:
        table.add_row(
            _text(target.name),
            _state(target.status),
            _gates(target),
            _text(_metrics(target, accuracy_name(run))),
        )
    console.print(table)


def _text(text: str, style: str = "") -> Any:
    """Return text that rich prints as it is: a name may contain what rich takes for markup."""
    from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

    return Text(text, style=style)


def _state(status: str) -> Any:
    return _text(f"{SYMBOLS[status]} {status}", STYLES[status])


def _gates(target: TargetResult) -> Any:
    """Return every gate that does not hold, and how many do."""
    held = sum(verdict.passed for verdict in target.verdicts)
    # Of a failure the first line: the rest, such as the end of a log, is printed once, as an error.
    none = target.message.partition("\n")[0] or ("none" if target.status == "passed" else "not judged")
    lines = _text(f"{held} of {len(target.verdicts)} hold" if target.verdicts else none)
    for verdict in target.verdicts:
        if not verdict.passed:
            metric = named(target.metrics, verdict.gate.metric)
            said = f"{metric_title(verdict.gate.metric)} {observed(verdict, metric)}, {limit(verdict.gate)}"
            lines.append(f"\n{SYMBOLS[verdict.status]} {said}", STYLES[verdict.status])
    return lines


def _metrics(target: TargetResult, accuracy: str) -> str:
    lines = []
    for name in dict.fromkeys((accuracy, "map50_95", "latency_ms_p50", "size_mb")):
        if metric := named(target.metrics, name):
            said = f"{metric_title(name)} {with_unit(name, metric.value)}"
            # The size is the file's own; where it was measured says nothing.
            lines.append(said if name == "size_mb" else f"{said} ({metric.circumstances})")
    return "\n".join(lines)
