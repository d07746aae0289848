from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.steps import _on_device
from edgebuild.steps._on_device import Model, artifact, main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEIGHT, WIDTH = 64, 96


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that makes an unpacked package."""

    def make(**info: Any) -> Path:
        document = {
            "task": "detect",
            "imgsz": [HEIGHT, WIDTH],
            "batch": 1,
            "end2end": False,
            "input": {"letterbox": {"pad": 114}},
        }
        (tmp_path / "model.json").write_text(json.dumps(document | info), encoding="utf-8")
        (tmp_path / "labels.txt").write_text("bolt\nnut\n", encoding="utf-8")
        (tmp_path / "artifact").mkdir()
        (tmp_path / "artifact" / "model.npu").write_bytes(b"npu")
        monkeypatch.setattr(_on_device, "HERE", tmp_path)
        return tmp_path

    return make


def candidates(*rows: tuple[float, ...]) -> Any:
    """Return an output of the usual layout: one column per candidate."""
    return np.array([rows], dtype=np.float32).transpose(0, 2, 1)


@pytest.mark.yolo
def test_the_input_is_that_of_the_validation(package: Callable[..., Path]) -> None:
    from edgebuild.steps._letterbox import letterbox

    image = np.random.default_rng(0).integers(0, 256, (200, 150, 3), dtype=np.uint8)
    tensor, place = Model(package()).prepare(image[..., ::-1])
    wanted = letterbox(image, (HEIGHT, WIDTH))[..., ::-1].transpose(2, 0, 1) / np.float32(255)
    assert tensor.shape == (1, 3, HEIGHT, WIDTH)
    assert np.array_equal(tensor[0], wanted.astype(np.float32))
    assert place == (0.32, 24, 0, 150, 200)


@pytest.mark.yolo
@pytest.mark.parametrize("imgsz", [(64, 64), (64, 96)])
@pytest.mark.parametrize("size", [(200, 150), (40, 151)])
def test_the_input_of_a_classifier_is_that_of_the_validation(
    package: Callable[..., Path], tmp_path: Path, imgsz: tuple[int, int], size: tuple[int, int]
) -> None:
    cv2 = pytest.importorskip("cv2")
    from edgebuild.steps._letterbox import load_crop

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    info = {"task": "classify", "imgsz": imgsz, "input": {"crop": {"short_side": True}}}
    tensor, _ = Model(package(**info)).prepare(image[..., ::-1])
    assert np.array_equal(tensor[0], load_crop(tmp_path / "a.png", imgsz))


def test_boxes_come_back_in_pixels_of_the_image_and_the_weaker_of_two_goes(
    package: Callable[..., Path],
) -> None:
    output = candidates((40, 32, 16, 32, 0.1, 0.9), (41, 32, 16, 32, 0.1, 0.8), (40, 32, 16, 32, 0.7, 0.1))
    found = Model(package()).finish([output], (0.32, 24, 0, 150, 200), 0.25, 0.7)
    assert found == [
        {"label": "nut", "score": 0.9, "box": [25.0, 50.0, 75.0, 150.0]},
        {"label": "bolt", "score": 0.7, "box": [25.0, 50.0, 75.0, 150.0]},
    ]


def test_final_detections_are_only_filtered(package: Callable[..., Path]) -> None:
    rows = np.array([[[0, 0, 32, 32, 0.1, 0], [24, 0, 56, 64, 0.6, 1]]], dtype=np.float32)
    found = Model(package(end2end=True)).finish([rows], (1.0, 0, 0, WIDTH, HEIGHT), 0.25, 0.7)
    assert [(entry["label"], entry["box"]) for entry in found] == [("nut", [24.0, 0.0, 56.0, 64.0])]


def test_keypoints_and_classes_have_their_own_shape(package: Callable[..., Path]) -> None:
    root = package(task="pose")
    pose = candidates((40, 32, 16, 32, 0.9, 0.1, 40, 32, 0.5, 98, -1, 1.0))
    (found,) = Model(root).finish([pose], (2.0, 0, 0, 48, 32), 0.25, 0.7)
    assert found["keypoints"] == [[20.0, 16.0, 0.5], [48.0, 0.0, 1.0]]  # none lies outside of the image
    (root / "model.json").write_text(
        json.dumps({"task": "classify", "imgsz": [8, 8], "input": {}}), encoding="utf-8"
    )
    best = Model(root).finish([np.array([[0.25, 0.75]])], (1.0, 0, 0, 8, 8), 0.25, 0.7)
    assert best == [{"label": "nut", "score": 0.75}, {"label": "bolt", "score": 0.25}]


def test_bars_that_cross_are_two_objects_and_keep_their_angles(package: Callable[..., Path]) -> None:
    bars = candidates(
        (40, 32, 32, 4, 0.9, 0.1, 0.0),
        (40, 32, 32, 4, 0.8, 0.1, np.pi / 2),
        (40, 32, 31, 4, 0.7, 0.1, 0.02),  # the first one again
    )
    found = Model(package(task="obb")).finish([bars], (2.0, 8, 0, 48, 32), 0.25, 0.7)
    assert found == [
        {"label": "bolt", "score": 0.9, "xywhr": [16.0, 16.0, 16.0, 2.0, 0.0],
         "corners": [[24.0, 17.0], [24.0, 15.0], [8.0, 15.0], [8.0, 17.0]]},
        {"label": "bolt", "score": 0.8, "xywhr": [16.0, 16.0, 16.0, 2.0, 1.5708],
         "corners": [[15.0, 24.0], [17.0, 24.0], [17.0, 8.0], [15.0, 8.0]]},
    ]  # fmt: skip


def test_a_mask_is_given_in_run_lengths_of_the_image(package: Callable[..., Path]) -> None:
    boxes = candidates((48, 32, 48, 32, 0.9, 0.1, 1.0, 0.0), (48, 32, 48, 32, 0.1, 0.8, 0.0, 1.0))
    left_half = np.where(np.arange(24) < 12, 1.0, -1.0) * np.ones((16, 1))
    prototypes = np.stack([left_half, np.ones((16, 24))])[None].astype(np.float32)
    one, other = Model(package(task="segment")).finish([boxes, prototypes], (2.0, 0, 0, 48, 32), 0.25, 0.7)
    assert one["box"] == other["box"] == [12.0, 8.0, 36.0, 24.0]
    # 12 columns, of 16 pixels each, lie on the left of the middle and in the box.
    assert one["area"] == 12 * 16
    assert one["mask"]["size"] == [32, 48]
    assert one["mask"]["counts"] == [12 * 32 + 8, *([16, 16] * 12)[:-1], 24 * 32 + 8]
    assert other["area"] == 24 * 16
    assert sum(other["mask"]["counts"]) == 32 * 48


def test_a_mask_that_begins_in_the_corner_begins_with_no_pixels_outside(package: Callable[..., Path]) -> None:
    box = candidates((48, 32, 96, 64, 0.9, 0.1, 1.0))
    whole = np.ones((1, 1, 16, 24), dtype=np.float32)
    (one,) = Model(package(task="segment")).finish([box, whole], (2.0, 0, 0, 48, 32), 0.25, 0.7)
    assert one["mask"] == {"size": [32, 48], "counts": [0, 32 * 48]}


def test_a_cut_head_is_decoded_first(package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = package(head={"kind": "cut"})
    (root / "decode.py").write_text(
        "def decode(outputs, head):\n    return [o * 2 for o in outputs]\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.delitem(sys.modules, "decode", raising=False)
    output = candidates((20, 16, 8, 16, 0.05, 0.45))
    (found,) = Model(root).finish([output], (1.0, 0, 0, WIDTH, HEIGHT), 0.25, 0.7)
    monkeypatch.delitem(sys.modules, "decode")
    assert (found["score"], found["box"]) == (0.9, [32.0, 16.0, 48.0, 48.0])


@pytest.mark.yolo
def test_a_starter_program_only_loads_the_artifact(
    package: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    root = package()
    cv2.imwrite(str(root / "a.png"), np.zeros((32, 48, 3), np.uint8))
    loaded = []

    def load(path: str) -> Callable[[Any], list[Any]]:
        loaded.append(path)
        return lambda tensor: [candidates((48, 32, 24, 32, float(tensor.shape == (1, 3, 64, 96)), 0))]

    main(load, [str(root / "a.png")])
    assert loaded == [str(root / "artifact" / "model.npu")]
    name, found = capsys.readouterr().out.splitlines()
    assert name.startswith(f"{root / 'a.png'}: ")
    assert json.loads(found) == {"label": "bolt", "score": 1.0, "box": [18.0, 8.0, 30.0, 24.0]}


@pytest.mark.yolo
def test_a_batch_is_filled_with_images_and_each_gets_its_own_objects(
    package: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    root = package(batch=2)
    names = [str(root / f"{level}.png") for level in (51, 102, 204)]
    for name, level in zip(names, (51, 102, 204), strict=True):
        cv2.imwrite(name, np.full((64, 96, 3), level, np.uint8))
    shapes = []

    def infer(tensor: Any) -> list[Any]:
        shapes.append(tensor.shape)
        rows = [candidates((48, 32, 24, 32, image.mean(), 0)) for image in tensor]
        return [np.concatenate(rows)]

    main(lambda _: infer, ["--confidence", "0", *names])
    said = capsys.readouterr().out.splitlines()
    assert shapes == [(2, 3, 64, 96)] * 2
    assert [line.partition(": ")[0] for line in said[::2]] == names
    assert all(line.endswith(" ms for a batch of 2") for line in said[::2])
    assert [json.loads(line)["score"] for line in said[1::2]] == [0.2, 0.4, 0.8]


def test_an_artifact_of_several_files_is_its_folder(package: Callable[..., Path]) -> None:
    root = package()
    (root / "artifact" / "model.json").write_bytes(b"{}")
    assert artifact(root) == root / "artifact"
