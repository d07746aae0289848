"""The report's tables: verdicts, metrics beside the float model, findings, actions, protocol."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from edgebuild.gates import METRICS
from edgebuild.report.dag import outcome, why
from edgebuild.report.markup import Markup, el
from edgebuild.report.words import (
    EVIDENCE,
    OUTCOMES,
    SYMBOLS,
    change,
    float_models,
    float_of,
    limit,
    metric_title,
    named,
    number,
    observed,
    seconds,
    with_unit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.action import Finding
    from edgebuild.gates import Metric, Verdict
    from edgebuild.results import ActionView, RunResult, TargetResult

COLUMNS = (
    "map50_95", "map50", "map50_95_mask", "map50_mask", "map50_95_pose", "map50_pose", "top1", "top5",
    "precision", "recall", "latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "throughput",
    "npu_cycles", "cpu_operators", "onchip_memory_mb", "offchip_memory_mb", "peak_memory_mb", "size_mb",
)  # fmt: skip
"""Metrics in the order of the table; those that nothing has are left out."""

MAX_DETAILED = 12
"""With more targets than this, those that passed have one row instead of one per gate."""


def badge(status: str, text: str = "") -> Markup:
    """Return a status as symbol, word and colour."""
    return el("span", f"{SYMBOLS[status]} {text or status}", class_=f"badge {status.replace(' ', '-')}")


def evidence(name: str) -> Markup:
    """Return where something was measured, with what that means as a tooltip."""
    return el("span", name, title=EVIDENCE.get(name, ""), class_=f"evidence {name}")


def verdict_table(run: RunResult) -> Markup:
    """Return one row per gate, grouped by target; a target without gates has one row saying so."""
    heads = ("target", "status", "gate", "limit", "observed", "float", "evidence", "result")
    brief = len(run.targets) > MAX_DETAILED
    # In a long list, what needs a person comes first.
    targets = sorted(run.targets, key=lambda target: target.status == "passed") if brief else run.targets
    bodies = [el("tbody", _target_rows(target, brief=brief)) for target in targets]
    return _table(heads, bodies, class_="verdicts", numeric=())


def _target_rows(target: TargetResult, *, brief: bool) -> Iterator[Markup]:
    brief = brief and target.status == "passed" and bool(target.verdicts)
    count = 1 if brief else max(len(target.verdicts), 1)
    kind = f"{target.toolchain} · {target.recipe}" + ("" if target.ship else " · not shipped")
    first = [
        el("th", el("b", target.name), el("small", kind), scope="rowgroup", rowspan=count),
        el("td", badge(target.status), rowspan=count),
    ]
    if not target.verdicts:
        yield el("tr", first, el("td", _without_gates(target), colspan=6, class_="muted"))
    if brief:
        said = "; ".join(_brief(target, verdict) for verdict in target.verdicts)
        yield el("tr", first, el("td", said, colspan=6, class_="muted"))
        return
    for index, verdict in enumerate(target.verdicts):
        yield el("tr", first if index == 0 else None, _verdict_cells(target, verdict))
    if target.message and target.verdicts:
        yield el("tr", el("td", target.message, colspan=8, class_="muted"))


def _brief(target: TargetResult, verdict: Verdict) -> str:
    metric = named(target.metrics, verdict.gate.metric)
    return f"{metric_title(verdict.gate.metric)} {observed(verdict, metric)} ({limit(verdict.gate)})"


def _without_gates(target: TargetResult) -> str:
    if target.message:
        return target.message
    return "no gates, so nothing could be missed" if target.status == "passed" else "not judged"


def _verdict_cells(target: TargetResult, verdict: Verdict) -> list[Markup]:
    gate = verdict.gate
    metric = named(target.metrics, gate.metric)
    value = None
    if gate.relative and verdict.value is not None:
        value = el("small", f" ({with_unit(gate.metric, verdict.value)})")
    base = "" if verdict.baseline is None else with_unit(gate.metric, verdict.baseline)
    demanded = [" demanded: ", evidence(gate.evidence)] if gate.evidence else None
    return [
        el("td", el("span", metric_title(gate.metric), title=gate.metric)),
        el("td", limit(gate)),
        el("td", observed(verdict, metric), value, title=verdict.text),
        el("td", base),
        el("td", evidence(metric.evidence) if metric else None, demanded if not verdict.passed else None),
        el("td", badge(verdict.status), title=verdict.text),
    ]


def metric_table(run: RunResult) -> Markup:
    """Return one row per target, the float model first, with differences from it."""
    floats = float_models(run)
    names = [name for name in COLUMNS if any(named(one, name) for _, one in floats) or _anyone(run, name)]
    heads = ("", *(_metric_head(name) for name in names))
    rows = []
    for title, metrics in floats:
        said = "the model before quantization" if title == "float" else "the same with the other head"
        rows.append(_metric_row(el("b", title), said, metrics, names, ()))
    for target in run.targets:
        state = f"{SYMBOLS[target.status]} {target.status}"
        rows.append(_metric_row(el("b", target.name), state, target.metrics, names, float_of(run, target)))
    return _table(heads, [el("tbody", rows)], class_="metrics", numeric=range(1, len(heads)))


def _metric_head(name: str) -> Markup:
    unit = METRICS[name].unit
    return el("span", metric_title(name), el("small", f" ({unit})") if unit else None)


def _metric_row(
    name: Markup, kind: str, metrics: Sequence[Metric], names: Sequence[str], baseline: Sequence[Metric]
) -> Markup:
    cells = [_metric_cell(named(metrics, one), named(baseline, one)) for one in names]
    return el("tr", el("th", name, el("small", kind), scope="row"), cells)


def _metric_cell(metric: Metric | None, base: Metric | None) -> Markup:
    if metric is None:
        return el("td", "·", class_="num muted")
    text, verdict = change(metric, base)
    return el(
        "td",
        el("span", number(metric.name, metric.value), title=f"{metric.value!r} {metric.unit}".rstrip()),
        el(
            "div",
            el("small", text, class_=f"delta {verdict}") if text else None,
            evidence(metric.evidence) if metric.evidence != "host" else None,
            el("small", metric.batch_text) if metric.batch_text else None,
        ),
        class_="num",
    )


def _anyone(run: RunResult, name: str) -> bool:
    return any(named(target.metrics, name) for target in run.targets)


def finding_list(rows: Sequence[tuple[Finding, str]]) -> Markup:
    """Return findings with where they come from, worst first."""
    order = {"error": 0, "warning": 1, "note": 2}
    items = [
        el(
            "li",
            badge(finding.level),
            el("div", el("b", finding.id), " ", finding.message,
               el("p", finding.hint, class_="hint") if finding.hint else None,
               el("small", origin)),
            class_=finding.level,
        )
        for finding, origin in sorted(rows, key=lambda row: order[row[0].level])
    ]  # fmt: skip
    return el("ul", items, class_="findings")


def action_table(run: RunResult) -> Markup:
    """Return one row per action with outcome, time, reasons, log and command."""
    rows = [_action_row(number, view) for number, view in enumerate(run.actions)]
    return _table(("action", "outcome", "time", "why", "log and command"), [el("tbody", rows)],
                  class_="actions", numeric=(2,))  # fmt: skip


def _action_row(number: int, view: ActionView) -> Markup:
    state = outcome(view)
    spent = view.result.seconds if view.result else 0.0
    reasons = why(view)
    shown, rest = reasons[:4], reasons[4:]
    return el(
        "tr",
        el("th", el("b", view.title), el("small", view.id), scope="row"),
        el("td", el("span", badge(state), title=OUTCOMES.get(state, "not part of this run"))),
        el("td", seconds(spent) if spent else "", class_="num"),
        el(
            "td",
            [el("div", line) for line in shown],
            el("details", el("summary", f"{len(rest)} more"), [el("div", line) for line in rest])
            if rest
            else None,
            class_="why",
        ),
        el(
            "td",
            el("code", view.result.log) if view.result and view.result.log else None,
            el("details", el("summary", "command"), el("pre", shlex.join(view.command)))
            if view.command
            else None,
        ),
        id=f"action-{number}",
        data_find=f"{view.id} {view.title} {state} {' '.join(view.targets)}".lower(),
    )


def facts(values: Mapping[str, Any]) -> Markup:
    """Return nested facts, such as the validation protocol, as terms and their values."""
    return el("dl", [[el("dt", str(key)), el("dd", _fact(value))] for key, value in values.items()])


def _fact(value: Any) -> object:
    if isinstance(value, dict):
        return facts(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, str) and value.startswith("sha256:"):
        return el("code", value[:23] + "…", title=value)
    return "" if value is None else str(value)


def _table(
    heads: Sequence[object], bodies: Sequence[Markup], *, class_: str, numeric: Sequence[int]
) -> Markup:
    cells = [
        el("th", head, scope="col", class_="num" if index in numeric else None)
        for index, head in enumerate(heads)
    ]
    table = el("table", el("thead", el("tr", cells)), bodies, class_=class_)
    return el("div", table, class_="scroll")
