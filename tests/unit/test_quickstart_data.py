"""The quickstart's pictures: drawn from a seed alone, labelled within bounds, splits apart."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICKSTART = Path(__file__).resolve().parents[2] / "examples" / "quickstart"
DATA = QUICKSTART / "data"
SIZES = {"train": 240, "val": 300}


@pytest.fixture
def make_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import the script the way Python does when it is started: its folder comes first."""
    pytest.importorskip("cv2")
    monkeypatch.syspath_prepend(str(QUICKSTART))
    before = set(sys.modules)
    yield importlib.import_module("make_data")
    for name in set(sys.modules) - before:
        if name == "make_data" or name.split(".")[0] == "fasteners":
            del sys.modules[name]


def description() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DATA / "fasteners.yaml").read_text(encoding="utf-8"))
    return loaded


def boxes(split: str) -> list[tuple[int, list[float]]]:
    found = []
    for path in sorted((DATA / "labels" / split).glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            label, *box = line.split()
            found.append((int(label), [float(value) for value in box]))
    return found


@pytest.mark.yolo
def test_same_seed_draws_the_same_picture(make_data: Any) -> None:
    first, labels, quality = make_data.picture("train", 7, 3)
    again, labels_again, quality_again = make_data.picture("train", 7, 3)
    assert (first == again).all()
    assert (labels, quality) == (labels_again, quality_again)


@pytest.mark.yolo
@pytest.mark.parametrize("other", [("val", 7, 3), ("train", 8, 3), ("train", 7, 4)])
def test_split_seed_and_number_each_change_the_picture(make_data: Any, other: tuple[str, int, int]) -> None:
    assert (make_data.picture("train", 7, 3)[0] != make_data.picture(*other)[0]).any()


@pytest.mark.yolo
def test_drawn_labels_are_within_the_picture_and_the_names(make_data: Any) -> None:
    drawn = [entry for number in range(6) for entry in make_data.picture("check", 1, number)[1]]
    assert drawn
    for label, x, y, width, height in drawn:
        assert 0 <= label < len(make_data.CLASSES)
        assert 0 <= x - width / 2 <= x + width / 2 <= 1
        assert 0 <= y - height / 2 <= y + height / 2 <= 1


@pytest.mark.yolo
def test_command_line_writes_what_picture_draws(make_data: Any, tmp_path: Path) -> None:
    make_data.main(["--out", str(tmp_path), "--split", "calib", "--count", "2", "--seed", "5"])
    image, labels, _ = make_data.picture("calib", 5, 1)
    written = (tmp_path / "labels" / "calib" / "calib-00001.txt").read_text(encoding="utf-8").splitlines()
    assert image.shape == (320, 320, 3)
    assert [int(line.split()[0]) for line in written] == [label for label, *_ in labels]
    assert len(list((tmp_path / "images" / "calib").glob("*.jpg"))) == 2


@pytest.mark.yolo
def test_committed_names_are_those_of_the_generator(make_data: Any) -> None:
    assert description()["names"] == dict(enumerate(make_data.CLASSES))


def test_description_points_at_folders_beside_it() -> None:
    for split in SIZES:
        assert (DATA / description()[split]).is_dir()


@pytest.mark.parametrize(("split", "size"), SIZES.items())
def test_every_committed_picture_has_its_labels(split: str, size: int) -> None:
    images = {path.stem for path in (DATA / "images" / split).glob("*.jpg")}
    labels = {path.stem for path in (DATA / "labels" / split).glob("*.txt")}
    assert images == labels
    assert len(images) == size


@pytest.mark.parametrize("split", SIZES)
def test_committed_labels_are_within_bounds_and_name_every_class(split: str) -> None:
    names = description()["names"]
    found = boxes(split)
    assert {label for label, _ in found} == set(names)
    for _, box in found:
        assert len(box) == 4
        assert all(0 <= value <= 1 for value in box)
        assert min(box[2:]) > 0


def test_no_picture_is_in_both_splits() -> None:
    train, val = (
        {hashlib.sha256(path.read_bytes()).digest() for path in (DATA / "images" / split).glob("*.jpg")}
        for split in SIZES
    )
    assert len(train) == SIZES["train"]
    assert len(val) == SIZES["val"]
    assert not train & val


def test_committed_pictures_stay_small() -> None:
    assert sum(path.stat().st_size for path in (DATA / "images").rglob("*.jpg")) < 8_000_000
