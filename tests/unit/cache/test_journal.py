from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionKey
from edgebuild.cache.journal import Journal
from tests.unit.workbench import rows

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = ActionKey("1" * 64), ActionKey("2" * 64)


def test_the_last_key_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state" / "journal")
    assert journal.last("a") is None
    journal.note("a", ONE)
    journal.note("a", TWO)
    journal.note("b", ONE)
    assert journal.last("a") == TWO
    again = Journal(tmp_path / "state" / "journal")
    assert (again.last("a"), again.last("b")) == (TWO, ONE)


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    for _ in range(3):
        journal.note("a", ONE)
        Journal(tmp_path / "journal").note("a", ONE)
    assert len(list(rows(tmp_path / "journal"))) == 1


@pytest.mark.parametrize("torn", ["[", '["b', '["b", "2222', "5"])
def test_a_torn_last_line_costs_only_itself(tmp_path: Path, torn: str) -> None:
    Journal(tmp_path / "journal").note("a", ONE)
    with (tmp_path / "journal").open("a", encoding="utf-8") as stream:
        stream.write(torn)
    Journal(tmp_path / "journal").note("c", TWO)
    again = Journal(tmp_path / "journal")
    assert (again.last("a"), again.last("b"), again.last("c")) == (ONE, None, TWO)


@pytest.mark.parametrize("strange", [b"5", b"null", b"[1, 2]", b'["a"]', b"\xff\xff", b"\0\0", b"[" * 5000])
def test_a_strange_line_is_skipped(tmp_path: Path, strange: bytes) -> None:
    (tmp_path / "journal").write_bytes(strange + b"\n")
    journal = Journal(tmp_path / "journal")
    journal.note("a", ONE)
    assert Journal(tmp_path / "journal").last("a") == ONE


def test_strange_action_names_are_one_line(tmp_path: Path) -> None:
    name = "a\nb\u2028c\x85\x0bd"
    journal = Journal(tmp_path / "journal")
    journal.note(name, ONE)
    journal.note("next", TWO)
    again = Journal(tmp_path / "journal")
    assert (again.last(name), again.last("next")) == (ONE, TWO)


def test_it_is_shortened_now_and_then(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").note("a", ONE)
    (tmp_path / "journal").write_bytes((tmp_path / "journal").read_bytes() * 1500)
    assert Journal(tmp_path / "journal").last("a") == ONE
    assert len(list(rows(tmp_path / "journal"))) == 1
