"""Latency samples to figures: percentiles, throughput, and whether to trust them."""

from __future__ import annotations

import math
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

NOISY_SPREAD = 1.5
"""A 90th percentile this many times the median means something else used the machine."""

NOISY_DRIFT = 1.2
"""A last third this many times slower than the first means the machine slowed down while measured."""

MAX_SAMPLES = 500
"""How many samples a result keeps."""


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return a percentile by linear interpolation between the two nearest ranks (NumPy's default).

    Args:
        samples: At least one value, in any order.
        percent: 0 to 100.
    """
    ordered = sorted(samples)
    rank = (len(ordered) - 1) * percent / 100
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def latency_metrics(samples_ms: Sequence[float], *, batch: int) -> list[dict[str, Any]]:
    """Return latency percentiles, mean and throughput; a latency is that of the whole batch."""
    mean = fmean(samples_ms)
    figures = {f"latency_ms_p{q}": percentile(samples_ms, q) for q in (50, 90, 99)} | {
        "latency_ms_mean": mean
    }
    metrics = [{"name": name, "value": round(value, 4), "unit": "ms"} for name, value in figures.items()]
    throughput = round(batch * 1000 / mean, 3) if mean else 0.0
    return [*metrics, {"name": "throughput", "value": throughput, "unit": "images/s"}]


def trust(samples_ms: Sequence[float]) -> dict[str, Any]:
    """Say whether the samples are noisy, and why: ``{"noisy": bool, "why": str}``."""
    middle = percentile(samples_ms, 50)
    spread = percentile(samples_ms, 90) / middle if middle else 1.0
    if spread > NOISY_SPREAD:
        return {"noisy": True, "why": f"p90 is {spread:.2f} times p50: something else used the machine"}
    third = len(samples_ms) // 3
    if third >= 5:
        drift = median(samples_ms[-third:]) / median(samples_ms[:third])
        if drift > NOISY_DRIFT:
            why = (
                f"the last third is {drift:.2f} times slower than the first: the machine slowed down (heat?)"
            )
            return {"noisy": True, "why": why}
    return {"noisy": False, "why": ""}


def thin(samples_ms: Sequence[float], limit: int = MAX_SAMPLES) -> list[float]:
    """Keep at most ``limit`` samples, evenly spread over the run, rounded to a microsecond."""
    step = max(len(samples_ms) / limit, 1.0)
    kept = [samples_ms[int(index * step)] for index in range(min(limit, len(samples_ms)))]
    return [round(sample, 3) for sample in kept]
