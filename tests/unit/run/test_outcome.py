from __future__ import annotations

import pytest

from edgebuild.run.outcome import worst


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((), 0), ((0, 0), 0), ((4,), 4), ((4, 3), 3), ((0, 4, 5), 5), ((8, 1), 1), ((9, 4), 9), ((137, 0), 137)],
)
def test_the_gravest_code_counts_and_none_is_taken_for_success(codes: tuple[int, ...], expected: int) -> None:
    assert worst(set(codes)) == expected
