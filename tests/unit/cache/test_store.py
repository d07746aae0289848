"""The store's smaller parts; what it promises as a whole is in tests/contract/test_store_contract.py."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgebuild.cache.store import Store, copy_file, remove_tree, store_error
from edgebuild.digest import digest_bytes, digest_tree
from edgebuild.perform.collect import tree_artifact


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_a_way_out(number: int) -> None:
    error = store_error(OSError(number, os.strerror(number), "/store/x"), Path("/store"))
    assert (error.exit_code, error.message) == (8, "/store: no space left on the device")
    assert "EDGEBUILD_CACHE" in error.hint


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_place_that_cannot_be_written_is_named(number: int) -> None:
    error = store_error(OSError(number, os.strerror(number), "/store/x"), Path("/store"))
    assert error.message.startswith("/store/x: cannot be written")


def test_any_other_error_keeps_its_words() -> None:
    assert store_error(OSError(5, "Input/output error", "/x"), Path("/s")).message == "/x: Input/output error"
    assert store_error(OSError("odd"), Path("/s")).message == "/s: odd"


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize(
    ("place", "movable"), [("/store/x", True), ("/stores", False), ("/work/.edgebuild", False), ("/", True)]
)
def test_only_a_place_in_the_store_can_be_moved_by_a_variable(
    number: int, place: str, *, movable: bool
) -> None:
    error = store_error(OSError(number, os.strerror(number), place), place, root=Path("/store"))
    assert ("EDGEBUILD_CACHE" in error.hint) == movable


def test_a_copy_has_the_same_bytes(tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "from").write_bytes(data)
    copy_file(tmp_path / "from", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == data


def test_a_tree_goes_away_whatever_is_in_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").write_text("x", encoding="utf-8")
    (tree / "link").symlink_to(outside)
    os.mkfifo(tree / "pipe")
    for folder in (tree / "a" / "b", tree / "a", tree):
        folder.chmod(0o000)
    remove_tree(tree)
    assert not tree.exists()
    assert outside.stat().st_mode & 0o777 == 0o500


def test_removing_nothing_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_tree_is_its_sorted_rows() -> None:
    one, other = digest_bytes(b"1"), digest_bytes(b"2")
    artifact = tree_artifact("data", [("b", other, 20), ("a", one, 10)])
    assert artifact.entries == (("a", one, 10), ("b", other, 20))
    assert artifact.size == 30
    assert artifact.tree
    assert artifact.digest == digest_tree([("a", one), ("b", other)])


def test_a_store_that_is_not_there_has_nothing_and_sweeps_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert not store.has(digest_bytes(b"x"), 1)
    store.sweep()
    assert not (tmp_path / "store").exists()
