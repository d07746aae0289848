from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import ActionResult, Artifact, Outcome, TreeInput
from edgebuild.cache.store import Store
from edgebuild.digest import digest_bytes, digest_tree
from edgebuild.errors import StepError
from edgebuild.memo import Memo
from edgebuild.perform.collect import tree_artifact
from edgebuild.perform.place import changed_input, place_inputs, read_inputs
from tests.unit.workbench import Workbench, after, shell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def memo(tmp_path: Path) -> Memo:
    return Memo(tmp_path / "memo")


@pytest.fixture
def store(bench: Workbench) -> Store:
    return Store(bench.root)


def made(bench: Workbench, store: Store, name: str = "first") -> Mapping[str, ActionResult]:
    """Return the result of an action that left the text ``made``."""
    digest = digest_bytes(b"made")
    store.adopt(bench.write("made", "made"), digest)
    artifact = Artifact(role="out", digest=digest, size=4)
    return {name: ActionResult(id=name, outcome=Outcome.RAN, artifacts=(artifact,))}


class TestRead:
    def test_every_kind_of_input_has_a_digest(self, bench: Workbench, store: Store, memo: Memo) -> None:
        bench.write("a.txt", "a")
        bench.write("data/x/1", "one")
        bench.write("data/2", "two")
        first = shell("first", "")
        action = shell("second", "", bench.file("a.txt"), bench.tree("data"), after(first, role="up"))
        inputs = read_inputs(action, made(bench, store), memo)
        rows = (("2", digest_bytes(b"two")), ("x/1", digest_bytes(b"one")))
        assert inputs.trees == {"data": rows}
        assert inputs.digests == {
            "source": digest_bytes(b"a"),
            "data": digest_tree(rows),
            "up": digest_bytes(b"made"),
        }

    def test_an_absent_file_is_named_with_what_to_do(self, bench: Workbench, memo: Memo) -> None:
        bench.write("a.txt", "a").unlink()
        with pytest.raises(StepError, match=r"step: .*a\.txt: No such file") as caught:
            read_inputs(shell("step", "", bench.file("a.txt")), {}, memo)
        assert "put the file back" in caught.value.hint

    def test_a_folder_where_a_file_should_be_is_named(self, bench: Workbench, memo: Memo) -> None:
        (bench.workspace / "a.txt").mkdir()
        with pytest.raises(StepError, match="Is a directory"):
            read_inputs(shell("step", "", bench.file("a.txt")), {}, memo)

    def test_names_that_are_not_utf8_are_read(self, bench: Workbench, memo: Memo) -> None:
        name = os.fsdecode(b"caf\xe9")
        bench.write(f"data/{name}", "x")
        assert read_inputs(shell("step", "", bench.tree("data")), {}, memo).trees["data"][0][0] == name


class TestPlace:
    def test_copies_are_the_tools_to_spoil(self, bench: Workbench, store: Store) -> None:
        source = bench.write("a.txt", "a")
        bench.write("data/x/1", "one")
        results = made(bench, store)
        action = shell("s", "", bench.file("a.txt"), bench.tree("data"), after(shell("first", ""), role="up"))
        scratch = bench.folder / "scratch"
        place_inputs(action, results, store, scratch, link=False)
        for name in ("source/a.txt", "data/x/1", "up/source.txt"):
            (scratch / "in" / name).write_text("spoiled", encoding="utf-8")
        assert source.read_text(encoding="utf-8") == "a"
        assert (bench.workspace / "data/x/1").read_text(encoding="utf-8") == "one"
        assert store.has(digest_bytes(b"made"), 4)

    def test_links_save_the_copy(self, bench: Workbench, store: Store) -> None:
        bench.write("a.txt", "a")
        action = shell("s", "", bench.file("a.txt"), after(shell("first", ""), role="up"))
        results = made(bench, store)
        place_inputs(action, results, store, bench.folder / "scratch", link=True)
        for name, text in (("source/a.txt", "a"), ("up/source.txt", "made")):
            place = bench.folder / "scratch" / "in" / name
            assert place.is_symlink()
            assert place.read_text(encoding="utf-8") == text

    def test_a_tree_of_an_action_lies_where_its_name_says(self, bench: Workbench, store: Store) -> None:
        digest = digest_bytes(b"made")
        made(bench, store)
        tree = tree_artifact("out", [("sub/file", digest, 4)])
        results = {"first": ActionResult(id="first", outcome=Outcome.RAN, artifacts=(tree,))}
        for name, place in (("", "in/up/sub/file"), ("images", "in/up/images/sub/file")):
            action = shell("s", "", after(shell("first", ""), role="up", name=name))
            scratch = bench.folder / f"scratch{name}"
            place_inputs(action, results, store, scratch, link=False)
            assert (scratch / place).read_text(encoding="utf-8") == "made"

    def test_rendered_files_and_output_folders_are_made(self, bench: Workbench, store: Store) -> None:
        name = os.fsdecode(b"caf\xe9")
        files = (("deep/list.txt", f"{name}\n"),)
        action = shell("s", "", out="deep/er/out.txt", files=files)
        place_inputs(action, {}, store, bench.folder / "scratch", link=False)
        assert (bench.folder / "scratch/aux/deep/list.txt").read_bytes() == b"caf\xe9\n"
        assert (bench.folder / "scratch/out/deep/er").is_dir()


class TestChanged:
    def test_nothing_changed(self, bench: Workbench, memo: Memo) -> None:
        bench.write("a.txt", "a")
        bench.write("data/1", "one")
        action = shell("s", "", bench.file("a.txt"), bench.tree("data"))
        before = read_inputs(action, {}, memo)
        assert changed_input(action, before, memo) == ""
        (bench.workspace / "a.txt").touch()
        assert changed_input(action, before, memo) == ""

    @pytest.mark.parametrize("name", ["a.txt", "data/1"])
    def test_other_content_is_named_although_size_and_mtime_are_as_before(
        self, bench: Workbench, memo: Memo, name: str
    ) -> None:
        bench.write("a.txt", "aaa")
        bench.write("data/1", "aaa")
        action = shell("s", "", bench.file("a.txt"), bench.tree("data"))
        before = read_inputs(action, {}, memo)
        stat = (bench.workspace / name).stat()
        path = bench.write(name, "bbb")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert changed_input(action, before, memo) == str(path)

    def test_a_file_that_is_gone_is_named(self, bench: Workbench, memo: Memo) -> None:
        path = bench.write("a.txt", "a")
        action = shell("s", "", bench.file("a.txt"))
        before = read_inputs(action, {}, memo)
        path.unlink()
        with pytest.raises(StepError, match=r"a\.txt"):
            changed_input(action, before, memo)

    def test_an_empty_tree_has_a_digest_too(self, bench: Workbench, memo: Memo) -> None:
        action = shell("s", "", TreeInput(role="data", root=bench.workspace, files=()))
        assert read_inputs(action, {}, memo).digests["data"] == digest_tree([])
