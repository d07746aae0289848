from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import calibrate
from edgebuild.steps._letterbox import load_tensor
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_tree: Callable[..., Path],
    write_dataset: Callable[..., Path],
) -> Callable[..., dict[str, Any]]:
    """Calibrate on a tree of twelve images in ``tmp_path`` and return the selection."""
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "train", [[0], [0], [0, 1], [1], [2], [], [0], [0], [0], [0], [0], [0]])
    write_tree(tmp_path / "val", [[0], [1]], seed=1)
    write_dataset(tmp_path / "dataset.json")

    def start(*arguments: object, train: str = "train", images: int = 6) -> dict[str, Any]:
        calibrate.main([
            "--train", train, "--validation", "val", "--dataset", "dataset.json", "--images", str(images),
            "--imgsz", "32", "64", "--tensors", "out/c.npy", "--selection", "out/c.json",
            *map(str, arguments),
        ])  # fmt: skip
        document: dict[str, Any] = json.loads((tmp_path / "out/c.json").read_text(encoding="utf-8"))
        return document

    return start


def test_writes_tensors_of_the_chosen_images_in_their_order(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    np = pytest.importorskip("numpy")
    selection = run()
    tensors = np.load(tmp_path / "out/c.npy")
    assert tensors.shape == (6, 3, 32, 64)
    assert tensors.dtype == np.float32
    for tensor, entry in zip(tensors, selection["files"], strict=True):
        assert np.array_equal(tensor, load_tensor(tmp_path / "train" / entry["file"], (32, 64)))


def test_describes_the_selection(run: Callable[..., dict[str, Any]]) -> None:
    selection = run("--seed", 5)
    assert selection["settings"] == {"images": 6, "sample": "stratified", "seed": 5, "imgsz": [32, 64]}
    assert selection["available"] == 12
    assert [entry["name"] for entry in selection["classes"]] == ["bolt", "nut", "washer"]
    assert all(entry["images"] >= 1 for entry in selection["classes"])
    assert all(len(entry["sha256"]) == 64 for entry in selection["files"])
    objects = sum(sum(entry["classes"].values()) for entry in selection["files"])
    assert objects == sum(entry["objects"] for entry in selection["classes"])


def test_neither_place_nor_run_change_the_bytes(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    run()
    first = [(tmp_path / "out" / name).read_bytes() for name in ("c.npy", "c.json")]
    shutil.copytree(tmp_path / "train", tmp_path / "moved/there")
    run(train="moved/there")
    assert [(tmp_path / "out" / name).read_bytes() for name in ("c.npy", "c.json")] == first


def test_first_takes_them_in_order(run: Callable[..., dict[str, Any]]) -> None:
    files = [entry["file"] for entry in run("--sample", "first", images=3)["files"]]
    assert files == ["images/000.png", "images/001.png", "images/002.png"]


def test_random_depends_on_the_seed(run: Callable[..., dict[str, Any]]) -> None:
    one, other = (run("--sample", "random", "--seed", seed)["files"] for seed in (1, 2))
    assert one != other


def test_a_list_chooses(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    lines = "# chosen by hand\nimages/004.png\n\n./images/003.png\n/data/train/images/001.png\n002.png\n"
    (tmp_path / "list.txt").write_text(lines, encoding="utf-8")
    selection = run("--sample", "list", "--list", "list.txt", images=4)
    assert [entry["file"][-7:-4] for entry in selection["files"]] == ["004", "003", "001", "002"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("images/099.png\n", r"list\.txt:1: images/099\.png is not in the calibration split"),
        ("000.png\n000.png\n", r"list\.txt:2: .*listed twice"),
        ("# nothing\n", "lists no image"),
    ],
)
def test_a_wrong_list_is_refused(
    run: Callable[..., dict[str, Any]], tmp_path: Path, lines: str, message: str
) -> None:
    (tmp_path / "list.txt").write_text(lines, encoding="utf-8")
    with pytest.raises(StepFailure, match=message):
        run("--sample", "list", "--list", "list.txt")


@pytest.mark.parametrize("images", [0, -1, 13])
def test_more_images_than_there_are_is_refused(run: Callable[..., dict[str, Any]], images: int) -> None:
    with pytest.raises(StepFailure, match=f"{images} calibration images were asked for, there are 12"):
        run(images=images)


def test_overlap_with_validation_is_refused_whatever_the_name(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    shutil.copy(tmp_path / "train/images/007.png", tmp_path / "val/images/other.png")
    with pytest.raises(StepFailure, match=r"images/007\.png \(validation: images/other\.png\)"):
        run(images=1)


def test_an_unreadable_image_is_named(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "train/images/004.png").write_bytes(b"not a picture")
    with pytest.raises(StepFailure, match=r"train/images/004\.png: cannot be read as an image"):
        run(images=12)


def test_the_tasks_must_agree(run: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(StepFailure, match="is for task 'detect', the model for 'segment'"):
        run("--task", "segment")
