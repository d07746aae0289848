"""``edgebuild report``: write the report again from results that are there; nothing is run."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass

from edgebuild.report.markdown import render_markdown
from edgebuild.report.write import write_report
from edgebuild.run.forecast import forecast
from edgebuild.run.outcome import run_result
from edgebuild.run.placing import materialise
from edgebuild.run.session import Silence, open_session


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """What the user asked of ``report``."""

    manifest: str
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    markdown: bool


def report(options: ReportOptions) -> int:
    """Write the report of what is built and print where it is; or print it as Markdown and write nothing."""
    session = open_session(options.manifest, overrides=options.overrides, templates=options.templates)
    left_out = session.unavailable(skip_all=True)
    context = session.context(Silence(), look=options.markdown)
    found = forecast(session.plan.actions, context)
    results = {name: one.result for name, one in found.items() if one.result is not None}
    ready = tuple(
        target.name
        for target in session.plan.targets
        if target.name not in left_out and (target.package or target.verdict) in results
    )
    absent = {t.name: "not built yet" for t in session.plan.targets if t.name not in ready}
    result = run_result(
        session.plan,
        results,
        context,
        targets=ready,
        skipped=absent | left_out,
        placed=materialise(session.plan, results, context, ready, look=options.markdown),
        started=dt.datetime.now(dt.UTC).astimezone().isoformat(timespec="seconds"),
        seconds=0.0,
    )
    if options.markdown:
        print(render_markdown(result), end="")
    else:
        paths = write_report(result, session.manifest.folder / "build" / session.manifest.name)
        print(os.path.relpath(paths[0]))
    return 0
