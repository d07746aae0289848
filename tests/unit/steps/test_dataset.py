from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.images import IMAGE_SUFFIXES
from edgebuild.steps import _dataset
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_lists_images_by_relative_path_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/z.png", "a.jpeg", ".hidden.png", ".git/c.png", "notes.txt", "labels.cache"):
        _touch(tmp_path / name)
    assert [image.file for image in _dataset.list_images(tmp_path)] == ["a.jpeg", "a/z.png", "b.JPG"]


def test_follows_links_to_folders(tmp_path: Path) -> None:
    _touch(tmp_path / "elsewhere/images/a.png")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/images").symlink_to(tmp_path / "elsewhere/images")
    assert [image.file for image in _dataset.list_images(tmp_path / "tree")] == ["images/a.png"]


def test_a_tree_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepFailure, match="holds no image"):
        _dataset.list_images(tmp_path)


@pytest.mark.parametrize(
    ("image", "linked"),
    [
        ("images/train/a.jpg", "train/a.jpg"),
        ("x/images/y/images/a.png", "x/images-/y/a.png"),
        ("a.png", "a.png"),
    ],
)
def test_linked_names_hold_no_images_folder(image: str, linked: str) -> None:
    assert _dataset.linked_name(image) == linked


def test_counts_equal_rows_once(tmp_path: Path) -> None:
    label = _touch(tmp_path / "a.txt", "\ufeff1 .5 .5 .1 .1\n0 .5 .5 .1 .1\n\n1 .5 .5 .1 .1\n1 .4 .5 .1 .1\n")
    assert _dataset.count_classes(label, classes=2) == {0: 1, 1: 2}


def test_a_missing_label_file_means_nothing_of_interest(tmp_path: Path) -> None:
    assert _dataset.count_classes(tmp_path / "none.txt", classes=2) == {}


@pytest.mark.parametrize("row", ["2 .5 .5 .1 .1", "-1 .5 .5 .1 .1", "0.5 .5 .5 .1 .1", "bolt .5 .5 .1 .1"])
def test_a_class_that_does_not_exist_is_named_with_its_line(tmp_path: Path, row: str) -> None:
    label = _touch(tmp_path / "a.txt", f"1 .5 .5 .1 .1\n{row}\n")
    with pytest.raises(StepFailure, match=r"a\.txt:2: "):
        _dataset.count_classes(label, classes=2)


def test_reads_the_dataset_file(tmp_path: Path, write_dataset: Callable[..., Path]) -> None:
    path = write_dataset(tmp_path / "dataset.json", ["face"], task="pose", kpt_shape=[5, 3])
    dataset = _dataset.read_dataset(path)
    assert (dataset.names, dataset.task, dict(dataset.extra)) == (("face",), "pose", {"kpt_shape": [5, 3]})


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"names": ["a"]}', '{"names": ["a"], "nc": 2, "task": "detect"}']
)
def test_a_wrong_dataset_file_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(StepFailure, match=r"dataset\.json: "):
        _dataset.read_dataset(_touch(tmp_path / "dataset.json", text))


def test_links_leave_the_tree_untouched(tmp_path: Path) -> None:
    image = _touch(tmp_path / "tree/images/a/1.png", "picture")
    _touch(tmp_path / "tree/labels/a/1.txt", "0 .5 .5 .1 .1")

    images = _dataset.link_tree(tmp_path / "tree", tmp_path / "into", task="detect")

    assert images == tmp_path / "into/images"
    assert (images / "a/1.png").resolve() == image.resolve()
    assert (tmp_path / "into/labels/a/1.txt").read_text(encoding="utf-8") == "0 .5 .5 .1 .1"
    (tmp_path / "into/labels/a.cache").write_text("cache", encoding="utf-8")
    assert sorted(os.listdir(tmp_path / "tree/labels")) == ["a"]  # noqa: PTH208 - names are what is compared


def test_linking_again_changes_nothing_and_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    _touch(tmp_path / "one/images/1.png", "one")
    _touch(tmp_path / "two/images/1.png", "two")
    _dataset.link_tree(tmp_path / "one", tmp_path / "into", task="detect")
    _dataset.link_tree(tmp_path / "one", tmp_path / "into", task="detect")
    with pytest.raises(StepFailure, match="two images would share the name"):
        _dataset.link_tree(tmp_path / "two", tmp_path / "into", task="detect")


def test_describes_the_trees_for_ultralytics(tmp_path: Path, write_dataset: Callable[..., Path]) -> None:
    yaml = pytest.importorskip("yaml")
    _touch(tmp_path / "val/images/1.png")
    _touch(tmp_path / "train/2.png")
    dataset = _dataset.read_dataset(write_dataset(tmp_path / "dataset.json", ["a", "b"], kpt_shape=[5, 3]))

    path = _dataset.describe_for_ultralytics(
        dataset, into=tmp_path / "data", validation=tmp_path / "val", train=tmp_path / "train"
    )

    with open(path, encoding="utf-8") as stream:  # noqa: PTH123 - a plain read
        document: Any = yaml.safe_load(stream)
    assert document == {
        "path": str(tmp_path / "data"), "names": {0: "a", 1: "b"}, "kpt_shape": [5, 3],
        "train": "train/images", "val": "val/images",
    }  # fmt: skip
    assert (tmp_path / "data/val/images/1.png").exists()
    assert (tmp_path / "data/train/images/2.png").exists()


@pytest.mark.yolo
@pytest.mark.slow
def test_knows_the_image_formats_of_ultralytics(tmp_path: Path, run_python: Callable[..., Any]) -> None:
    program = "from ultralytics.data.utils import IMG_FORMATS; print(*sorted(IMG_FORMATS))"
    done = run_python(tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
    assert {f".{name}" for name in done.stdout.splitlines()[-1].split()} == IMAGE_SUFFIXES
