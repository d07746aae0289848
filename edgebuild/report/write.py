"""Reports of a run: HTML for people, JSON for programs, Markdown for a CI system's summary page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.action import Outcome
from edgebuild.report.compare import comparisons
from edgebuild.report.findings import findings
from edgebuild.report.html import render_html
from edgebuild.report.markdown import render_markdown
from edgebuild.report.sarif import sarif_document
from edgebuild.report.search import searches
from edgebuild.report.words import overall
from edgebuild.results import count, finding_row, metric_row, run_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.results import RunResult

SCHEMA = 1


def write_report(run: RunResult, folder: Path, lines: Mapping[str, int] | None = None) -> tuple[Path, ...]:
    """Write ``report.html``, ``report.json``, ``report.md`` and ``findings.sarif``, each complete or not.

    Args:
        run: The run; a failed or rejected one has a report like any other.
        folder: Where to write; it is made.
        lines: Line of each target in the manifest, where it is known.

    Returns:
        The paths, HTML first.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(_finite(report_document(run)), sort_keys=True, indent=2, ensure_ascii=False)
    texts = {
        "report.html": render_html(run),
        "report.json": document + "\n",
        "report.md": render_markdown(run),
        "findings.sarif": json.dumps(sarif_document(run, lines or {}, Path.cwd()), indent=2) + "\n",
    }
    return tuple(_replace(folder / name, text) for name, text in texts.items())


def report_document(run: RunResult) -> dict[str, Any]:
    """Return ``report.json``: the ``run --json`` document and what only a report has.

    Its schema is ``schemas/report.schema.json``.
    """
    return {
        **run_document(run),
        "schema": SCHEMA,
        "version": run.version,
        "started": run.started,
        "verdict": overall(run),
        "counts": {str(outcome): count(run, outcome) for outcome in Outcome},
        "baseline": [metric_row(metric) for metric in run.baseline],
        "protocol": dict(run.protocol),
        "searches": searches(run),
        "findings": [{**finding_row(finding), "from": origin} for finding, origin in findings(run)],
        "comparisons": comparisons(run),
        "dag": [
            {
                "id": view.id,
                "title": view.title,
                "targets": list(view.targets),
                "needs": list(view.needs),
                "command": list(view.command),
                "outcome": str(view.result.outcome) if view.result else None,
            }
            for view in run.actions
        ],
    }


def _finite(value: Any) -> Any:
    """Return a document with null for what JSON has no word for, such as a metric that came out as NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _replace(path: Path, text: str) -> Path:
    partial = path.with_name(path.name + ".partial")
    # Names come from files and tools: a lone surrogate in one must not cost the whole report.
    partial.write_text(text, encoding="utf-8", errors="replace")
    return partial.replace(path)
