from __future__ import annotations

from edgebuild.clock import COARSE_NS, GRAIN_NS, grain

SECOND = 1_700_000_000_000_000_000


def test_whole_seconds_need_a_longer_wait() -> None:
    assert grain(SECOND, SECOND) == COARSE_NS
    assert grain(SECOND, SECOND + 5) == GRAIN_NS
    assert COARSE_NS >= 2_000_000_000 > GRAIN_NS >= 10_000_000
