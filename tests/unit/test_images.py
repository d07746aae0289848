from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.identity import _closure
from edgebuild.images import is_image, label_of


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.JPEG", "a.b.png", "a.tif", "a.webp", "a.dng", "a.jp2", "a.avif"]
)
def test_what_ultralytics_reads_is_an_image(name: str) -> None:
    assert is_image(name)


@pytest.mark.parametrize("name", ["a.txt", "a.npy", "a", ".a.jpg", "jpg", "a.gif", "a.jpg.part", "a.mp4"])
def test_other_files_are_not(name: str) -> None:
    assert not is_image(name)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/val/a.jpg", "labels/val/a.txt"),
        ("images/images/a.b.png", "images/labels/a.b.txt"),
        ("val/images/a.jpg", "val/labels/a.txt"),
        ("val/a.jpg", "val/a.txt"),
        ("images.jpg", "images.txt"),
        ("my-images/a.jpg", "my-images/a.txt"),
        ("x/images/y/images/a.png", "x/images/y/labels/a.txt"),
        ("a.png", "a.txt"),
    ],
)
def test_the_label_of_an_image_is_where_ultralytics_looks(image: str, label: str) -> None:
    assert label_of(image) == label


@given(
    st.lists(st.sampled_from(["images", "labels", "val", "a.b"]), max_size=4), st.sampled_from(["a", "b.c"])
)
def test_the_label_rule_changes_at_most_one_folder(folders: list[str], stem: str) -> None:
    label = label_of("/".join([*folders, f"{stem}.png"])).split("/")

    assert label[-1] == f"{stem}.txt"
    assert sum(old != new for old, new in zip(folders, label[:-1], strict=True)) == ("images" in folders)


def test_a_step_that_lists_images_does_not_depend_on_the_manifests_code() -> None:
    names = {path.name for path in _closure("edgebuild.steps._dataset")}

    assert names == {"_dataset.py", "_step.py", "images.py", "protocol.py"}
