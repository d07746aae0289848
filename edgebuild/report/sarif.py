"""Findings as SARIF 2.1.0, which code-scanning pages and editors read.

The specification: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Every finding points at
the line of the manifest where the target that it concerns is declared: the log it is from is no part of
the repository, and is not there at all where the result came from a cache. So equal builds leave equal files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild import __version__
from edgebuild.digest import digest_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgebuild.action import Finding
    from edgebuild.results import RunResult

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

_Said = tuple[str, str, "Finding"]
"""Target, action (empty: none in particular), finding."""


def sarif_document(run: RunResult, lines: Mapping[str, int], folder: Path) -> dict[str, Any]:
    """Return all findings of a run.

    Args:
        run: The run; its findings have the levels that the manifest gives them.
        lines: Line of each target in the manifest.
        folder: Folder that paths are relative to; where edgebuild was started.
    """
    said = list(_said(run))
    rules = _rules(finding for _, _, finding in said)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    uri = _uri(run.manifest, folder)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(rules)},
                "results": [_result(one, index, uri, lines.get(one[0], 0)) for one in said],
                "automationDetails": {"id": f"edgebuild/{run.name}/"},
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def _said(run: RunResult) -> Iterable[_Said]:
    """Yield every finding of every target once, with the action that has it."""
    # By words and not by value: what is shared by targets may have another level in each.
    said = {
        (view.id, found.id, found.message)
        for view in run.actions
        for found in (view.result.findings if view.result else ())
    }
    for target in run.targets:
        for found in target.findings:
            action = next((name for name in target.actions if (name, found.id, found.message) in said), "")
            yield target.name, action, found


def _driver(rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "edgebuild",
        "version": __version__,
        "rules": list(rules),
    }


def _rules(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.id, finding)
    return [_rule(first[name]) for name in sorted(first)]


def _rule(finding: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": finding.id,
        "shortDescription": {"text": finding.id.replace("-", " ")},
        "defaultConfiguration": {"level": finding.level},
    }
    if finding.hint:
        rule["help"] = {"text": finding.hint}
    return rule


def _result(one: _Said, index: Mapping[str, int], uri: str, line: int) -> dict[str, Any]:
    target, action, finding = one
    hint = f" ({finding.hint})" if finding.hint else ""
    place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if line:
        place["region"] = {"startLine": line}
    location: dict[str, Any] = {"physicalLocation": place}
    if action:
        location["logicalLocations"] = [{"fullyQualifiedName": action, "kind": "function"}]
    return {
        "ruleId": finding.id,
        "ruleIndex": index[finding.id],
        "level": finding.level,
        "message": {"text": f"{target}: {finding.message}{hint}"},
        "locations": [location],
        # Neither the line nor the words: both change while the finding stays the same.
        "partialFingerprints": {"findingOfTarget/v1": digest_text(f"{finding.id} {target}")[-32:]},
        "properties": {"target": target, "action": action},
    }


def _uri(manifest: str, folder: Path) -> str:
    """Return the manifest's path relative to the folder, as far as it lies below it."""
    path = Path(manifest)
    if path.is_absolute() and path.is_relative_to(folder):
        path = path.relative_to(folder)
    return path.as_posix() if not path.is_absolute() else path.as_uri()
