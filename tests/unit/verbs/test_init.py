from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.manifest.load import load_manifest
from edgebuild.verbs.init import InitOptions, init

if TYPE_CHECKING:
    from pathlib import Path


def first(folder: Path, *, weights: str = "best.pt", data: str = "data.yaml", task: str = "") -> Path:
    path = folder / "manifest.yaml"
    options = InitOptions(
        path=str(path), name="gauges", task=task, weights=weights, data=data, imgsz=64, force=False
    )
    assert init(options) == 0
    return path


def dataset(folder: Path, *splits: str) -> None:
    text = "names: [needle]\n"
    for split in splits:
        for kind, name in (("images", "a.png"), ("labels", "a.txt")):
            place = folder / kind / split / name
            place.parent.mkdir(parents=True)
            place.write_text("0 0.5 0.5 0.1 0.1\n")
        text += f"{split}: images/{split}\n"
    (folder / "data.yaml").write_text(text)
    (folder / "best.pt").write_bytes(b"weights")


def test_a_first_manifest_fits_a_dataset_of_few_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset(tmp_path, "train", "val")

    found = load_manifest(first(tmp_path)).dataset

    assert found is not None
    assert (found.calibration.split, found.calibration.images, found.validation.split) == ("train", 1, "val")
    assert "to mend" not in capsys.readouterr().out


def test_where_a_split_is_missing_another_is_taken_or_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, splits in (("a", ("train", "test")), ("b", ("val", "test")), ("c", ("train",))):
        (tmp_path / name).mkdir()
        dataset(tmp_path / name, *splits)

    for name, expected in (("a", ("train", "test")), ("b", ("test", "val"))):
        found = load_manifest(first(tmp_path / name)).dataset
        assert found is not None
        assert (found.calibration.split, found.validation.split) == expected
    assert "to mend" not in capsys.readouterr().out
    first(tmp_path / "c")
    assert "to mend: " in (out := capsys.readouterr().out)
    assert "the dataset has no split 'val'" in out


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ({}, "detect"),
        ({"weights": "runs/yolo11n-seg.pt"}, "segment"),
        ({"weights": "yolo11n-pose.pt"}, "pose"),
        ({"weights": "yolo11n-obb.onnx"}, "obb"),
        ({"weights": "yolo11n-cls.pt"}, "classify"),
        ({"weights": "yolo11n-seg.pt", "task": "detect"}, "detect"),
        ({"data": "folder"}, "classify"),
    ],
)
def test_the_task_is_the_one_asked_for_or_that_of_the_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: dict[str, str], task: str
) -> None:
    (tmp_path / "folder").mkdir()

    assert f"task: {task}\n" in first(tmp_path, **words).read_text()
    assert f"(task {task}" in capsys.readouterr().out
