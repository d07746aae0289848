from __future__ import annotations

import pytest

from edgebuild.verbs.layout import entry, table, terminal_width


def test_columns_are_aligned_and_the_last_is_wrapped_below_itself() -> None:
    rows = [("ncnn", "", "Run this and that, then that and this."), ("rknn-long", "", "Short.")]
    assert table(rows, indent="  ", width=40) == [
        "  ncnn       Run this and that, then",
        "             that and this.",
        "  rknn-long  Short.",
    ]


def test_a_pipe_gets_whole_lines() -> None:
    text = "word " * 60
    assert entry("head: ", text) == [f"head: {text}".rstrip()]
    assert table([]) == []


def test_what_cannot_be_broken_is_left_whole() -> None:
    address = "https://example.com/a-very-long-address-that-is-copied-and-clicked-on"
    lines = entry("  ", f"See {address} first.", width=50)
    assert [line.strip() for line in lines] == ["See", address, "first."]


@pytest.mark.parametrize(("columns", "width"), [("120", 120), ("wide", 0), ("", 0)])
def test_the_width_is_said_by_the_terminal_or_by_the_user(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == width
