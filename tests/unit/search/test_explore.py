from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from edgebuild.plan.candidates import (
    FLOAT,
    BlockFacts,
    Candidate,
    Explored,
    Latency,
    Limits,
    Metric,
    Noise,
    Ranges,
    Space,
)
from edgebuild.search.explore import HOPELESS, SAME_SPEED, beats, explore, keeps

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgebuild.plan.candidates import Probe

MINMAX = Ranges(method="minmax")
SHARP = Ranges(method="percentile", percentile=99.999, images=64)
LABELS = ("model.0", "model.1", "model.2", "model.3", "head box", "head class")


def space(*, blocks: tuple[BlockFacts, ...] = (), previous: tuple[Candidate, ...] = ()) -> Space:
    return Space(
        base=("decode", "last"),
        ranges=MINMAX,
        less=("decode",),
        blocks=blocks or tuple(BlockFacts(label=label, share=1 / len(LABELS)) for label in LABELS),
        branches=("head box", "head class"),
        groups=("attention", "head"),
        other_ranges=(SHARP, Ranges(method="minmax", images=64)),
        previous=previous,
    )


class World:
    """A model whose every block costs accuracy when quantized and time when not."""

    def __init__(
        self, harm: dict[str, float], cost: dict[str, float], *, ranges: float = 0.0, broken: str = ""
    ) -> None:
        self.harm, self.cost, self.ranges, self.broken = harm, cost, ranges, broken
        self.asked: list[Probe] = []

    def __call__(self, probe: Probe) -> float | None:
        self.asked.append(probe)
        if isinstance(probe, Noise):
            return self.harm.get(probe.block, 0.0)
        keep = probe.keep if isinstance(probe, Latency) else probe.candidate.keep
        if self.broken in keep:
            return None
        if isinstance(probe, Latency):
            extra = [name for name in keep if name not in {"decode", "last"}]
            everything = sum(self.cost.values()) if keep == FLOAT.keep else 0.0
            return 1.0 + everything + sum(self.cost.get(name, 0.05) for name in extra)
        if probe.candidate == FLOAT:
            return 0.8
        lost = sum(harm for name, harm in self.harm.items() if name not in keep)
        lost += 0.0 if "last" in keep else 0.01
        return 0.8 - lost + (self.ranges if probe.candidate.ranges != MINMAX else 0.0)


def search(where: Space, limits: Limits, answer: Callable[[Probe], float | None]) -> Explored:
    asking = explore(where, limits)
    said: float | None = None
    while True:
        try:
            said = answer(asking.send(said))
        except StopIteration as end:
            found: Explored = end.value
            return found


amounts = st.fixed_dictionaries(
    {label: st.floats(0, 0.02).map(lambda value: round(value, 5)) for label in LABELS}
)
costs = st.fixed_dictionaries(
    {label: st.floats(-0.01, 0.2).map(lambda value: round(value, 4)) for label in LABELS}
)
asked = st.builds(
    Limits,
    max_drop=st.floats(0, 0.1),
    max_slowdown=st.floats(0, 0.5),
    budget=st.integers(4, 40),
)


@settings(max_examples=150, deadline=None)
@given(harm=amounts, cost=costs, limits=asked, ranges=st.sampled_from([-0.01, 0.0, 0.004]))
def test_the_choice_keeps_the_limits_and_nothing_measured_is_better_on_both_axes(
    harm: dict[str, float], cost: dict[str, float], limits: Limits, ranges: float
) -> None:
    world = World(harm, cost, ranges=ranges)

    found = search(space(), limits, world)

    assert found.default is not None
    judged = [point for point in found.points if point.candidate != FLOAT]
    assert all(not beats(other, point) for point in found.front for other in judged)
    assert sum(isinstance(probe, Metric) for probe in world.asked) == found.spent <= limits.budget
    allowed = [point for point in judged if keeps(point, limits)]
    if found.choice is None:
        assert not allowed
        return
    assert found.choice in found.front
    assert keeps(found.choice, limits)
    assert found.choice.ratio <= min(point.ratio for point in allowed) + SAME_SPEED
    if keeps(found.default, limits):
        assert found.choice.ratio <= found.default.ratio + SAME_SPEED
    at_least_as_good = [p for p in found.front if p == found.default or beats(p, found.default)]
    assert at_least_as_good


@settings(max_examples=30, deadline=None)
@given(harm=amounts, cost=costs, limits=asked)
def test_the_same_answers_give_the_same_questions_and_no_question_is_asked_twice(
    harm: dict[str, float], cost: dict[str, float], limits: Limits
) -> None:
    first, second = World(harm, cost), World(harm, cost)

    assert search(space(), limits, first) == search(space(), limits, second)

    assert first.asked == second.asked
    assert len(first.asked) == len(set(first.asked))


def test_a_block_that_hurts_alone_is_found_and_kept_float() -> None:
    harm = dict.fromkeys(LABELS, 0.0005) | {"model.2": 0.01}
    world = World(harm, dict.fromkeys(LABELS, 0.04))

    found = search(space(), Limits(max_drop=0.005, max_slowdown=0.1, budget=16), world)

    assert found.choice is not None
    assert set(found.choice.candidate.keep) == {"decode", "last", "model.2"}
    assert found.gain["model.2"] == found.choice.metric - found.default.metric  # type: ignore[union-attr]


def test_ranges_that_are_better_for_nothing_are_chosen() -> None:
    world = World(dict.fromkeys(LABELS, 0.001), dict.fromkeys(LABELS, 0.1), ranges=0.003)

    found = search(space(), Limits(max_drop=0.004, max_slowdown=0.05, budget=8), world)

    assert found.choice is not None
    assert found.choice.candidate == Candidate(keep=("decode", "last"), ranges=SHARP)


def test_what_is_too_slow_is_not_scored() -> None:
    world = World(dict.fromkeys(LABELS, 0.001), dict.fromkeys(LABELS, 0.01) | {"head box": 0.3})

    found = search(space(), Limits(max_drop=0.01, max_slowdown=0.1, budget=24), world)

    scored = [probe.candidate for probe in world.asked if isinstance(probe, Metric)]
    assert all("head box" not in candidate.keep for candidate in scored)
    assert any("head box" in candidate.keep for candidate, _ in found.skipped)
    assert all(point.ratio <= 1.1 + HOPELESS for point in found.points if point.candidate != FLOAT)


def test_a_candidate_that_cannot_be_built_is_left_out() -> None:
    world = World(dict.fromkeys(LABELS, 0.001), dict.fromkeys(LABELS, 0.01), broken="attention")

    found = search(space(), Limits(max_drop=0.01, max_slowdown=0.5, budget=24), world)

    assert all("attention" not in point.candidate.keep for point in found.points)
    assert found.choice is not None


def test_limits_that_nothing_keeps_give_no_choice_but_every_point() -> None:
    world = World(dict.fromkeys(LABELS, 0.01), dict.fromkeys(LABELS, 0.2))

    found = search(space(), Limits(max_drop=0.0001, max_slowdown=0.01, budget=12), world)

    assert found.choice is None
    assert found.default in found.front


def test_a_later_search_measures_the_last_front_and_what_moved_and_no_more() -> None:
    limits = Limits(max_drop=0.004, max_slowdown=0.1, budget=24)
    harm = dict.fromkeys(LABELS, 0.0005) | {"model.2": 0.01}
    cold = World(harm, dict.fromkeys(LABELS, 0.04))
    first = search(space(), limits, cold)
    blocks = tuple(
        BlockFacts(
            label=label,
            share=1 / len(LABELS),
            moved=label == "model.1",
            noise=first.noise[label],
            gain=first.gain.get(label),
        )
        for label in LABELS
    )
    again = space(blocks=blocks, previous=tuple(point.candidate for point in first.front))
    warm = World(harm, dict.fromkeys(LABELS, 0.04))

    second = search(again, limits, warm)

    assert [probe for probe in warm.asked if isinstance(probe, Noise)] == [Noise(block="model.1")]
    assert len(warm.asked) < len(cold.asked) / 2
    assert second.choice is not None
    assert first.choice is not None
    assert second.choice.candidate == first.choice.candidate


def test_a_later_search_goes_on_when_the_last_front_does_not_do() -> None:
    harm = dict.fromkeys(LABELS, 0.0005) | {"model.2": 0.01}
    old = (Candidate(keep=("decode", "last"), ranges=MINMAX),)
    world = World(harm, dict.fromkeys(LABELS, 0.04))

    found = search(space(previous=old), Limits(max_drop=0.005, max_slowdown=0.1, budget=24), world)

    assert found.choice is not None
    assert "model.2" in found.choice.candidate.keep
