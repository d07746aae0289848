"""The report as Markdown, short enough for the summary page of a CI run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgebuild.action import Outcome
from edgebuild.amounts import counted
from edgebuild.report.compare import comparisons, verdict_line
from edgebuild.report.dag import why
from edgebuild.report.findings import findings
from edgebuild.report.search import front_lines, probes_line, searches
from edgebuild.report.tables import COLUMNS
from edgebuild.report.words import (
    SYMBOLS,
    change,
    float_models,
    float_of,
    limit,
    metric_title,
    named,
    observed,
    overall,
    reason,
    seconds,
    summary,
    with_unit,
)
from edgebuild.results import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgebuild.gates import Metric
    from edgebuild.results import RunResult, TargetResult

MAX_ACTIONS = 40
"""Rows of what ran; a summary page has a size limit."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&!])")


def render_markdown(run: RunResult) -> str:
    """Return the whole text."""
    verdict = overall(run)
    lines = [
        f"# {SYMBOLS[verdict]} {plain(run.name)} {plain(run.version)}: {verdict}",
        "",
        f"{summary(run)}. {_counts(run)} in {seconds(run.seconds)}, exit code {run.exit_code}.",
        "",
        *_section("Verdicts", _verdicts(run)),
        *_section("Metrics", _metrics(run)),
        *_section("Block by block", _compared(run)),
        *_section("Searches", _searches(run)),
        *_section("Findings", _findings(run)),
        *_section("What ran", _actions(run)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def plain(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _section(title: str, rows: Iterable[str]) -> list[str]:
    lines = list(rows)
    return [f"## {title}", "", *lines, ""] if lines else []


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(names: Sequence[str]) -> Iterator[str]:
    yield _row(names)
    yield _row("---" for _ in names)


def _counts(run: RunResult) -> str:
    said = [f"{count(run, outcome)} {outcome}" for outcome in Outcome if count(run, outcome)]
    return "Actions: " + (", ".join(said) or "none")


def _verdicts(run: RunResult) -> Iterator[str]:
    yield from _head(("target", "status", "gates", "package"))
    for target in run.targets:
        status = f"{SYMBOLS[target.status]} {target.status}"
        package = plain(target.package) if target.package else ""
        yield _row((f"**{plain(target.name)}**", status, _gates(target), package))


def _gates(target: TargetResult) -> str:
    if not target.verdicts:
        return plain(reason(target)) or "no gates"
    lines = [plain(target.message)] if target.message else []
    for verdict in target.verdicts:
        metric = named(target.metrics, verdict.gate.metric)
        where = f" ({metric.circumstances})" if metric else ""
        said = f"{metric_title(verdict.gate.metric)} {observed(verdict)}, {limit(verdict.gate)}{where}"
        lines.append(f"{SYMBOLS[verdict.status]} {plain(said)}")
    return "<br>".join(lines)


def _metrics(run: RunResult) -> Iterator[str]:
    rows: list[tuple[str, tuple[Metric, ...], tuple[Metric, ...]]] = [
        *((title, metrics, ()) for title, metrics in float_models(run)),
        *((target.name, target.metrics, float_of(run, target)) for target in run.targets),
    ]
    names = [name for name in COLUMNS if any(named(metrics, name) for _, metrics, _ in rows)]
    if not names:
        return
    yield from _head(("", *(metric_title(name) for name in names)))
    for title, metrics, base in rows:
        if metrics:
            cells = (_cell(named(metrics, name), named(base, name)) for name in names)
            yield _row((f"**{plain(title)}**", *cells))


def _cell(metric: Metric | None, base: Metric | None) -> str:
    if metric is None:
        return ""
    text, _ = change(metric, base)
    where = metric.evidence if metric.evidence != "host" else ""
    marks = [part for part in (text, where, metric.batch_text) if part]
    return with_unit(metric.name, metric.value) + (f" ({', '.join(marks)})" if marks else "")


def _searches(run: RunResult) -> Iterator[str]:
    for name, document in searches(run).items():
        yield f"**{plain(name)}** {plain(' '.join(document['said']))}"
        yield ""
        yield from _head(("variant", "metric", "against float", "latency", ""))
        for cells in front_lines(document):
            yield _row(plain(cell) for cell in cells)
        yield ""
        yield f"{plain(probes_line(document))}."
        yield ""


def _findings(run: RunResult) -> Iterator[str]:
    for finding, origin in findings(run):
        hint = f" *{plain(finding.hint)}*" if finding.hint else ""
        head = f"- {SYMBOLS[finding.level]} **{plain(finding.id)}**"
        yield f"{head} {plain(finding.message)}{hint} ({plain(origin)})"


def _compared(run: RunResult) -> Iterator[str]:
    for name, document in comparisons(run).items():
        yield f"- **{plain(name)}** {plain(verdict_line(document))}"


def _actions(run: RunResult) -> Iterator[str]:
    """List what did something; what was in place already is only counted above."""
    busy = {Outcome.RAN, Outcome.FAILED, Outcome.SKIPPED}
    views = [view for view in run.actions if view.result and view.result.outcome in busy]
    if not views:
        return
    yield from _head(("action", "outcome", "time", "why"))
    for view in views[:MAX_ACTIONS]:
        result = view.result
        if result:
            spent = seconds(result.seconds) if result.seconds else ""
            reasons = "<br>".join(plain(line) for line in why(view)[:3])
            yield _row((plain(view.id), f"{SYMBOLS[result.outcome]} {result.outcome}", spent, reasons))
    if len(views) > MAX_ACTIONS:
        yield ""
        yield f"{counted(len(views) - MAX_ACTIONS, 'more action')} in report.html."
