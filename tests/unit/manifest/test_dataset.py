from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.document.parse import parse
from edgebuild.manifest.dataset import read_dataset
from edgebuild.manifest.splits import Base
from edgebuild.manifest.values import Calibration, Dataset

if TYPE_CHECKING:
    from pathlib import Path

YAML = "path: data\ntrain: images/train\nval: images/val\nnames: {0: bolt, 1: nut}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            image(tmp_path / "data", f"{split}/{split}-{number}")
    return tmp_path


def image(root: Path, name: str, *, label: str | None = "0 0.5 0.5 0.1 0.1\n") -> None:
    path = root / f"images/{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    if label is not None:
        text = root / f"labels/{name}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(label)


def read(
    folder: Path, text: str = YAML, section: str = "", *, task: str = "detect", trains: bool = False
) -> tuple[Dataset | None, list[str]]:
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    node, _ = parse("{data: data.yaml" + section + "}", file="m.yaml")
    dataset, _, problems = read_dataset(node, Base(folder=folder, shown=""), task=task, trains=trains)
    return dataset, [str(problem) for problem in problems]


def fine(
    folder: Path, text: str = YAML, section: str = "", *, task: str = "detect", trains: bool = False
) -> Dataset:
    dataset, problems = read(folder, text, section, task=task, trains=trains)
    assert problems == []
    assert dataset is not None
    return dataset


def test_a_dataset_is_read_and_its_splits_are_listed(folder: Path) -> None:
    dataset = fine(folder)

    assert dataset.file == folder / "data.yaml"
    assert dataset.names == ("bolt", "nut")
    assert set(dataset.splits) == {"train", "val"}
    assert dataset.splits["val"].root == folder / "data"
    assert dataset.splits["val"].images == ("images/val/val-0.png", "images/val/val-1.png")
    assert dataset.splits["val"].labels == ("labels/val/val-0.txt", "labels/val/val-1.txt")


def test_only_splits_that_are_used_are_listed(folder: Path) -> None:
    text = YAML + "test: images/nowhere\n"

    assert set(fine(folder, text).splits) == {"train", "val"}
    assert read(folder, text, ", validation: {split: test}")[0] is None


@pytest.mark.parametrize(
    "names",
    ["[bolt, nut]", "{0: bolt, 1: nut}", "{1: nut, 0: bolt}", "{'0': bolt, '1': nut}", "\n- bolt\n- nut"],
)
def test_names_are_a_list_or_numbered(folder: Path, names: str) -> None:
    assert fine(folder, YAML.replace("{0: bolt, 1: nut}", names)).names == ("bolt", "nut")


def test_class_names_that_look_like_numbers_stay_as_written(folder: Path) -> None:
    assert fine(folder, YAML.replace("bolt", "7").replace("nut", "1.10")).names == ("7", "1.10")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("{}", "there are no classes"),
        ("[]", "there are no classes"),
        ("2", "the class names are missing"),
        ("{0: bolt, 2: nut}", "the class ids are not 0, 1, 2, ..."),
        ("{one: bolt}", "the class ids are not 0, 1, 2, ..."),
        ("[bolt, true]", "a class name must be text; quote it: 'true'"),
        ("[bolt, [nut]]", "a class name must be text"),
        ("[bolt, ~]", "a class name must be text; quote it: '~'"),
        ("[bolt, '']", "a class name must be text"),
        ("[bolt, bolt]", "the class 'bolt' is named twice"),
    ],
)
def test_names_that_are_none_are_refused(folder: Path, names: str, message: str) -> None:
    dataset, problems = read(folder, YAML.replace("{0: bolt, 1: nut}", names))

    assert dataset is None
    assert any(message in problem for problem in problems)


def test_the_root_is_relative_to_the_yaml_and_by_default_its_folder(folder: Path) -> None:
    (folder / "data/data.yaml").write_text("train: images/train\nval: images/val\nnames: [bolt, nut]\n")
    node, _ = parse("{data: data/data.yaml}", file="m.yaml")

    dataset, _, problems = read_dataset(node, Base(folder=folder, shown=""), task="detect", trains=False)

    assert problems == []
    assert dataset is not None
    assert dataset.splits["val"].root == folder / "data"


ROBOFLOW = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['bolt', 'nut']\n"


def test_a_lone_path_that_leads_nowhere_is_tried_without_its_first_step_up(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        for kind, name in (("images", "a.jpg"), ("labels", "a.txt")):
            (tmp_path / "set" / split / kind).mkdir(parents=True)
            (tmp_path / "set" / split / kind / name).write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "set/data.yaml").write_text(ROBOFLOW)
    node, _ = parse("{data: set/data.yaml}", file="m.yaml")

    dataset, _, problems = read_dataset(node, Base(folder=tmp_path, shown=""), task="detect", trains=True)

    assert problems == []
    assert dataset is not None
    assert dataset.splits["train"].root == tmp_path / "set"
    assert dataset.splits["val"].images == ("valid/images/a.jpg",)
    assert dataset.splits["val"].labels == ("valid/labels/a.txt",)
    # Images that come to be where it was looked for first would be meant from then on.
    assert {tmp_path / "train/images", tmp_path / "set/train/images"} <= set(dataset.listed)


def test_a_path_that_leads_up_is_taken_as_it_is_where_it_leads_somewhere(folder: Path) -> None:
    image(folder / "data/deep", "val/other")

    dataset = fine(folder, YAML.replace("path: data", "path: data/deep").replace(" images/", " ../images/"))

    assert dataset.splits["val"].images == ("images/val/val-0.png", "images/val/val-1.png")


def test_a_path_that_leads_nowhere_either_way_is_refused_with_both(folder: Path) -> None:
    text = YAML.replace("val: images/val", "val: ../valid/images")

    assert read(folder, text)[1] == [
        "data.yaml:3:6: val: no such folder: ../valid/images, nor valid/images (looked in data)"
    ]
    listed = YAML.replace("val: images/val", "val: [../images/val]")
    assert read(folder, listed)[1] == ["data.yaml:3:7: val: no such folder: ../images/val (looked in data)"]


def test_an_absolute_root_is_taken(folder: Path) -> None:
    dataset = fine(folder, YAML.replace("path: data", f"path: {folder}/data"))

    assert dataset.splits["val"].root == folder / "data"


def test_a_split_may_be_several_folders_a_listing_or_an_image(folder: Path) -> None:
    image(folder / "data", "extra/e")
    (folder / "data/val.txt").write_text("./images/val/val-1.png\n")
    text = YAML.replace("images/train", "[images/train, images/extra, images/extra/e.png]")

    dataset = fine(folder, text.replace("images/val", "val.txt"))

    assert len(dataset.splits["train"].images) == 5
    assert dataset.splits["val"].images == ("images/val/val-1.png",)


def test_validation_is_an_other_name_of_val(folder: Path) -> None:
    assert set(fine(folder, YAML.replace("val:", "validation:")).splits) == {"train", "val"}


def test_unknown_keys_of_the_dataset_yaml_are_none_of_our_business(folder: Path) -> None:
    fine(
        folder,
        YAML + "download: https://example.org/x.zip\nroboflow: {version: 1}\nflip_idx: [1, 0]\nnc: 2\n",
    )


def test_training_needs_labels_in_train_too(folder: Path) -> None:
    for label in (folder / "data/labels/train").iterdir():
        label.unlink()

    assert set(fine(folder).splits) == {"train", "val"}
    _, problems = read(folder, trains=True)
    assert problems == [
        "data.yaml:2:8: train: 4 images but not one label file; the label of images/a.jpg is labels/a.txt"
    ]


def test_some_images_may_be_unlabelled(folder: Path) -> None:
    image(folder / "data", "val/background", label=None)

    dataset = fine(folder)

    assert len(dataset.splits["val"].images) == 3
    assert len(dataset.splits["val"].labels) == 2


def test_pose_reads_the_shape_of_keypoints(folder: Path) -> None:
    assert fine(folder, YAML + "kpt_shape: [17, 3]\n", task="pose").kpt_shape == (17, 3)
    for shape in ("[17]", "[17, 4]", "[0, 3]", "17", "[a, b]"):
        assert "is no shape of keypoints" in read(folder, YAML + f"kpt_shape: {shape}\n", task="pose")[1][0]


def test_flip_idx_names_every_keypoint_once(folder: Path) -> None:
    points = YAML + "kpt_shape: [3, 2]\n"
    assert fine(folder, points, task="pose").flip_idx == ()
    assert fine(folder, points + "flip_idx: [0, 2, 1]\n", task="pose").flip_idx == (0, 2, 1)
    for wrong in ("[0, 1]", "[0, 1, 1]", "[1, 2, 3]", "left", "[0.0, 1, 2]"):
        message = read(folder, points + f"flip_idx: {wrong}\n", task="pose")[1][0]
        assert "flip_idx: does not name every keypoint once" in message
        assert "0 to 2" in message


def test_calibration_takes_what_there_is_unless_a_number_is_written(folder: Path) -> None:
    assert fine(folder).calibration == Calibration(split="train", images=4, sample="stratified", seed=0)
    assert fine(folder, YAML, ", calibration: {images: 3, sample: first}").calibration.images == 3
    _, problems = read(folder, YAML, ", calibration: {images: 5}")
    assert problems == [
        "m.yaml:1:41: dataset.calibration.images: 5 images are asked for, but the split 'train' holds 4"
    ]


def test_a_dataset_without_train_is_fine_until_it_is_asked_to_calibrate(folder: Path) -> None:
    text = YAML.replace("train: images/train\n", "")

    dataset = fine(folder, text)

    assert dataset.calibration.images == 0
    assert set(dataset.splits) == {"val"}
    assert read(folder, text, ", calibration: {seed: 1}")[1] == [
        "data.yaml: the dataset has no split 'train'; it has: val"
    ]


def test_calibration_images_may_be_listed(folder: Path) -> None:
    names = "data/images/train/train-2.png, data/images/train/train-0.png"

    dataset = fine(folder, YAML, f", calibration: {{images: [{names}]}}")

    split = dataset.splits[dataset.calibration.split]
    assert dataset.calibration.sample == "list"
    assert dataset.calibration.images == 2
    assert dataset.calibration.files == split.images
    assert sorted(str(split.root / file) for file in split.images) == sorted(
        str(folder / name) for name in names.split(", ")
    )
    assert len(split.labels) == 2


def test_calibration_images_may_be_a_folder_outside(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    image(outside, "calib/a", label=None)

    dataset = fine(folder, YAML, f", calibration: {{images: {outside}/images/calib}}")

    split = dataset.splits["calibration"]
    assert [str(split.root / file) for file in split.images] == [f"{outside}/images/calib/a.png"]
    assert "train" not in dataset.splits


def test_an_image_may_not_calibrate_and_validate(folder: Path) -> None:
    _, problems = read(folder, YAML.replace("images/train", "[images/train, images/val]"))

    assert len(problems) == 1
    assert "2 images calibrate and validate, such as val-0.png" in problems[0]


def test_classes_of_a_classification_dataset_are_its_folders(tmp_path: Path) -> None:
    for name in (
        "train/nut/a.png",
        "train/bolt/b.png",
        "val/nut/c.png",
        "val/bolt/d/e.png",
        "train/loose.png",
    ):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    node, _ = parse("{data: set}", file="m.yaml")

    dataset, _, problems = read_dataset(node, Base(folder=tmp_path, shown=""), task="classify", trains=True)

    assert problems == []
    assert dataset is not None
    assert dataset.names == ("bolt", "nut")
    assert dataset.splits["train"].root == tmp_path / "set/train"
    assert dataset.splits["train"].images == ("bolt/b.png", "nut/a.png")
    assert dataset.splits["val"].images == ("bolt/d/e.png", "nut/c.png")
    assert dataset.splits["val"].labels == ()


def test_a_yaml_may_describe_a_classification_dataset(tmp_path: Path) -> None:
    for name in ("train/nut/a.png", "train/bolt/b.png", "val/nut/c.png", "val/bolt/d.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    text = "path: set\ntrain: train\nval: val\nnames: [bolt, nut]\n"

    assert fine(tmp_path, text, task="classify").splits["val"].images == ("bolt/d.png", "nut/c.png")
    assert "'nut' in val is no class" in read(tmp_path, text.replace("nut", "screw"), task="classify")[1][0]


def test_an_empty_classification_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    node, _ = parse("{data: set}", file="m.yaml")

    dataset, _, problems = read_dataset(node, Base(folder=tmp_path, shown=""), task="classify", trains=False)

    assert dataset is None
    assert problems[0].message == "holds no folder train or val"


def test_file_names_that_no_document_can_hold_are_refused(folder: Path) -> None:
    image(folder / "data", "val/a\nb")

    assert "holds characters that are not text; rename it" in read(folder)[1][0]


def test_ten_thousand_images_are_listed(folder: Path) -> None:
    train = folder / "data/images/train"
    for number in range(10_000):
        (train / f"{number:05}.jpg").touch()

    assert len(fine(folder).splits["train"].images) == 10_004
