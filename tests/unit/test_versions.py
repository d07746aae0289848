from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebuild.versions import in_range, parse_range, parse_release

RELEASES = st.lists(st.integers(0, 999), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("1.31.1", (1, 31, 1)),
        ("8.0.RC1", (8, 0)),
        ("9.2.0-beta.2", (9, 2, 0)),
        ("v2.26.1", (2, 26, 1)),
        ("V100R001C20", (100,)),
        (" 2.3.2+abc\n", (2, 3, 2)),
        ("unknown", None),
        ("", None),
    ],
)
def test_the_leading_number_is_the_release(text: str, release: tuple[int, ...] | None) -> None:
    assert parse_release(text) == release


@pytest.mark.parametrize(
    ("version", "supported", "inside"),
    [
        ("5.1", ">=5.1,<10", True),
        ("5.0.9", ">=5.1,<10", False),
        ("9.99", ">=5.1,<10", True),
        ("10.0.RC1", ">=5.1,<10", False),
        ("8.0.RC3", ">=8", True),
        ("1.10", ">=1.9", True),
        ("2.3.0", "==2.3", True),
        ("2.3.2", "!=2.3.2", False),
        ("2.3.2", "<=2.3.2", True),
        ("2.3.2", ">2.3.2", False),
        ("anything", "", True),
        ("unknown", ">=1", None),
    ],
)
def test_a_version_lies_in_a_range_or_cannot_be_compared(
    version: str, supported: str, *, inside: bool | None
) -> None:
    assert in_range(version, supported) is inside


@pytest.mark.parametrize("text", ["5.1", "~=1.2", ">=1,", ">= x", ">=1.0rc1", ""])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a comparison such as '>=5\.1'"):
        parse_range(text)


@settings(deadline=None)
@given(RELEASES, RELEASES)
def test_exactly_one_of_less_equal_and_greater_holds(left: list[int], right: list[int]) -> None:
    version, bound = (".".join(map(str, parts)) for parts in (left, right))
    assert sum(in_range(version, f"{operator}{bound}") is True for operator in ("<", "==", ">")) == 1
