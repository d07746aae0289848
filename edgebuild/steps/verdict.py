"""Judge what was measured against the gates: ``python -m edgebuild.steps.verdict``.

A missed gate is an answer, not a failure: the step exits 0 and the verdict says ``rejected``. Only so can
the report and the package of a rejected target still be made.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.gates import EVIDENCE, GATE_KINDS, METRICS, Gate, Metric, judge_all, judge_finding
from edgebuild.results import metric_row, verdict_row
from edgebuild.steps._step import fail, read_json, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgebuild.gates import Verdict

SCHEMA = 1

BULK = frozenset({"schema", "metrics", "samples_ms"})
"""What a benchmark document says besides the circumstances of the measurement."""


def main(argv: Sequence[str]) -> None:
    """Write ``{"schema", "status", "metrics", "verdicts", "benchmark"}``; see :func:`judge_files`."""
    arguments = _arguments(argv)
    document = judge_files(
        gates=read_gates(arguments.gates),
        measured=(arguments.metrics, arguments.benchmark),
        baseline=(arguments.baseline, arguments.baseline_benchmark),
        artifact=arguments.artifact,
        baseline_artifact=arguments.baseline_artifact,
        findings=arguments.findings,
    )
    write_json(arguments.output, document)
    for row in document["verdicts"]:
        print(f"{row['status']:<10} {row['metric']}: {row['text']}")
    print(document["status"])


def judge_files(
    *,
    gates: Sequence[Gate],
    measured: tuple[Path | None, Path | None],
    baseline: tuple[Path | None, Path | None],
    artifact: Path,
    baseline_artifact: Path | None = None,
    findings: Path | None = None,
) -> dict[str, Any]:
    """Return the verdict document.

    Args:
        gates: The limits.
        measured: Metrics document and benchmark document of the target.
        baseline: The same two of the float model.
        artifact: File or directory whose bytes are ``size_mb`` (1 MB is 1,000,000 bytes).
        baseline_artifact: The same of the float model, where a gate compares sizes.
        findings: What tools said that the manifest does not allow: ``[{"action", "id", "message"}]``.

    Raises:
        StepFailure: A document or the artifact cannot be read.
    """
    metrics = {**_metrics(measured), "size_mb": _size(artifact)}
    floats = _metrics(baseline)
    if baseline_artifact is not None:
        floats["size_mb"] = _size(baseline_artifact)
    verdicts = (*judge_all(gates, metrics, floats), *_findings(findings))
    return {
        "schema": SCHEMA,
        "status": "passed" if all(verdict.passed for verdict in verdicts) else "rejected",
        "metrics": [metric_row(metric) for metric in metrics.values()],
        "verdicts": [verdict_row(verdict) for verdict in verdicts],
        "benchmark": _circumstances(measured[1]),
    }


def read_gates(path: Path) -> tuple[Gate, ...]:
    """Return the gates of a ``[{"metric", "kind", "limit", "evidence"}]`` document.

    Raises:
        StepFailure: It is not such a document.
    """
    return tuple(_gate(path, row) for row in read_json_file(path))


def read_document(path: Path) -> dict[str, Any]:
    """Return a document that another step wrote, checked for its schema version.

    Raises:
        StepFailure: It is missing, not JSON, or of another version.
    """
    document = read_json_file(path)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        fail(f'{path}: not a document with "schema": {SCHEMA}',
             hint="it was written by another version of edgebuild; build that step again")  # fmt: skip
    return document


def read_json_file(path: Path) -> Any:
    """Return a JSON document that another step wrote.

    Raises:
        StepFailure: It is missing or not JSON.
    """
    try:
        return read_json(path)
    except OSError as error:
        fail(f"{path}: {error.strerror}", hint="the step before this one did not leave it")
    except ValueError as error:
        fail(f"{path}: not JSON ({error})", hint="the step before this one did not write it to the end")


def _gate(path: Path, row: Any) -> Gate:
    try:
        gate = Gate(
            metric=str(row["metric"]),
            kind=row["kind"],
            limit=float(row["limit"]),
            evidence=row.get("evidence") or "",
        )
    except (KeyError, TypeError, ValueError) as error:
        fail(f"{path}: {row!r} is not a gate ({error!r})",
             hint='a gate is {"metric", "kind", "limit", "evidence"}')  # fmt: skip
    if gate.kind not in GATE_KINDS or gate.evidence not in ("", *EVIDENCE):
        fail(f"{path}: {row!r} is not a gate",
             hint=f"kind: {', '.join(GATE_KINDS)}; evidence: {', '.join(EVIDENCE)}")  # fmt: skip
    return gate


def _metrics(paths: tuple[Path | None, Path | None]) -> dict[str, Metric]:
    return {metric.name: metric for path in paths if path for metric in _document_metrics(path)}


def _document_metrics(path: Path) -> list[Metric]:
    document = read_document(path)
    evidence = document.get("evidence", "host")
    batch = document.get("settings", {}).get("batch", 0)
    return [
        Metric(
            name=row["name"],
            value=float(row["value"]),
            unit=row.get("unit") or _unit(row["name"]),
            evidence=row.get("evidence") or evidence,
            batch=batch if _per_call(row["name"]) else 0,
        )
        for row in document.get("metrics", ())
    ]


def _findings(path: Path | None) -> list[Verdict]:
    rows = read_json_file(path) if path else []
    return [judge_finding(row["id"], f"{row['action']}: {row['message']}") for row in rows]


def _circumstances(benchmark: Path | None) -> dict[str, Any] | None:
    """Return how the volatile values were measured: they are published with it, or not at all."""
    if benchmark is None:
        return None
    return {key: value for key, value in read_document(benchmark).items() if key not in BULK}


def _per_call(name: str) -> bool:
    kind = METRICS.get(name)
    return kind is not None and kind.source == "benchmark"


def _unit(name: str) -> str:
    kind = METRICS.get(name.partition("/")[0])
    return kind.unit if kind else ""


def _size(artifact: Path) -> Metric:
    if artifact.is_dir():
        size = sum(path.stat().st_size for path in artifact.rglob("*") if path.is_file())
    elif artifact.is_file():
        size = artifact.stat().st_size
    else:
        fail(f"{artifact}: no such file", hint="the artifact is what the compile step leaves")
    return Metric(name="size_mb", value=round(size / 1e6, 6), unit="MB", evidence="host")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.verdict", description=__doc__)
    parser.add_argument("--gates", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, help="absent where the manifest has no dataset")
    parser.add_argument("--benchmark", type=Path)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--baseline-benchmark", type=Path)
    parser.add_argument("--baseline-artifact", type=Path)
    parser.add_argument("--findings", type=Path, help="what tools said that is not allowed")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_step(main)
