from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebuild.document.scalar import Trap, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("False", False),
        ("0", 0), ("-7", -7), ("+7", 7), ("0x1F", 31), ("320", 320),
        ("0.5", 0.5), (".5", 0.5), ("1e3", 1000.0), ("1.10", 1.1), ("-0.0", 0.0),
        ("1.4.0", "1.4.0"), ("yolo11n.pt", "yolo11n.pt"), ("Ascend310P3", "Ascend310P3"), ("x86", "x86"),
        ("12px", "12px"), ("3-4", "3-4"), ("-", "-"), ("pi@pi5", "pi@pi5"), ("yesterday", "yesterday"),
        ("10.0.0.7:22", "10.0.0.7:22"), ("::1", "::1"),
    ],
)  # fmt: skip
def test_plain_scalars_are_read_as_in_yaml_1_2(text: str, value: object) -> None:
    found = resolve(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("yes", "write true, or quote it: 'yes'"),
        ("NO", "write false, or quote it: 'NO'"),
        ("off", "write false, or quote it: 'off'"),
        ("n", "write false, or quote it: 'n'"),
        ("012", "write 12, or quote it: '012'"),
        ("00", "write 0, or quote it: '00'"),
        ("00.5", "write 0.5, or quote it: '00.5'"),
        ("0o17", "write it in decimal, or quote it: '0o17'"),
        ("0b11", "write it in decimal, or quote it: '0b11'"),
        ("1_000", "write 1000, or quote it: '1_000'"),
        ("1:30", "quote it: '1:30'"),
        ("12:30:00", "quote it: '12:30:00'"),
        ("22:22", "quote it: '22:22'"),
        ("2024-06-01", "quote it: '2024-06-01'"),
        ("2024-06-01T12:00:00Z", "quote it: '2024-06-01T12:00:00Z'"),
        ("-.inf", "write it as a finite number, or quote it: '-.inf'"),
        (".NaN", "write it as a finite number, or quote it: '.NaN'"),
        ("1e999", "quote it: '1e999'"),
        ("9223372036854775808", "quote it: '9223372036854775808'"),
    ],
)
def test_spellings_with_two_meanings_are_refused(text: str, hint: str) -> None:
    found = resolve(text)

    assert isinstance(found, Trap)
    assert found.hint == hint


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-._:eExob", max_size=30))
def test_every_scalar_is_read_or_refused(text: str) -> None:
    found = resolve(text)

    assert found is None or isinstance(found, str | int | float | bool | Trap)
    assert not isinstance(found, str) or found == text


@settings(deadline=None)
@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_integers_survive(number: int) -> None:
    assert resolve(str(number)) == number
