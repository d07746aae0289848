"""The report as one HTML file: style, script and pictures are inside, and nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from edgebuild.action import Outcome
from edgebuild.amounts import counted
from edgebuild.report.classes import per_class
from edgebuild.report.compare import compared
from edgebuild.report.dag import dag
from edgebuild.report.findings import circumstances, findings
from edgebuild.report.markup import Markup, el, join, raw
from edgebuild.report.pictures import pictures
from edgebuild.report.plots import tradeoff
from edgebuild.report.search import front
from edgebuild.report.tables import action_table, badge, facts, finding_list, metric_table, verdict_table
from edgebuild.report.words import OUTCOMES, SYMBOLS, overall, seconds, summary
from edgebuild.results import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgebuild.results import RunResult

FOOTER = "Nothing in this file is fetched from elsewhere; report.json beside it says the same for programs."


def render_html(run: RunResult) -> str:
    """Return the whole page."""
    style, script = _asset("report.css"), _asset("report.js")
    sections = list(_sections(run))
    page = el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="color-scheme", content="light dark"),
            el("title", f"{run.name} {run.version}: {overall(run)}"),
            el("style", raw(style)),
        ),
        el(
            "body",
            _header(run),
            el("nav", [el("a", title, href=f"#{at}") for at, title, _ in sections], aria_label="Sections"),
            el("main", [_section(name, title, content) for name, title, content in sections]),
            el("footer", f"edgebuild report of {run.manifest}, run {run.started}. {FOOTER}"),
            el("script", raw(script)),
        ),
        lang="en",
    )
    return "<!doctype html>\n" + page + "\n"


def _asset(name: str) -> str:
    return (files("edgebuild.report") / "assets" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Return what the page may do: its own script and style, pictures inside it, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _header(run: RunResult) -> Markup:
    verdict = overall(run)
    return el(
        "header",
        el(
            "div",
            el("p", "edgebuild report", class_="over"),
            el("h1", run.name, " ", el("span", run.version)),
            el("p", run.manifest, " · ", run.started, " · ", seconds(run.seconds), class_="muted"),
            _packages(run),
        ),
        el(
            "div",
            el("p", badge(verdict), class_="overall"),
            el("p", summary(run)),
            el("p", f"exit code {run.exit_code}", class_="muted"),
            class_="result",
        ),
        el("ul", list(_counts(run)), class_="counts", aria_label="Actions"),
    )


def _packages(run: RunResult) -> Markup | None:
    made = [target for target in run.targets if target.package]
    if not made:
        return None
    names = [
        el("li", el("code", one.package), f" ({one.status})" if one.status != "passed" else None)
        for one in made
    ]
    return el("details", el("summary", counted(len(made), "package")), el("ul", names), class_="packages")


def _counts(run: RunResult) -> Iterator[Markup]:
    for outcome in Outcome:
        number = count(run, outcome)
        yield el(
            "li",
            el("b", str(number)),
            el("span", SYMBOLS[outcome], f" {outcome}"),
            title=f"{counted(number, 'action')}: {OUTCOMES[outcome]}",
            class_=str(outcome) if number else "none",
        )


def _sections(run: RunResult) -> Iterator[tuple[str, str, Markup]]:
    found = findings(run)
    yield "verdicts", "Verdicts", verdict_table(run)
    if found:
        yield "findings", f"Findings ({len(found)})", finding_list(found)
    if run.baseline or any(target.metrics for target in run.targets):
        yield "metrics", "Metrics", join([metric_table(run), _metric_note(run)])
    for name, title, content in (
        ("tradeoff", "Accuracy against latency", tradeoff(run)),
        ("search", "What was searched", front(run)),
        ("classes", "Accuracy per class", per_class(run)),
        ("compared", "Float against quantized, block by block", compared(run)),
        ("pictures", "What they see", pictures(run)),
        ("dag", "What ran", dag(run)),
    ):
        if content is not None:
            yield name, title, content
    if run.actions:
        yield "actions", "Actions", join([_filter(run), action_table(run)])
    if protocol := {**run.protocol, **circumstances(run)}:
        yield "protocol", "Protocol", facts(protocol)


def _metric_note(run: RunResult) -> Markup | None:
    if not run.baseline:
        return None
    text = (
        "Small figures compare with the float model under the same protocol; latencies only where both were "
    )
    return el(
        "p", text + "measured on the same kind of evidence. No badge: measured on the host.", class_="muted"
    )


def _filter(run: RunResult) -> Markup | None:
    if len(run.actions) < 12:
        return None
    field = el("input", type="search", id="find", placeholder="filter by name, target or outcome")
    return el("p", el("label", "Show only ", field), class_="filter")


def _section(name: str, title: str, content: Markup) -> Markup:
    return el(
        "section", el("h2", title, id=f"title-{name}"), content, id=name, aria_labelledby=f"title-{name}"
    )
