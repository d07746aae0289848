"""What goes when a store is to get smaller."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.action import ActionKey
from edgebuild.cache.gc import (
    DAY,
    EVERYTHING,
    QUARANTINE_AGE,
    Held,
    Limits,
    Roots,
    by_step,
    choose,
    quarantine_age,
    unnamed,
)
from edgebuild.digest import Digest, digest_text

NOW = 1_000_000_000.0


def key(name: str) -> ActionKey:
    return ActionKey(digest_text(name).removeprefix("sha256:"))


def blob(name: str) -> Digest:
    return digest_text(f"blob {name}")


def held(
    name: str, *, days: float = 0, blobs: str = "", step: str = "export", size: int = 1, seconds: float = 1
) -> Held:
    names = tuple(blob(one) for one in (blobs or name).split())
    return Held(key=key(name), step=step, size=size, used=NOW - days * DAY, seconds=seconds, blobs=names)


def sizes(**amounts: int) -> dict[Digest, int]:
    return {blob(name): amount for name, amount in amounts.items()}


def names(records: list[Held], limits: Limits, roots: Roots | None = None, **amounts: int) -> list[str]:
    """Return which records go, in order, by the names of their keys."""
    by_key = {key(letter): letter for letter in "abcdef"}
    found = choose(records, sizes(**amounts), roots or Roots(), limits, NOW)
    return [by_key[one.record.key] for one in found.doomed]


def test_without_limits_nothing_goes() -> None:
    assert names([held("a", days=4000)], Limits(), a=10**12) == []


def test_what_is_older_goes_and_what_is_just_as_old_stays() -> None:
    records = [held("a", days=30), held("b", days=30.01), held("c", days=31)]
    assert names(records, Limits(max_age=30 * DAY)) == ["c", "b"]


def test_least_recently_used_goes_first_until_it_fits() -> None:
    records = [held("a", days=3), held("b", days=1), held("c", days=2)]
    assert names(records, Limits(max_size=303), a=100, b=100, c=100) == []
    assert names(records, Limits(max_size=302), a=100, b=100, c=100) == ["a"]
    assert names(records, Limits(max_size=200), a=100, b=100, c=100) == ["a", "c"]
    assert names(records, Limits(max_size=0), a=100, b=100, c=100) == ["a", "c", "b"]


def test_of_one_run_what_was_quick_to_make_goes_first() -> None:
    records = [held("a", seconds=3600), held("b", seconds=2)]
    assert names(records, Limits(max_size=150), a=100, b=100) == ["b"]


def test_a_blob_of_two_records_is_counted_once_and_freed_with_the_second() -> None:
    records = [held("a", days=3, blobs="x a"), held("b", days=2, blobs="x b"), held("c", days=1)]
    found = choose(records, sizes(x=1000, a=1, b=2, c=4), Roots(), Limits(max_size=500), NOW)
    assert [one.freed for one in found.doomed] == [2, 1003]
    assert found.left == 5
    assert found.reached


def test_a_blob_that_a_record_names_and_nobody_has_counts_nothing() -> None:
    found = choose([held("a", blobs="away")], {}, Roots(), EVERYTHING, NOW)
    assert [one.freed for one in found.doomed] == [1]


def test_roots_stay_and_a_size_that_they_exceed_is_not_reached() -> None:
    records = [held("a", days=9), held("b", days=1)]
    found = choose(records, sizes(a=100, b=100), Roots(keys=frozenset({key("a")})), Limits(max_size=50), NOW)
    assert [one.record.key for one in found.doomed] == [key("b")]
    assert found.left == 101
    assert not found.reached


def test_of_the_last_runs_packages_stay_and_the_rest_may_go() -> None:
    records = [held("a", days=9, step="package"), held("b", days=9), held("c", days=8, step="package")]
    roots = Roots(recent=frozenset({key("a"), key("b")}))
    assert names(records, EVERYTHING, roots) == ["b", "c"]


def test_a_run_that_cannot_say_what_it_uses_holds_everything() -> None:
    assert names([held("a")], EVERYTHING, Roots(everything=True)) == []


def test_everything_is_everything_also_what_is_of_tomorrow() -> None:
    assert names([held("a", days=-1), held("b", days=1)], EVERYTHING) == ["b", "a"]


def test_age_is_the_reason_before_size() -> None:
    limits = Limits(max_age=DAY, max_size=0)
    found = choose([held("a", days=2), held("b")], {}, Roots(), limits, NOW)
    assert [one.reason for one in found.doomed] == ["age", "size"]


def test_blobs_that_no_record_names() -> None:
    assert unnamed([blob("a"), blob("b")], [held("a", blobs="b c")]) == {blob("a")}


@pytest.mark.parametrize(
    ("max_age", "kept"),
    [(None, QUARANTINE_AGE), (90 * DAY, QUARANTINE_AGE), (DAY, DAY), (-math.inf, -math.inf)],
)
def test_how_long_damaged_files_are_kept(max_age: float | None, kept: float) -> None:
    assert quarantine_age(Limits(max_age=max_age)) == kept


def test_what_there_is_by_step_counts_a_blob_once_per_step() -> None:
    records = [held("a", blobs="x a"), held("b", blobs="x b"), held("c", blobs="x", step="package")]
    assert by_step(records, sizes(x=100, a=1, b=2)) == {"export": (2, 103), "package": (1, 100)}


records_strategy = st.lists(
    st.builds(
        Held,
        key=st.text("0123456789abcdef", min_size=2, max_size=2).map(lambda text: ActionKey(text * 32)),
        step=st.sampled_from(["export", "package"]),
        size=st.integers(1, 50),
        used=st.integers(0, 20).map(lambda days: NOW - days * DAY),
        seconds=st.integers(0, 3).map(float),
        blobs=st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=4).map(
            lambda letters: tuple(blob(letter) for letter in letters)
        ),
    ),
    unique_by=lambda record: record.key,
    max_size=12,
)


@given(
    records=records_strategy,
    amounts=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 100)),
    roots=st.sets(
        st.text("0123456789abcdef", min_size=2, max_size=2).map(lambda text: text * 32), max_size=9
    ),
    max_size=st.none() | st.integers(0, 400),
    max_age=st.none() | st.integers(0, 20).map(lambda days: days * DAY),
)
def test_any_choice(
    records: list[Held],
    amounts: dict[str, int],
    roots: set[str],
    max_size: int | None,
    max_age: float | None,
) -> None:
    blobs = sizes(**amounts)
    holds = Roots(keys=frozenset(roots))
    found = choose(records, blobs, holds, Limits(max_size=max_size, max_age=max_age), NOW)
    gone = {one.record.key for one in found.doomed}
    stay = [record for record in records if record.key not in gone]
    free = [record for record in stay if record.key not in roots]
    named = {name for record in stay for name in record.blobs}
    assert not gone & roots
    assert found.left == sum(r.size for r in stay) + sum(blobs.get(name, 0) for name in named)
    assert found.reached == (max_size is None or found.left <= max_size)
    if max_size is not None and found.left > max_size:
        assert not free
    if max_age is not None:
        assert all(NOW - record.used <= max_age for record in free)
    times = [one.record.used for one in found.doomed]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert all(time <= record.used for time in times for record in free)
    whole = choose(records, blobs, holds, Limits(), NOW)
    assert whole.left == found.left + sum(one.freed for one in found.doomed)
