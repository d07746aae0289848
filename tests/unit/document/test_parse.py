from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebuild.document.parse import MAX_BYTES, parse, read_text
from edgebuild.errors import ManifestError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.document.node import Node

YAMLISH = st.text(alphabet=st.sampled_from("ab01:-?,[]{}#&*!|>'\"%@` \n\t\r.~<=\u2028\x85é\ufeff\0"))


def tree(text: str) -> Node:
    node, problems = parse(text, file="m.yaml")
    assert problems == []
    return node


def refusal(text: str) -> list[str]:
    try:
        _, problems = parse(text, file="m.yaml")
    except ManifestError as error:
        problems = list(error.problems)
    return [str(problem) for problem in problems]


def test_every_value_knows_its_line_and_column() -> None:
    node = tree("a: 1\nb:\n  c: [x, 'y']\n  d: {e: 2}\n")

    assert node.unwrap() == {"a": 1, "b": {"c": ["x", "y"], "d": {"e": 2}}}
    places = {
        "a": node.get("a"),
        "b": node.get("b"),
        "y": node.entries["b"].entries["c"].items[1],
        "e": node.get("b", "d", "e"),
    }
    found = {name: (item.where.line, item.where.column) for name, item in places.items() if item}
    assert found == {"a": (1, 4), "b": (2, 1), "y": (3, 10), "e": (4, 10)}


def test_columns_count_characters_not_bytes() -> None:
    assert tree("{é: 1, b: 2}").entries["b"].where.column == 11


def test_quotes_make_a_string_of_anything() -> None:
    assert tree("[\"yes\", '012', '1.10', '']").unwrap() == ["yes", "012", "1.10", ""]


def test_the_text_of_a_number_is_kept_as_written() -> None:
    assert tree("a: 1.10").entries["a"].text == "1.10"


def test_block_scalars_are_strings() -> None:
    assert tree("a: |\n  yes\nb: >\n  1\n  2\n").unwrap() == {"a": "yes\n", "b": "1 2\n"}


def test_an_alias_is_the_value_of_its_anchor_with_the_key_of_its_own() -> None:
    node = tree("a: &x {b: 1}\nc: *x\n")

    assert node.unwrap() == {"a": {"b": 1}, "c": {"b": 1}}
    key = node.entries["c"].key
    assert key is not None
    assert key.line == 2


def test_several_spellings_are_refused_at_once() -> None:
    found = refusal("a: yes\nb: 012\nb: 1\nc: !!str 1\n<<: {}\n")

    assert [text[:11] for text in found] == [
        "m.yaml:1:4:",
        "m.yaml:2:4:",
        "m.yaml:3:1:",
        "m.yaml:4:4:",
        "m.yaml:5:1:",
    ]


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    (problem,) = refusal("\n".join(lines))

    assert "too many values; do aliases multiply each other?" in problem


def test_deep_nesting_is_refused() -> None:
    assert refusal("[" * 100_000) == ["m.yaml:1:34: nested deeper than 32 levels"]


def test_keys_may_be_numbers_only_where_that_is_asked_for() -> None:
    node, problems = parse("{0: a, 1: b}", file="d.yaml", any_keys=True)

    assert problems == []
    assert node.unwrap() == {"0": "a", "1": "b"}
    assert len(refusal("{0: a, 1: b}")) == 2


@pytest.mark.parametrize("text", ["", "  \n", "\ufeff"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ManifestError, match=r"^m\.yaml: is empty; a manifest is a YAML mapping$"):
        read_text(path, shown="m.yaml", what="manifest")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"^x\.yaml: no such manifest; check the path$"):
        read_text(tmp_path / "x.yaml", shown="x.yaml", what="manifest")
    with pytest.raises(ManifestError, match=r"no such manifest; its folder is missing$"):
        read_text(tmp_path / "nowhere" / "x.yaml", shown="x.yaml", what="manifest")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"is a directory, not a manifest; name the YAML file in it"):
        read_text(tmp_path, shown="here", what="manifest")


def test_bytes_that_are_not_utf_8_are_refused_at_their_place(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes("a: é\nb: ".encode() + b"\xe9\n")

    with pytest.raises(
        ManifestError, match=r"^m\.yaml:2:4: is not UTF-8 text \(byte 0xe9\); save it as UTF-8$"
    ):
        read_text(path, shown="m.yaml", what="manifest")


def test_a_path_that_cannot_exist_is_refused() -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_text("a\0b", shown="a?b", what="manifest")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), MAX_BYTES + 1)

    with pytest.raises(ManifestError, match="is too large for a manifest"):
        read_text(path, shown="m.yaml", what="manifest")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")

    assert read_text(path, shown="m.yaml", what="manifest") == "a: 1\n"


def inside(problem: Problem, text: str) -> bool:
    lines = re.split(r"\r\n|\r|\n", text)
    if problem.line == 0:
        return problem.column == 0
    return problem.line <= len(lines) and 1 <= problem.column <= len(lines[problem.line - 1]) + 1


@settings(deadline=None, max_examples=400)
@given(YAMLISH | st.text())
def test_any_text_is_read_or_refused_at_a_place_inside_it(text: str) -> None:
    try:
        node, problems = parse(text, file="m.yaml")
    except ManifestError as error:
        problems = list(error.problems)
        assert problems
    else:
        assert inside(node.problem("", "x"), text)
    assert all(inside(problem, text) for problem in problems)


SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("abc yes.:0_", max_size=8)


ITEMS = st.lists(SCALARS, max_size=4) | st.dictionaries(
    st.text("ab", min_size=1, max_size=3), SCALARS, max_size=4
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), SCALARS | ITEMS, max_size=5))
def test_json_is_read_as_it_is(document: dict[str, object]) -> None:
    assert tree(json.dumps(document)).unwrap() == document
