from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import calibrate
from edgebuild.steps._dataset import read_dataset
from edgebuild.steps._letterbox import load_tensor
from edgebuild.steps._protocol import Protocol, validate
from edgebuild.steps._runtime import Artifact
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


def test_a_copy_saved_anew_without_loss_is_found_by_its_pixels(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "val/images/other.bmp"), cv2.imread(str(tmp_path / "train/images/007.png")))
    with pytest.raises(StepFailure, match=r"have the pixels .*007\.png \(validation: images/other\.bmp\)"):
        run(images=12)


def findings(text: str) -> dict[str, str]:
    rows = [line.removeprefix("@finding ") for line in text.splitlines() if line.startswith("@finding ")]
    return {row["id"]: row["message"] for row in map(json.loads, rows)}


def test_a_lossy_copy_is_told(
    run: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2 = pytest.importorskip("cv2")
    picture = cv2.imread(str(tmp_path / "train/images/007.png"))
    cv2.imwrite(str(tmp_path / "val/images/other.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    run(images=12)
    told = findings(capsys.readouterr().out)["calibration-near-validation"]
    assert told.endswith("images/007.png (validation: images/other.jpg)")


def test_pictures_by_day_for_a_camera_at_night_are_told(
    run: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2 = pytest.importorskip("cv2")
    for path in (tmp_path / "val/images").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path)) // 8)
    run(images=12)
    captured = findings(capsys.readouterr().out)
    assert "of the validation images 0.0" in captured["calibration-shift"]


def test_one_picture_many_times_is_refused(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    for path in (tmp_path / "train/images").iterdir():
        if path.name != "000.png":
            shutil.copy(tmp_path / "train/images/000.png", path)
    with pytest.raises(StepFailure, match="all 12 calibration images show the same pixels"):
        run(images=12)


def test_some_copies_are_told(
    run: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(tmp_path / "train/images/000.png", tmp_path / "train/images/001.png")
    run(images=12)
    assert findings(capsys.readouterr().out)["calibration-copies"].startswith("1 of 12 ")


def test_one_class_only_is_told(
    run: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text("000.png\n001.png\n006.png\n", encoding="utf-8")
    run("--sample", "list", "--list", "list.txt", images=3)
    told = findings(capsys.readouterr().out)
    assert "one class only, bolt; validation shows 2" in told["calibration-one-class"]
    assert "only 3 images calibrate" in told["calibration-few"]


@pytest.mark.parametrize(
    ("value", "said"), [(7.0, "holds float32 values;"), (float("nan"), "NaN or infinite")]
)
def test_pixels_that_are_no_bytes_are_refused(
    run: Callable[..., dict[str, Any]], tmp_path: Path, value: float, said: str
) -> None:
    cv2 = pytest.importorskip("cv2")
    np = pytest.importorskip("numpy")
    pixels = np.full((40, 40, 3), value, np.float32)
    (tmp_path / "train/images/003.png").unlink()
    assert cv2.imwrite(str(tmp_path / "train/images/003.tiff"), pixels)
    with pytest.raises(StepFailure, match=rf"train/images/003\.tiff: .*{said}"):
        run(images=12)


def test_what_is_no_number_never_reaches_the_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    monkeypatch.setattr(calibrate, "load_tensor", lambda *_: np.full((3, 8, 8), np.nan, np.float32))
    with pytest.raises(StepFailure, match="not numbers from 0 to 1"):
        calibrate.write_tensors(str(tmp_path / "c.npy"), [tmp_path / "a.png"], (8, 8))


@pytest.mark.slow
@pytest.mark.parametrize("imgsz", [(64, 64), (64, 96), (160, 96)])
@pytest.mark.parametrize("task", ["detect", "classify"])
def test_calibration_sees_what_validation_feeds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_image: Callable[..., Path],
    write_dataset: Callable[..., Path],
    imgsz: tuple[int, int],
    task: str,
) -> None:
    """The tensors of calibrate are, bit for bit, what evaluate gives the artifact for the same files."""
    np = pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    sizes = [(480, 640), (640, 480), (64, 64), (20, 31), (33, 300), (301, 17), (97, 101)]
    for index, size in enumerate(sizes):
        folder = "images" if task == "detect" else ("bolt", "nut", "washer")[index % 3]
        write_image(tmp_path / f"same/{folder}/{index}.png", size=size, seed=index)
    label = tmp_path / "same/labels/0.txt"
    label.parent.mkdir()
    label.write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    write_image(tmp_path / "other" / ("images" if task == "detect" else "bolt") / "x.png", seed=99)
    dataset = read_dataset(write_dataset(tmp_path / "dataset.json", task=task))
    calibrate.main([
        "--train", "same", "--validation", "other", "--dataset", "dataset.json", "--images", str(len(sizes)),
        "--sample", "first", "--imgsz", *map(str, imgsz), "--task", task,
        "--tensors", "c.npy", "--selection", "c.json",
    ])  # fmt: skip
    fed: list[Any] = []

    def infer(images: Any) -> list[Any]:
        fed.append(images.copy())
        if task == "classify":
            return [np.full((len(images), 3), 1 / 3, np.float32)]
        return [np.zeros((len(images), 7, 21), np.float32)]

    artifact = Artifact(infer=infer, batch=None, outputs=())
    protocol = Protocol(task=task, imgsz=imgsz, confidence=0.5, iou=0.7, max_detections=9, batch=2)
    if task == "classify":
        shutil.rmtree(tmp_path / "same/labels")
    with contextlib.suppress(StepFailure):  # what is scored does not matter here
        validate(artifact, protocol, dataset, tmp_path / "same", end2end=False)
    tensors, seen = np.load("c.npy"), np.concatenate(fed)
    assert tensors.shape == seen.shape == (len(sizes), 3, *imgsz)
    # Ultralytics shuffles what it classifies; detectors see the files in order.
    ours, theirs = ([one.tobytes() for one in array] for array in (tensors, seen))
    assert sorted(ours) == sorted(theirs)
    assert task == "classify" or ours == theirs
