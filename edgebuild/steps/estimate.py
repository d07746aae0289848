"""Read what a compiler estimated: ``python -m edgebuild.steps.estimate``.

A compiler that counts cycles has measured nothing: what it says is written as a benchmark is, with evidence
``emulator`` and without samples.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.results import metric_row
from edgebuild.steps._step import fail, read_json, run_step, write_json
from edgebuild.toolchain.device_output import DeviceTool, OutputRule, metrics, read_output

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTES = {"estimate": "counted by a compiler for the device it was told of; nothing was run"}


def main(argv: Sequence[str]) -> None:
    """Read the text and write ``{"schema", "evidence", "estimate", "metrics", "readings", "notes"}``."""
    options = _parse(argv)
    tool = _tool(read_json(options.rules))
    document = estimate(tool, options.artifact, batch=options.batch)
    write_json(options.output, document)
    for row in document["metrics"]:
        print(f"{row['name']}: {row['value']:g} {row['unit']}")


def estimate(tool: DeviceTool, text: Path, *, batch: int) -> dict[str, Any]:
    """Return the benchmark document of an estimate.

    Args:
        tool: What estimated, and how to read it.
        text: What it printed.
        batch: Images per inference.

    Raises:
        StepFailure: No metric is found in the text.
    """
    found = read_output(tool, text.read_text(encoding="utf-8", errors="replace"), batch=batch)
    rows = [metric_row(metric) for metric in metrics(tool, found)]
    if not rows:
        fail(f"{text}: {tool.name} estimated nothing that is known",
             hint="its output changed: mend the rules in device.estimate of toolchain.yaml")  # fmt: skip
    names = {row["name"] for row in rows}
    others = [one for one in found if one.name not in names]
    return {
        "schema": 1,
        "evidence": "emulator",
        "estimate": tool.name,
        "settings": {"batch": batch},
        "metrics": rows,
        "readings": {one.name: {"value": one.value, "unit": one.unit} for one in others},
        "notes": NOTES,
    }


def _tool(document: dict[str, Any]) -> DeviceTool:
    rules = tuple(
        OutputRule(pattern=rule["pattern"], unit=rule["unit"], take=rule["take"])
        for rule in document["rules"]
    )
    return DeviceTool(name=document["name"], kind="estimate", rules=rules)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.estimate", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="what the compiler printed")
    parser.add_argument("--rules", required=True, help="how to read it")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--output", required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_step(main)
