"""Latency of several artifacts in one process, in turn: every round runs each of them once.

python quantization_latency.py variants.json info.json calibration.npy --threads 1 --rounds 100

``variants.json`` maps names to ``{"artifact": ..., "runtime": ... or null}``. Whatever else the machine does
falls on all of them, so ratios hold on a busy machine too; CPU time leaves the others out. Prints one JSON
document: name -> p50 and p90 of the wall time and the median CPU time, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import numpy as np

from edgebuild.steps._runtime import open_artifact
from edgebuild.steps._step import StepFailure, read_json

WARMUP = 10


def main() -> None:
    """Read the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants")
    parser.add_argument("info")
    parser.add_argument("tensors")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args()
    info = read_json(given.info)
    image = np.array(np.load(given.tensors, mmap_mode="r")[:1])  # a copy: some runtimes want to write
    calls = {}
    for name, row in read_json(given.variants).items():
        try:
            opened = open_artifact(row["artifact"], info, threads=given.threads, runtime=row["runtime"])
            calls[name] = opened.bind(image)
        except StepFailure as failure:
            print(f"{name}: {failure}", file=sys.stderr)
    for call in calls.values():
        for _ in range(WARMUP):
            call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    worked: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(given.rounds):
        for name, call in calls.items():
            started, busy = time.perf_counter(), time.process_time()
            call()
            worked[name].append((time.process_time() - busy) * 1000)
            taken[name].append((time.perf_counter() - started) * 1000)
    print(json.dumps({name: _row(taken[name], worked[name]) for name in calls}))


def _row(taken: list[float], worked: list[float]) -> dict[str, float]:
    p90 = statistics.quantiles(taken, n=10)[8]
    return {"p50": statistics.median(taken), "p90": p90, "cpu": statistics.median(worked)}


if __name__ == "__main__":
    main()
