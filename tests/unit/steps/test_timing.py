from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.steps._timing import latency_metrics, percentile, thin, trust


def test_percentile_interpolates_between_ranks() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile([1.0, 2.0], 90) == pytest.approx(1.9)
    assert percentile([7.0], 99) == 7.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_percentile_lies_within_the_samples(samples: list[float], percent: float) -> None:
    value = percentile(samples, percent)
    assert min(samples) <= value or value == pytest.approx(min(samples))
    assert value <= max(samples) or value == pytest.approx(max(samples))


@pytest.mark.yolo
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.sampled_from([50.0, 90.0, 99.0]))
def test_percentile_is_that_of_numpy(samples: list[float], percent: float) -> None:
    import numpy as np

    assert percentile(samples, percent) == pytest.approx(float(np.percentile(samples, percent)))


def test_latency_is_of_the_batch_and_throughput_of_images() -> None:
    metrics = {metric["name"]: metric for metric in latency_metrics([10.0, 10.0, 20.0, 40.0], batch=4)}
    assert metrics["latency_ms_p50"]["value"] == 15.0
    assert metrics["latency_ms_mean"]["value"] == 20.0
    assert metrics["throughput"] == {"name": "throughput", "value": 200.0, "unit": "images/s"}
    assert list(metrics) == [
        "latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "latency_ms_mean", "throughput",
    ]  # fmt: skip


def test_steady_samples_are_trusted() -> None:
    assert trust([10.0, 10.5, 10.2] * 20) == {"noisy": False, "why": ""}


def test_a_wide_spread_is_noisy() -> None:
    said = trust([10.0] * 8 + [16.0] * 2)
    assert said["noisy"]
    assert "p90 is 1.60 times p50" in said["why"]


def test_slowing_down_is_noisy() -> None:
    said = trust([10.0] * 20 + [11.5] * 20 + [13.0] * 20)
    assert said["noisy"]
    assert "1.30 times slower" in said["why"]


def test_a_few_samples_show_no_drift() -> None:
    assert not trust([10.0, 10.0, 14.0])["noisy"]


def test_thinning_keeps_the_first_and_spreads_the_rest() -> None:
    assert thin([1.00049, 2.0, 3.0], limit=5) == [1.0, 2.0, 3.0]
    assert thin([float(value) for value in range(10)], limit=4) == [0.0, 2.0, 5.0, 7.0]
    assert len(thin([1.0] * 5003)) == 500
