from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgebuild.manifest.listing import make_split, read_listing, unusable_name, walk_images

if TYPE_CHECKING:
    from pathlib import Path


def touch(root: Path, *names: str) -> list[str]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return [str(root / name) for name in names]


def test_images_are_found_in_all_folders_and_sorted(tmp_path: Path) -> None:
    found = touch(tmp_path, "b/2.png", "a/x/1.jpg", "a/0.jpg")
    touch(tmp_path, "a/notes.txt", ".cache/3.png", "a/.hidden.png")

    assert walk_images(tmp_path) == sorted(found)


def test_a_folder_named_like_an_image_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()

    assert walk_images(tmp_path) == []


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.png", "data/0.png")
    (tmp_path / "data/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/again").symlink_to(tmp_path / "data")

    assert walk_images(tmp_path / "data") == [str(tmp_path / "data/0.png"), str(tmp_path / "data/more/1.png")]


def test_a_listing_is_read_from_its_own_folder_and_then_from_the_root(tmp_path: Path) -> None:
    inside, rooted, absolute = touch(tmp_path, "lists/a.png", "b.png", "c.png")
    listing = tmp_path / "lists/train.txt"
    listing.write_text(f"\ufeff./a.png\n\n  b.png\n{absolute}\n", encoding="utf-8")

    assert read_listing(listing, shown="train.txt", root=tmp_path) == (sorted([inside, rooted, absolute]), [])


def test_a_listing_with_many_mistakes_names_the_first_and_counts_the_rest(tmp_path: Path) -> None:
    listing = tmp_path / "train.txt"
    listing.write_text("".join(f"{number}.png\n" for number in range(20)), encoding="utf-8")

    images, problems = read_listing(listing, shown="train.txt", root=tmp_path)

    assert images == []
    assert [str(problem) for problem in problems][:1] == ["train.txt:1: no such file: 0.png"]
    assert [str(problem) for problem in problems][-1:] == ["train.txt: 15 more lines are wrong"]


def test_a_listing_that_is_no_text_is_refused(tmp_path: Path) -> None:
    listing = tmp_path / "train.txt"
    listing.write_bytes(b"\xff\xfe")

    images, (problem,) = read_listing(listing, shown="train.txt", root=tmp_path)

    assert images == []
    assert "cannot be read" in problem.message


def test_a_split_lists_relative_paths_and_the_labels_that_exist(tmp_path: Path) -> None:
    images = touch(tmp_path, "images/val/b.png", "images/val/a.jpg")
    touch(tmp_path, "labels/val/a.txt", "labels/val/z.txt")

    split = make_split("val", root=tmp_path, images=sorted(images), labelled=True)

    assert (split.name, split.root) == ("val", tmp_path)
    assert split.images == ("images/val/a.jpg", "images/val/b.png")
    assert split.labels == ("labels/val/a.txt",)


def test_labels_may_lie_beside_the_images(tmp_path: Path) -> None:
    images = touch(tmp_path, "val/a.png")
    touch(tmp_path, "val/a.txt")

    assert make_split("val", root=tmp_path, images=images, labelled=True).labels == ("val/a.txt",)


def test_images_outside_the_root_move_the_root_up(tmp_path: Path) -> None:
    images = touch(tmp_path, "one/images/a.png", "two/images/b.png")
    touch(tmp_path, "two/labels/b.txt")

    split = make_split("train", root=tmp_path / "one", images=images, labelled=True)

    assert split.root == tmp_path
    assert split.images == ("one/images/a.png", "two/images/b.png")
    assert split.labels == ("two/labels/b.txt",)


def test_a_root_below_a_folder_named_images_moves_up_to_reach_its_labels(tmp_path: Path) -> None:
    images = touch(tmp_path, "images/set/val/a.png")
    touch(tmp_path, "labels/set/val/a.txt")

    split = make_split("val", root=tmp_path / "images/set", images=images, labelled=True)

    assert split.root == tmp_path
    assert (split.images, split.labels) == (("images/set/val/a.png",), ("labels/set/val/a.txt",))


def test_a_checkout_that_happens_to_lie_below_a_folder_named_images_is_left_alone(tmp_path: Path) -> None:
    images = touch(tmp_path, "images/project/val/a.png")
    touch(tmp_path, "images/project/val/a.txt")

    split = make_split("val", root=tmp_path / "images/project", images=images, labelled=True)

    assert (split.images, split.labels) == (("val/a.png",), ("val/a.txt",))


def test_names_that_no_document_can_hold_are_found() -> None:
    assert unusable_name(["a.png", "ü b\u3000.png"]) == ""
    assert unusable_name(["a.png", "a\nb.png"]) == "a\nb.png"
    assert unusable_name([os.fsdecode(b"\xff.png")]) == "\udcff.png"
