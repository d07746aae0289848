from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.amounts import counted, parse_size, parse_span, size_text, span_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000000", 1_000_000),
        ("20GB", 20_000_000_000),
        ("20 gb", 20_000_000_000),
        ("20G", 20_000_000_000),
        ("1.5TB", 1_500_000_000_000),
        ("512MiB", 512 * 1024**2),
        ("3kib", 3072),
        ("7B", 7),
    ],
)
def test_a_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "20XB", "1,5GB", "20GB!", "1e3"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size, such as 20GB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 2_592_000),
        ("12h", 43_200),
        ("2w", 1_209_600),
        ("90min", 5400),
        ("5m", 300),
        ("10s", 10),
        ("0d", 0),
    ],
)
def test_a_span(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "30 days"])
def test_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="is not a span of time, such as 30d"):
        parse_span(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (20_000_000_000, "20.0 GB"),
        (1_234_500_000_000_000, "1234.5 TB"),
    ],
)
def test_a_size_in_words(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
        (86_400 * 400, "400 d"),
    ],
)
def test_a_span_in_words(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


@given(st.integers(min_value=0, max_value=10**17))
def test_a_size_in_words_means_nearly_that_size(size: int) -> None:
    assert abs(parse_size(size_text(size)) - size) <= 0.051 * size


def test_a_number_with_its_word() -> None:
    assert [counted(number, "record") for number in (0, 1, 2)] == ["0 records", "1 record", "2 records"]
