from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.report.pictures import compare, overlap, pictures, read_detections
from tests.unit.fixtures_report import sample_run

if TYPE_CHECKING:
    from pathlib import Path


def found(name: str, *box: float, score: float = 0.9) -> dict[str, Any]:
    return {"class": name, "score": score, "box": list(box)}


def test_overlap_of_boxes() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0


def test_the_same_object_is_neither_lost_nor_new() -> None:
    assert compare([found("a", 0, 0, 10, 10)], [found("a", 1, 0, 10, 10)]) == ([True], [False])


def test_another_class_is_lost_and_new() -> None:
    assert compare([found("b", 0, 0, 10, 10)], [found("a", 0, 0, 10, 10)]) == ([False], [True])


def test_a_float_object_is_matched_once_by_the_best() -> None:
    twice = [found("a", 0, 0, 10, 10, score=0.4), found("a", 0, 0, 10, 10, score=0.8)]
    assert compare(twice, [found("a", 0, 0, 10, 10)]) == ([False, True], [False])


def test_targets_that_find_the_same_share_a_column(tmp_path: Path) -> None:
    run = sample_run(tmp_path, 3)
    same = replace(run.targets[1], detections=run.targets[0].detections)
    strip = str(pictures(replace(run, targets=(run.targets[0], same, run.targets[2]))))
    assert '<th scope="col">rpi5, n100-box</th>' in strip
    assert strip.count('scope="col"') == 3


def test_a_picture_is_stored_once(tmp_path: Path) -> None:
    strip = str(pictures(sample_run(tmp_path, 3)))
    assert strip.count("data:image/jpeg;base64,") == 4
    assert strip.count('href="#photo-0"') == 3


def test_lost_and_new_objects_are_counted(tmp_path: Path) -> None:
    strip = str(pictures(sample_run(tmp_path)))
    assert "9 found · 1 lost · 1 new" in strip
    assert "lost: float found" in strip


def test_objects_are_compared_with_the_float_model_of_the_same_head(tmp_path: Path) -> None:
    run = sample_run(tmp_path, 1)
    (target,) = run.targets
    assert target.detections is not None
    alike = replace(target, baseline_detections=target.detections)
    assert "lost" in str(pictures(run)).replace("lost: float found", "")
    assert "found · 1 lost" not in str(pictures(replace(run, targets=(alike,))))


def test_without_documents_there_is_no_strip(tmp_path: Path) -> None:
    run = sample_run(tmp_path, 1)
    run = replace(run, baseline_detections=None, targets=(replace(run.targets[0], detections=None),))
    assert pictures(run) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"images": [{"file": "a"}]}', '{"images": [3]}', '{"images": {"a": 1}}', "null"],
)
def test_a_damaged_document_costs_only_its_pictures(tmp_path: Path, text: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text, encoding="utf-8")
    assert read_detections(path) == []
    assert read_detections(tmp_path / "gone.json") == []


def test_what_is_not_a_jpeg_is_not_embedded(tmp_path: Path) -> None:
    run = sample_run(tmp_path, 1)
    path = tmp_path / "d.json"
    document = json.loads(path.with_name("float.json").read_text())
    for image in document["images"]:
        image["jpeg_base64"] = "PHN2Zy8+"
    path.write_text(json.dumps(document))
    run = replace(run, baseline_detections=path, targets=(replace(run.targets[0], detections=path),))
    assert "data:" not in str(pictures(run))


def strip_of(tmp_path: Path, image: dict[str, Any], other: dict[str, Any] | None = None) -> str:
    """Draw one image, as float and (if given) another model see it."""
    whole = {"file": "a.png", "width": 100, "height": 100, "jpeg_base64": "", "truth": []}
    run = sample_run(tmp_path, 1)
    for name, one in (("float", image), ("ours", other or image)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"images": [whole | one]}), encoding="utf-8")
    target = replace(run.targets[0], detections=tmp_path / "ours.json")
    return str(pictures(replace(run, baseline_detections=tmp_path / "float.json", targets=(target,))))


def test_an_outline_is_drawn_instead_of_the_box(tmp_path: Path) -> None:
    one = found("a", 10, 10, 50, 50) | {"outline": [[10, 30], [30, 10], [50, 30], [30, 50]]}
    strip = strip_of(tmp_path, {"detections": [one]})
    assert '<polygon points="10,30 30,10 50,30 30,50"' in strip
    assert 'width="40"' not in strip


def test_keypoints_are_drawn_besides_the_box(tmp_path: Path) -> None:
    one = found("a", 10, 10, 50, 50) | {"points": [[20, 21], [30.5, 31]]}
    strip = strip_of(tmp_path, {"detections": [one]})
    assert 'cx="20" cy="21"' in strip
    assert 'cx="30.5" cy="31"' in strip
    assert 'width="40"' in strip


def test_a_classified_picture_says_its_classes_and_where_float_differs(tmp_path: Path) -> None:
    float_model = {"truth": [{"class": "nut"}], "detections": [{"class": "nut", "score": 0.9}]}
    other = {"truth": [{"class": "nut"}], "detections": [{"class": "bolt", "score": 0.6}]}
    strip = strip_of(tmp_path, float_model, other)
    assert "nut 0.90 · as labelled" in strip
    assert "bolt 0.60 · labelled nut · float says nut" in strip
    assert "show labelled boxes" not in strip


@pytest.mark.parametrize(
    "shape",
    [
        {"outline": [[1, 2, 3]]}, {"points": [["x", 1]]}, {"outline": [[1, '"/>'], [2, 3], [4, 5]]},
        {"box": [1, 2, 3]}, {"points": [[float("inf"), 1]]},
    ],
)  # fmt: skip
def test_a_shape_that_is_none_costs_only_its_pictures(tmp_path: Path, shape: dict[str, Any]) -> None:
    path = tmp_path / "d.json"
    image = {
        "file": "a.png",
        "width": 10,
        "height": 10,
        "truth": [],
        "detections": [found("a", 1, 2, 3, 4) | shape],
    }
    path.write_text(json.dumps({"images": [image]}), encoding="utf-8")
    assert read_detections(path) == []
