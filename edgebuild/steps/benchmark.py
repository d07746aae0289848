"""Time an artifact on this machine: ``python -m edgebuild.steps.benchmark``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._machine import describe_machine, peak_memory_mb, read_text
from edgebuild.steps._ort import import_onnxruntime
from edgebuild.steps._runtime import fixed_batch, open_artifact
from edgebuild.steps._server import time_calls
from edgebuild.steps._step import fail, progress, read_json, report_finding, run_step, write_json
from edgebuild.steps._timing import latency_metrics, thin, trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

NOTES = {
    "latency": "one call with the whole batch, inputs and outputs already in memory; "
    "percentiles by linear interpolation",
    "head": "decoding that a cut or normalised head leaves to do is not in it",
    "load_ms": "from the file to a session that can run, the file being in the page cache or not",
    "peak_memory_mb": "resident high-water mark (VmHWM) of the process that loads and runs the artifact: "
    "the Python interpreter, NumPy and the runtime's libraries are in it",
}


def main(argv: Sequence[str]) -> None:
    """Measure and write the result."""
    options = _parse(argv)
    info = read_json(options.info)
    images = random_images(info, batch=options.batch)
    if options.runtime is None:
        import_onnxruntime()  # so that load_ms does not count the import
    started = time.perf_counter_ns()
    artifact = open_artifact(options.artifact, info, threads=options.threads, runtime=options.runtime)
    load_ms = (time.perf_counter_ns() - started) / 1e6
    artifact(images)  # a wrong shape is told here, in words
    settings = {"warmup": options.warmup, "runs": options.runs, "seconds_limit": options.seconds_limit}
    if artifact.foreign:
        samples, load_ms = artifact.foreign.measure(images, **settings), artifact.foreign.load_ms
        status = artifact.foreign.memory
    else:
        samples, status = measure(artifact.bind(images), **settings), read_text("/proc/self/status")
    document = _document(options, samples, load_ms, status)
    doubt(document["trust"])
    write_json(options.output, document | other_family(options.cpu, document["machine"]["family"]))


def other_family(wanted: str, here: str) -> dict[str, Any]:
    """Say so when the artifact is for another CPU family than this machine's.

    Args:
        wanted: Family that the artifact is for; empty: any.
        here: This machine's.

    Returns:
        What the result says of it; empty when there is nothing to say.
    """
    if wanted in {"", here}:
        return {}
    report_finding(
        "other-cpu-family", f"measured on {here}, the target's CPU is {wanted}: not the target's latency",
        hint="compare such latencies with each other only, and set no gate on them",
    )  # fmt: skip
    return {"other_cpu_family": {"target": wanted, "host": here}}


def doubt(trust: Mapping[str, Any]) -> None:
    """Say so when a measurement is too noisy to trust."""
    if trust["noisy"]:
        report_finding(
            "noisy-latency", f"the latency cannot be trusted: {trust['why']}",
            hint="measure again while nothing else runs: `edgebuild run MANIFEST TARGET/benchmark -f`",
        )  # fmt: skip


def random_images(info: Mapping[str, Any], *, batch: int) -> npt.NDArray[np.float32]:
    """Return a fixed random batch for the model.

    Args:
        info: The model's description (model.json).
        batch: How many images.

    Raises:
        StepFailure: The model was built for another batch size.
    """
    import numpy as np

    built = fixed_batch(info)
    if built not in {None, batch}:
        fail(f"the artifact was built for batch {built}, the benchmark asks for {batch}",
             hint=f"set the target's batch to {built} or export with dynamic shapes")  # fmt: skip
    shape = (batch, len(info.get("input", {}).get("channels", "RGB")), *(int(side) for side in info["imgsz"]))
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def measure(
    run: Callable[[], object], *, warmup: int, runs: int, seconds_limit: float | None = None
) -> list[float]:
    """Time a call.

    Args:
        run: What to time.
        warmup: Calls that are not counted.
        runs: Calls that are counted.
        seconds_limit: Start no further call after this time (warm-up included), once a few are counted.

    Returns:
        Wall milliseconds per call, in the order measured.
    """
    limit = float("inf") if seconds_limit is None else seconds_limit
    return time_calls(
        run, warmup=warmup, runs=runs, limit=limit, progress=lambda done: progress(done, runs, "runs")
    )


def size_bytes(artifact: str | Path) -> int:
    """Return the bytes of a file, or of every file in a folder."""
    path = Path(artifact)
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)


def _document(
    options: argparse.Namespace, samples: list[float], load_ms: float, status: str
) -> dict[str, Any]:
    metrics = latency_metrics(samples, batch=options.batch)
    metrics.append({"name": "load_ms", "value": round(load_ms, 3), "unit": "ms"})
    metrics.append({"name": "size_mb", "value": round(size_bytes(options.artifact) / 1e6, 6), "unit": "MB"})
    memory = peak_memory_mb(status)
    if memory is not None:
        metrics.append({"name": "peak_memory_mb", "value": round(memory, 3), "unit": "MB"})
    settings = {"threads": options.threads, "batch": options.batch, "warmup": options.warmup}
    return {
        "schema": 1,
        "evidence": options.evidence,
        "machine": describe_machine(),
        "settings": settings | {"runs": len(samples), "runs_wanted": options.runs},
        "metrics": metrics,
        "samples_ms": thin(samples),
        "trust": trust(samples),
        "notes": NOTES,
    }


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.benchmark", description=__doc__)
    parser.add_argument("--artifact", required=True, help="what to measure: a file or a folder")
    parser.add_argument("--info", required=True, help="the model's description (model.json)")
    parser.add_argument("--runtime", help="runtime.py of a toolchain; ONNX Runtime otherwise")
    parser.add_argument("--threads", type=_positive, default=1)
    parser.add_argument("--batch", type=_positive, default=1)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--runs", type=_positive, default=100)
    parser.add_argument("--seconds-limit", type=float, help="start no further run after this many seconds")
    parser.add_argument("--cpu", default="", help="CPU family that the artifact is for")
    parser.add_argument("--evidence", choices=("host", "proxy", "emulator", "device"), required=True)
    parser.add_argument("--output", required=True)
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


if __name__ == "__main__":
    run_step(main)
