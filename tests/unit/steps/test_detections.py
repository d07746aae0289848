from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from edgebuild.steps.detections import choose, main, small_jpeg
from tests.unit.steps.fixtures_evaluate import NAMES, write_case


def test_images_are_chosen_for_their_classes_then_their_objects_then_their_names() -> None:
    objects = {
        "a": {0: 1},
        "b": {0: 9},
        "c": {0: 1, 1: 1},
        "d": {2: 1},
        "e": {2: 3},
        "f": {},
    }
    # c shows two classes, e the last one; then the round begins again with c gone.
    assert choose(objects, count=4) == ["c", "e", "b", "d"]
    assert choose(objects, count=9) == ["c", "e", "b", "d", "a", "f"]
    assert choose(dict(reversed(objects.items())), count=4) == ["c", "e", "b", "d"]


def test_no_labels_at_all_chooses_by_name() -> None:
    assert choose({"b": {}, "a": {}}, count=1) == ["a"]


def run_detections(*, images: int = 3) -> Any:
    main(
        [
            "--artifact", "in/artifact/model.onnx", "--info", "in/info/model.json",
            "--validation", "in/validation", "--images", str(images), "--output", "out/detections.json",
        ]
    )  # fmt: skip
    return json.loads(Path("out/detections.json").read_text(encoding="utf-8"))


def picture_shape(jpeg_base64: str) -> tuple[int, ...]:
    import cv2
    import numpy as np

    picture = cv2.imdecode(np.frombuffer(base64.b64decode(jpeg_base64), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.shape


@pytest.mark.yolo
@pytest.mark.parametrize(
    "case", [{}, {"end2end": True}, {"imgsz": (64, 96)}, {"task": "pose"}, {"task": "segment"}]
)
def test_boxes_lie_near_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: dict[str, Any]
) -> None:
    import numpy as np

    monkeypatch.chdir(tmp_path)
    write_case(tmp_path, **case)
    document = run_detections()
    assert len(document["images"]) == 3
    for image in document["images"]:
        assert (image["width"], image["height"]) == (160, 120)
        assert picture_shape(image["jpeg_base64"]) == (120, 160, 3)
        assert image["detections"]
        assert {found["class"] for found in image["detections"] + image["truth"]} <= set(NAMES)
        boxes = [found["box"] for found in image["detections"]]
        for label in image["truth"]:
            assert min(max(abs(np.subtract(label["box"], box))) for box in boxes) < 10
        scores = [found["score"] for found in image["detections"]]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) > 0.25


@pytest.mark.yolo
@pytest.mark.parametrize(("task", "shape"), [("segment", "outline"), ("obb", "outline"), ("pose", "points")])
def test_objects_have_what_their_task_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, shape: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_case(tmp_path, task=task)
    document = run_detections()
    assert document["task"] == task
    truth = [one for image in document["images"] for one in image["truth"]]
    found = [one for image in document["images"] for one in image["detections"]]
    assert all(one[shape] for one in truth)
    # Every second mask of the model is empty.
    assert all(one[shape] for one in found) or task == "segment"
    assert any(one[shape] for one in found)
    for one in (*truth, *found):
        left, top, right, bottom = one["box"]
        for x, y in one[shape]:
            # A pixel of the input is 2.5 of the image, and an outline follows whole ones.
            assert left - 3 <= x <= right + 3
            assert top - 3 <= y <= bottom + 3


@pytest.mark.yolo
def test_a_classified_image_has_its_likely_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_case(tmp_path, task="classify")
    document = run_detections()
    assert len(document["images"]) == 3
    # One of each class first, as its folder says.
    assert [image["truth"] for image in document["images"]] == [[{"class": name}] for name in NAMES]
    for image in document["images"]:
        assert image["file"].startswith(image["truth"][0]["class"])
        scores = [one["score"] for one in image["detections"]]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert "box" not in image["detections"][0]


@pytest.mark.yolo
def test_large_images_make_small_pictures() -> None:
    import numpy as np

    assert picture_shape(small_jpeg(np.zeros((1000, 2000, 3), np.uint8))) == (240, 480, 3)
