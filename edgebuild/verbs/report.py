"""``edgebuild report``: write the report again from results that are there; nothing is run."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass

from edgebuild.report.markdown import render_markdown
from edgebuild.report.write import write_report
from edgebuild.run.outcome import run_result
from edgebuild.run.placing import delivered, materialise, remove_outdated
from edgebuild.run.session import Silence, open_session, writing
from edgebuild.run.spare import spare
from edgebuild.run.standing import standing


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
    context = session.context(Silence(), look=options.markdown)
    spare(session.plan.actions, context, delivered(session.plan))
    built = standing(session, context)
    placed = materialise(session.plan, built.results, context, built.ready, look=options.markdown)
    if not options.markdown:
        remove_outdated(session.plan, built.results, context, built.ready)
    result = run_result(
        session.plan,
        built.results,
        context,
        targets=built.ready,
        skipped=built.absent,
        placed=placed,
        started=dt.datetime.now(dt.UTC).astimezone().isoformat(timespec="seconds"),
        seconds=0.0,
    )
    if options.markdown:
        print(render_markdown(result), end="")
    else:
        folder = session.manifest.folder / "build" / session.manifest.name
        with writing(folder):
            paths = write_report(result, folder)
        print(os.path.relpath(paths[0]))
    return 0
