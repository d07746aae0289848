from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from edgebuild.action import Finding
from edgebuild.report.sarif import sarif_document
from tests.unit.fixtures_report import failed_run, hostile_run, sample_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgebuild.results import RunResult

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}

SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "level": {"enum": ["none", "note", "warning", "error"]},
        "run": {
            "type": "object",
            "required": ["tool"],
            "additionalProperties": False,
            "properties": {
                "tool": {
                    "type": "object",
                    "required": ["driver"],
                    "properties": {
                        "driver": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string"},
                                "version": {"type": "string"},
                                "rules": {
                                    "type": "array",
                                    "uniqueItems": True,
                                    "items": {"$ref": "#/$defs/rule"},
                                },
                            },
                        }
                    },
                },
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
                "automationDetails": {"type": "object", "properties": {"id": {"type": "string"}}},
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            },
        },
        "rule": {
            "type": "object",
            "required": ["id"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string"},
                "shortDescription": TEXT,
                "help": TEXT,
                "defaultConfiguration": {
                    "type": "object",
                    "properties": {"level": {"$ref": "#/$defs/level"}},
                },
            },
        },
        "result": {
            "type": "object",
            "required": ["message"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": -1},
                "level": {"$ref": "#/$defs/level"},
                "message": TEXT,
                "locations": {"type": "array", "items": {"$ref": "#/$defs/location"}},
                "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
                "properties": {"type": "object"},
            },
        },
        "location": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "physicalLocation": {
                    "type": "object",
                    "required": ["artifactLocation"],
                    "properties": {
                        "artifactLocation": {
                            "type": "object",
                            "required": ["uri"],
                            "properties": {"uri": {"type": "string", "pattern": r"^[^\s\\]+$"}},
                        },
                        "region": {
                            "type": "object",
                            "required": ["startLine"],
                            "properties": {"startLine": {"type": "integer", "minimum": 1}},
                        },
                    },
                },
                "logicalLocations": {"type": "array", "items": {"type": "object"}},
            },
        },
    },
}
"""What the SARIF 2.1.0 schema demands of the parts that we write, in few lines."""

FINDING = Finding(id="cpu-fallback", level="error", message="Resize_3 runs on the CPU", hint="change it")


def found(run: RunResult) -> RunResult:
    """Return a run in which the last action of the first target said something."""
    target = run.targets[0]
    names = tuple(view.id for view in run.actions if target.name in view.targets and view.result)
    name = names[-1]
    views = tuple(
        replace(view, result=replace(view.result, findings=(FINDING,), log="logs/x.log"))
        if view.id == name and view.result
        else view
        for view in run.actions
    )
    first = replace(target, findings=(FINDING,), actions=names)
    return replace(run, targets=(first, *run.targets[1:]), actions=views)


@pytest.mark.parametrize("make", [sample_run, failed_run, hostile_run])
def test_it_is_sarif(make: Callable[[Path], RunResult], tmp_path: Path) -> None:
    run = found(make(tmp_path))
    document = sarif_document(run, {run.targets[0].name: 7}, tmp_path)
    jsonschema.Draft202012Validator(SARIF).validate(document)
    (one,) = document["runs"]
    rules = [rule["id"] for rule in one["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in one["results"])


def test_a_result_points_at_the_target_in_the_manifest_and_names_rule_level_and_hint(tmp_path: Path) -> None:
    run = found(sample_run(tmp_path))
    name = run.targets[0].name
    document = sarif_document(replace(run, manifest=str(tmp_path / "m" / "a.yaml")), {name: 7}, tmp_path)
    result = next(r for r in document["runs"][0]["results"] if r["ruleId"] == "cpu-fallback")
    assert result["level"] == "error"
    assert result["message"]["text"] == f"{name}: Resize_3 runs on the CPU (change it)"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "m/a.yaml"}, "region": {"startLine": 7}}
    action = result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]
    assert action == run.targets[0].actions[-1]
    assert result["properties"] == {
        "target": run.targets[0].name,
        "action": action,
    }  # no log: a cached result has none
    rule = next(r for r in document["runs"][0]["tool"]["driver"]["rules"] if r["id"] == "cpu-fallback")
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert rule["help"]["text"] == "change it"


def test_the_fingerprint_follows_the_finding_and_not_its_words(tmp_path: Path) -> None:
    def prints(run: RunResult) -> list[dict[str, str]]:
        return [r["partialFingerprints"] for r in sarif_document(run, {}, tmp_path)["runs"][0]["results"]]

    run = found(sample_run(tmp_path))
    target = replace(run.targets[0], findings=(replace(FINDING, message="Resize_4 runs on the CPU"),))
    assert prints(run) == prints(replace(run, targets=(target, *run.targets[1:])))


def test_a_run_without_findings_has_no_results(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    bare = tuple(replace(target, findings=()) for target in run.targets)
    (one,) = sarif_document(replace(run, targets=bare), {}, tmp_path)["runs"]
    assert one["results"] == []
    assert one["tool"]["driver"]["rules"] == []
