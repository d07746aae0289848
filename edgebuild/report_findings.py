"""What the tools said that a person should know, each once, with where it was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def _from_action(run: RunResult, finding: Finding) -> bool:
    return any(finding in view.result.findings for view in run.actions if view.result)
