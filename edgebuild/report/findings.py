"""What the tools said that a person should know, each once, with where it was said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgebuild.report.stored import read_document

if TYPE_CHECKING:
    from edgebuild.action import Finding
    from edgebuild.results import RunResult


def findings(run: RunResult) -> list[tuple[Finding, str]]:
    """Return every distinct finding with the actions, or else the targets, that it comes from."""
    origins: dict[Finding, dict[str, None]] = {}
    for view in run.actions:
        for finding in view.result.findings if view.result else ():
            origins.setdefault(finding, {})[view.id] = None
    for target in run.targets:
        for finding in target.findings:
            if finding not in origins or not _from_action(run, finding):
                origins.setdefault(finding, {})[target.name] = None
    return [(finding, ", ".join(names)) for finding, names in origins.items()]


def circumstances(run: RunResult) -> dict[str, Any]:
    """Return under which circumstances latencies were measured, by the targets that share them."""
    shared: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for target in run.targets:
        document = read_document(target.benchmark)
        told = {key: document[key] for key in ("evidence", "machine", "settings") if document.get(key)}
        if told:
            shared.setdefault(json.dumps(told, sort_keys=True), ([], told))[0].append(target.name)
    return {f"latency of {', '.join(names)}": told for names, told in shared.values()}


def _from_action(run: RunResult, finding: Finding) -> bool:
    return any(finding in view.result.findings for view in run.actions if view.result)
