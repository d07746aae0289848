from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.action import Reason
from edgebuild.digest import digest_text, digest_tree
from edgebuild.perform.why import reasons

ONE, TWO = digest_text("one"), digest_text("two")


def document(**changes: Any) -> dict[str, Any]:
    """Return a key document as :func:`edgebuild.perform.key.key_document` makes them."""
    return {
        "schema": 1,
        "step": "export",
        "argv": ["atc", "--soc_version=Ascend310P3", "--batch", "1", "in/model/model.onnx"],
        "env": {"MODE": "a"},
        "inputs": {"model": ["model.onnx", ONE], "data": ["", ONE]},
        "outputs": {"model": ["model.om", False, "494d"]},
        "files": {"config.txt": ONE},
        "tools": {"vendor/atc": "atc 8.0", "code:edgebuild.steps.export": ONE, "distribution:onnx": "1.17"},
        "success": [[], []],
        "machine": "",
        **changes,
    }


def why(new: dict[str, Any], old: dict[str, Any] | None = None) -> list[tuple[str, str, str, str]]:
    found = reasons(document() if old is None else old, new, {}, {})
    return [(r.kind, r.what, r.old, r.new) for r in found]


def argv(*words: str) -> dict[str, Any]:
    return document(argv=list(words))


def test_the_first_time() -> None:
    found = reasons(None, document(), {}, {})
    assert found == (Reason(kind="new", what="no earlier result in this workspace"),)


def test_an_equal_action_is_unchanged() -> None:
    assert [kind for kind, *_ in why(document())] == ["unchanged"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"env": {"MODE": "b"}}, ("environment", "MODE", "a", "b")),
        ({"env": {}}, ("environment", "MODE", "a", "")),
        ({"files": {"config.txt": TWO}}, ("file", "config.txt", ONE[7:19], TWO[7:19])),
        ({"outputs": {"model": ["x.om", False, "494d"]}}, ("output", "model", "model.om 494d", "x.om 494d")),
        ({"outputs": {"model": ["x", True, ""]}}, ("output", "model", "model.om 494d", "x (directory)")),
        ({"machine": "board"}, ("machine", "processor", "", "board")),
        ({"step": "import"}, ("command", "step", "export", "import")),
        ({"schema": 2}, ("command", "key", "1", "2")),
        ({"success": [["ok"], []]}, ("command", "what a good log has and lacks", "[[], []]", "[['ok'], []]")),
    ],
)  # fmt: skip
def test_each_difference_has_one_reason(changes: dict[str, Any], reason: tuple[str, ...]) -> None:
    assert why(document(**changes)) == [reason]


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("vendor/atc", "atc 8.0", "atc 8.1", ("tool", "vendor/atc", "atc 8.0", "atc 8.1")),
        ("distribution:onnx", "1.17", "1.18", ("tool", "onnx", "1.17", "1.18")),
        ("code:edgebuild.steps.export", ONE, TWO, ("code", "edgebuild.steps.export", ONE[7:19], TWO[7:19])),
    ],
)
def test_tools(name: str, old: str, new: str, reason: tuple[str, ...]) -> None:
    assert why(document(tools={name: new}), document(tools={name: old})) == [reason]


class TestCommand:
    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("tool --a=1", "tool --a=2", ("option", "--a", "1", "2")),
            ("tool --a 1", "tool --a 2", ("option", "--a", "1", "2")),
            ("tool --a 1 2", "tool --a 1 3", ("option", "--a", "1 2", "1 3")),
            ("tool --a=1 --a=2", "tool --a=3 --a=2", ("option", "--a", "1 2", "3 2")),
            ("tool", "tool --fast", ("option", "--fast", "", "set")),
            ("tool --fast", "tool", ("option", "--fast", "set", "")),
            ("tool --mean -1", "tool --mean -1.5e-3", ("option", "--mean", "-1", "-1.5e-3")),
            ("tool --mean -inf", "tool --mean -1", ("option", "--mean", "-inf", "-1")),
            ("tool in/a", "tool in/b", ("option", "command", "tool in/a", "tool in/b")),
            ("tool --a=x=y", "tool --a=x=z", ("option", "--a", "x=y", "x=z")),
            ("tool --a= --b 1", "tool --a= --b 2", ("option", "--b", "1", "2")),
            (
                "tool --a 1 --b 2",
                "tool --b 2 --a 1",
                ("command", "order of the arguments", "tool --a 1 --b 2", "tool --b 2 --a 1"),
            ),
        ],
    )
    def test_one_option_one_reason(self, old: str, new: str, reason: tuple[str, ...]) -> None:
        assert why(argv(*new.split()), argv(*old.split())) == [reason]

    words = st.lists(
        st.sampled_from(["-a", "--b", "--b=1", "-1", "x", "--", "-", "", "=", "--=x"]), max_size=6
    )

    @given(words, words)
    def test_a_difference_is_never_passed_over(self, old: list[str], new: list[str]) -> None:
        found = why(argv("tool", *new), argv("tool", *old))
        assert ([kind for kind, *_ in found] == ["unchanged"]) == (old == new)


class TestInputs:
    def test_a_file(self) -> None:
        changed = {"model": ["model.onnx", TWO], "data": ["", ONE]}
        assert why(document(inputs=changed)) == [("input", "model", ONE[7:19], TWO[7:19])]

    def test_a_file_that_is_only_called_otherwise(self) -> None:
        changed = {"model": ["model.pt", ONE], "data": ["", ONE]}
        assert why(document(inputs=changed)) == [("input", "model", "model.onnx", "model.pt")]

    def test_one_more_and_one_less(self) -> None:
        changed = {"model": ["model.onnx", ONE], "extra": ["x", TWO]}
        assert why(document(inputs=changed)) == [
            ("input", "data", ONE[7:19], ""),
            ("input", "extra", "", TWO[7:19]),
        ]

    def tree(self, old: dict[str, str], new: dict[str, str]) -> Reason:
        def put(rows: dict[str, str]) -> tuple[dict[str, Any], dict[str, tuple[tuple[str, str], ...]]]:
            listing = tuple((name, digest_text(text)) for name, text in rows.items())
            return document(inputs={"data": ["", digest_tree(listing)]}), {"data": listing}

        before, old_trees = put(old)
        after, new_trees = put(new)
        (found,) = reasons(before, after, old_trees, new_trees)
        return found

    def test_a_tree_says_which_files(self) -> None:
        found = self.tree(
            {"a": "1", "b": "1", "c": "1", "same": "1"},
            {"a": "2", "b": "2", "same": "1", "x": "1", "y": "1", "z": "1"},
        )
        assert (found.kind, found.what, found.old) == ("input", "data", "4 files")
        assert found.new == "6 files: +3 -1 ~2 files (+x, +y, +z, -c, ...)"

    def test_a_tree_says_only_what_there_is_to_say(self) -> None:
        assert self.tree({"a": "1"}, {"a": "2"}).new == "1 files: ~1 files (~a)"

    def test_two_files_that_swap_names_have_changed(self) -> None:
        assert "~2 files (~a, ~b)" in self.tree({"a": "1", "b": "2"}, {"a": "2", "b": "1"}).new

    def test_several_differences_have_several_reasons(self) -> None:
        changed = document(env={"MODE": "b"}, machine="board", argv=["atc"])
        assert {kind for kind, *_ in why(changed)} == {"environment", "machine", "option"}


def test_a_rendered_file_is_compared_by_what_differs_in_it() -> None:
    old, new = (
        document(files={"gates.json": "sha256:" + "1" * 64}),
        document(files={"gates.json": "sha256:" + "2" * 64}),
    )
    texts = (
        {"gates.json": '[{"limit":60.0,"metric":"size_mb"}]'},
        {"gates.json": '[{"limit":90.0,"metric":"size_mb"}]'},
    )
    (found,) = reasons(old, new, {}, {}, texts)
    assert (found.kind, found.what) == ("file", "gates.json")
    assert (found.old, found.new) == ('"limit":60.0,', '"limit":90.0,')
    lines = ({"gates.json": "a: 1\nb: 2\n"}, {"gates.json": "a: 1\nb: 3\nc: 4\n"})
    (found,) = reasons(old, new, {}, {}, lines)
    assert (found.old, found.new) == ("b: 2", "b: 3 c: 4")
    (found,) = reasons(old, new, {}, {})
    assert (found.old, found.new) == ("1" * 12, "2" * 12)
