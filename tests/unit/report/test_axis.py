from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.report.axis import Rect, linear, place_labels, positive

LATENCIES = st.lists(st.floats(0.01, 10_000), min_size=1, max_size=20)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_a_linear_scale_holds_its_values(values: list[float]) -> None:
    scale = linear(values, 400, 0, bounds=(0.0, 1.0), least=0.04)
    assert scale.high - scale.low >= 0.039
    assert all(-1e-6 <= scale(value) <= 400 + 1e-6 for value in values)
    assert all(scale.low - 1e-9 <= tick <= scale.high + 1e-9 for tick in scale.ticks)


@given(LATENCIES)
def test_a_scale_for_latencies_holds_its_values(values: list[float]) -> None:
    scale = positive(values, 0, 800)
    assert all(-1e-6 <= scale(value) <= 800 + 1e-6 for value in values)
    assert scale.ticks == tuple(sorted(scale.ticks))
    assert len(scale.ticks) >= 2


@pytest.mark.parametrize(("values", "logarithmic"), [([10, 50], False), ([1, 100], True), ([], False)])
def test_very_different_latencies_need_a_logarithm(values: list[float], logarithmic: object) -> None:
    assert positive(values, 0, 1).logarithmic is logarithmic


def test_ticks_are_round() -> None:
    assert linear([0.82, 0.9], 0, 1, bounds=(0.0, 1.0), least=0.04).ticks == (0.82, 0.84, 0.86, 0.88, 0.9)
    assert positive([3, 400], 0, 1).ticks == (5, 10, 20, 50, 100, 200, 500)


POINTS = st.lists(
    st.tuples(st.floats(0, 500), st.floats(0, 300), st.floats(4, 16), st.text(min_size=1, max_size=20)),
    max_size=15,
)


@given(POINTS)
def test_labels_never_overlap_and_stay_inside(points: list[tuple[float, float, float, str]]) -> None:
    area = Rect(left=0, top=0, right=500, bottom=300)
    taken = [Rect(left=x - r, top=y - r, right=x + r, bottom=y + r) for x, y, r, _ in points]
    boxes = [label.box for label in place_labels(points, area, taken) if label]
    assert all(area.holds(box) for box in boxes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert not any(box.overlaps(other) for box in boxes for other in taken)


def test_a_lone_label_is_right_of_its_point() -> None:
    (label,) = place_labels([(100, 100, 5, "rpi5")], Rect(left=0, top=0, right=400, bottom=200), [])
    assert label is not None
    assert label.box.left == 109
    assert not label.led


def test_without_room_there_is_no_label() -> None:
    assert place_labels([(5, 5, 5, "name")], Rect(left=0, top=0, right=10, bottom=10), []) == [None]
