from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.cache.pins import Pin, add_pin, read_pins, remove_pin, resolve_key
from edgebuild.errors import StoreError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

PIN = Pin(name="1.4.0", keys=("ab" * 32, "cd" * 32), at=1000.5, what="manifest.yaml rpi5")


def test_a_pin_comes_back_as_it_was(tmp_path: Path) -> None:
    assert read_pins(tmp_path) == ()
    add_pin(tmp_path, PIN)
    assert read_pins(tmp_path) == (PIN,)


def test_no_pin_replaces_another(tmp_path: Path) -> None:
    add_pin(tmp_path, PIN)
    with pytest.raises(UsageError, match="already"):
        add_pin(tmp_path, Pin(name="1.4.0", keys=(), at=0, what=""))
    assert read_pins(tmp_path) == (PIN,)
    assert [path.name for path in (tmp_path / "pins").iterdir()] == ["1.4.0.json"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../up", "-x", "x" * 101, "a b", "a\n"])
def test_a_name_is_a_name_and_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a pin"):
        add_pin(tmp_path, Pin(name=name, keys=(), at=0, what=""))


def test_an_unpinned_one_is_gone(tmp_path: Path) -> None:
    add_pin(tmp_path, PIN)
    remove_pin(tmp_path, "1.4.0")
    assert read_pins(tmp_path) == ()


def test_unpinning_what_is_none_names_what_is_near(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no pins"):
        remove_pin(tmp_path, "1.4.0")
    add_pin(tmp_path, PIN)
    with pytest.raises(UsageError, match=r"did you mean '1\.4\.0'"):
        remove_pin(tmp_path, "1.4.O")
    with pytest.raises(UsageError, match="there is no pin"):
        remove_pin(tmp_path, "../pins/1.4.0")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"keys": 3, "at": 0, "what": ""}', '{"keys": [], "at": "x"}']
)
def test_a_damaged_pin_is_an_error_and_can_be_removed(tmp_path: Path, text: str) -> None:
    """What it held must not go only because nobody can read it."""
    add_pin(tmp_path, PIN)
    (tmp_path / "pins" / "1.4.0.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match="is no pin"):
        read_pins(tmp_path)
    remove_pin(tmp_path, "1.4.0")
    assert read_pins(tmp_path) == ()


def test_a_key_may_be_shortened_while_it_is_one() -> None:
    keys = ["ab" * 32, "abab" + "cd" * 30, "ef" * 32]
    assert resolve_key("ef" * 32, keys) == "ef" * 32
    assert resolve_key("efefef", keys) == "ef" * 32
    assert resolve_key("ababcd", keys) == keys[1]
    with pytest.raises(UsageError, match="no record"):
        resolve_key("abab", keys)
    with pytest.raises(UsageError, match="no record of 1\\.4\\.0"):
        resolve_key("1.4.0", keys)
    with pytest.raises(UsageError, match="starts 2 keys"):
        resolve_key("ababab", ["ab" * 32, "ab" * 31 + "00"])
