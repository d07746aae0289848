from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.manifest.dataset_check import (
    MOST,
    check_copies,
    check_images,
    check_labels,
    check_objects,
)
from edgebuild.manifest.values import Split

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("bolt", "nut")


def split(
    root: Path, *, images: dict[str, bytes] | None = None, labels: dict[str, str] | None = None
) -> Split:
    for name, data in {**(images or {}), **{k: v.encode() for k, v in (labels or {}).items()}}.items():
        (root / name).write_bytes(data)
    return Split(name="val", root=root, images=tuple(images or ()), labels=tuple(labels or ()))


def labels(root: Path, text: str, task: str = "detect", shape: tuple[int, int] | None = None) -> list[str]:
    problems = check_labels(split(root, labels={"a.txt": text}), NAMES, task, shape)
    assert all(problem.file.endswith("a.txt") for problem in problems)
    return [f"{problem.line}: {problem.message}" for problem in problems]


BOXES = "; these are boxes: is it `model.task: detect`?"


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("detect", "0 0.5 0.5 0.1 0.1\n\n1 0 0 1 1\n"),
        ("detect", "\ufeff0 0.5 0.5 0.1 0.1"),
        ("detect", ""),
        ("detect", "1.0 1.005 -0.005 0.1 0.1\n"),
        ("detect", "0 0.1 0.1 0.2 0.1 0.2 0.2\n"),
        ("segment", "0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"),
        ("obb", "0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"),
        ("classify", "this is not even a label"),
    ],
)
def test_good_rows_are_left_alone(tmp_path: Path, task: str, text: str) -> None:
    assert labels(tmp_path, text, task) == []


def test_keypoints_have_a_visibility_of_up_to_two(tmp_path: Path) -> None:
    assert labels(tmp_path, "0 0.5 0.5 0.1 0.1 0.4 0.4 2 0 0 0\n", "pose", (2, 3)) == []
    assert labels(tmp_path, "0 0.5 0.5 0.1 0.1 0.4 1.5 2 0 0 0\n", "pose", (2, 3)) == [
        "1: 1.5 lies outside 0 to 1; coordinates are fractions of the image"
    ]
    assert labels(tmp_path, "0 0.5 0.5 0.1 0.1 0.4 2 0 0\n", "pose", (2, 2)) == [
        "1: 2 lies outside 0 to 1; coordinates are fractions of the image"
    ]


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        ("detect", "2 0.5 0.5 0.1 0.1", "class 2 does not exist; classes are 0 to 1 (bolt, nut)"),
        ("detect", "-1 0.5 0.5 0.1 0.1", "class -1 does not exist; classes are 0 to 1 (bolt, nut)"),
        ("detect", "0.5 0.5 0.5 0.1 0.1", "class 0.5 does not exist; classes are 0 to 1 (bolt, nut)"),
        ("detect", "bolt 0.5 0.5 0.1 0.1", "'bolt' is not a finite number"),
        ("detect", "0 0.5 nan 0.1 0.1", "'nan' is not a finite number"),
        ("detect", "0 0.5 0.5 0.1", "4 columns; a row is: class x y width height"),
        ("detect", "0 0.5 0.5 0.1 0.1 0.9", "6 columns; a row is: class x y width height"),
        ("detect", "0 160 120 20 20", "160 lies outside 0 to 1; coordinates are fractions of the image"),
        ("detect", "0 -0.2 0.5 0.1 0.1", "-0.2 lies outside 0 to 1; coordinates are fractions of the image"),
        ("segment", "0 0.5 0.5 0.1 0.1", f"5 columns; a row is: class x1 y1 x2 y2 x3 y3 ...{BOXES}"),
        ("obb", "0 0.5 0.5 0.1 0.1", f"5 columns; a row is: class x1 y1 x2 y2 x3 y3 x4 y4{BOXES}"),
        ("pose", "0 0.5 0.5 0.1 0.1 1", "6 columns; a row is: class, box and 2 keypoints of 3 values"),
    ],
)
def test_bad_rows_are_found_on_their_line(tmp_path: Path, task: str, row: str, message: str) -> None:
    assert labels(tmp_path, f"\n{row}\n", task, (2, 3)) == [f"2: {message}"]


def test_boxes_and_polygons_may_not_be_mixed(tmp_path: Path) -> None:
    text = "0 0.5 0.5 0.1 0.1\n0 0.1 0.1 0.2 0.1 0.2 0.2\n"

    assert labels(tmp_path, text) == ["2: boxes and polygons are mixed in one file"]


def test_label_files_that_are_no_text_or_gone_are_found(tmp_path: Path) -> None:
    found = split(tmp_path, images={"a.txt": b"\xff\xfe\x00"})
    listed = Split(name="val", root=tmp_path, images=(), labels=(*found.images, "gone.txt"))

    problems = check_labels(listed, NAMES, "detect", None)

    assert ["cannot be read as text" in problem.message for problem in problems] == [True, True]


def test_a_misunderstood_format_is_not_told_ten_thousand_times(tmp_path: Path) -> None:
    problems = check_labels(split(tmp_path, labels={"a.txt": "x\n" * 5000}), NAMES, "detect", None)

    assert len(problems) == MOST + 1
    assert "the rest was not read" in problems[-1].message


JPEG = b"\xff\xd8\xff\xe1 its thumbnail: \xff\xda.\xff\xd9 \xff\xda pixels \xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n pixels \x00\x00\x00\x00IEND\xaeB`\x82"


@pytest.mark.parametrize(
    "start",
    [
        JPEG, PNG, JPEG + b"more", PNG + b"more", b"BM\x00", b"II*\x00", b"MM\x00*",
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        b"\x00\x00\x00\x20ftypavif", b"\x00\x00\x00\x0cjP  ",
    ],
)  # fmt: skip
def test_images_are_known_by_their_first_bytes(tmp_path: Path, start: bytes) -> None:
    assert check_images(split(tmp_path, images={"a.jpg": start})) == []


def test_files_that_are_no_images_are_found(tmp_path: Path) -> None:
    found = split(
        tmp_path,
        images={
            "a.jpg": b"",
            "b.jpg": b"<html>",
            "c.jpg": b"version https://git-lfs",
            "d.jpg": JPEG,
        },
    )
    (tmp_path / "e.jpg").mkdir()
    listed = Split(name="val", root=tmp_path, images=(*found.images, "e.jpg", "f.jpg"), labels=())

    problems = [(problem.file[-5:], problem.message, problem.hint) for problem in check_images(listed)]

    assert problems == [
        ("a.jpg", "the image is empty", "restore or remove it"),
        ("b.jpg", "is not an image by its first bytes", ""),
        ("c.jpg", "is not an image by its first bytes", "it starts with a Git LFS pointer: run git lfs pull"),
        ("e.jpg", "cannot be read: Is a directory", ""),
        ("f.jpg", "cannot be read: No such file or directory", ""),
    ]


@pytest.mark.parametrize("data", [JPEG[:-1], JPEG[:-4], JPEG[:5], PNG[:-1], PNG[:12], JPEG[:-2] + bytes(100)])
def test_images_without_their_end_are_found(tmp_path: Path, data: bytes) -> None:
    (problem,) = check_images(split(tmp_path, images={"a.jpg": data}))

    assert (problem.message, problem.hint) == ("the image is cut short", "restore or remove it")


def test_a_validation_without_objects_is_found(tmp_path: Path) -> None:
    empty = split(tmp_path, labels={"a.txt": "", "b.txt": " \n"})

    (problem,) = check_objects(empty, tmp_path / "data.yaml", "detect")

    assert str(problem).startswith(f"{tmp_path}/data.yaml: val: not one object in its 2 label files; ")
    assert check_objects(empty, tmp_path / "data.yaml", "classify") == []
    one = split(tmp_path, labels={"a.txt": "", "b.txt": "0 0.5 0.5 0.1 0.1\n"})
    assert check_objects(one, tmp_path / "data.yaml", "detect") == []


def test_copies_are_found_by_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    validation = split(tmp_path / "val", images={"1.png": b"abc", "2.png": b"abd", "3.png": b"longer"})
    train = split(tmp_path, images={"copy.png": b"abd", "same-size.png": b"abe", "other.png": b"x"})

    (problem,) = check_copies(train, validation)

    assert problem.file.endswith("copy.png")
    assert problem.message == "is a copy of a validation image"
    assert "val/2.png; take it out of one of the two splits" in problem.hint
