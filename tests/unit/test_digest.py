from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.digest import (
    Digest,
    canonical_json,
    decode,
    digest_bytes,
    digest_document,
    digest_file,
    digest_text,
    digest_tree,
    encode,
    is_digest,
    short,
)

if TYPE_CHECKING:
    from pathlib import Path

texts = st.text(st.characters(codec=None)) | st.text()
documents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def test_a_digest_names_its_algorithm() -> None:
    assert digest_bytes(b"abc") == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "file").write_bytes(data)
    assert digest_file(tmp_path / "file") == digest_bytes(data)
    assert digest_file(str(tmp_path / "file")) == digest_bytes(data)


def test_an_absent_file_has_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest_file(tmp_path / "nothing")


@given(texts)
def test_every_text_can_be_encoded_and_comes_back(text: str) -> None:
    assert decode(encode(text)) == text


@given(texts, texts)
def test_two_texts_never_share_their_bytes(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@given(documents)
def test_a_document_survives_its_canonical_spelling(document: Any) -> None:
    assert json.loads(canonical_json(document)) == document


@given(st.dictionaries(texts, st.integers(), max_size=6))
def test_the_order_of_keys_does_not_count(document: dict[str, int]) -> None:
    backwards = dict(reversed(document.items()))
    assert digest_document(document) == digest_document(backwards)


def test_a_name_that_is_not_utf8_has_a_digest() -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    assert is_digest(digest_tree([(name, digest_text("x"))]))
    assert digest_text(name) != digest_text("caf?.jpg")


def test_no_document_holds_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"value": float("nan")})


def test_the_order_of_a_trees_entries_does_not_count_but_names_do() -> None:
    one, other = digest_text("one"), digest_text("other")
    assert digest_tree([("a", one), ("b", other)]) == digest_tree([("b", other), ("a", one)])
    assert digest_tree([("a", one), ("b", other)]) != digest_tree([("a", other), ("b", one)])
    assert digest_tree([("a/b", one)]) != digest_tree([("a", one), ("b", one)])


@pytest.mark.parametrize(
    "value", ["", "sha256:", "sha256:" + "a" * 63, "sha256:" + "A" * 64, "md5:" + "a" * 64, 5, None]
)
def test_what_is_not_spelled_like_a_digest(value: object) -> None:
    assert not is_digest(value)


def test_short_is_for_people() -> None:
    assert short(Digest("sha256:0123456789abcdef")) == "0123456789ab"
