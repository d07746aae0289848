from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from edgebuild.steps._calibration_check import ClassCount, class_findings, image_findings
from edgebuild.steps._image_facts import LEVELS, Facts

NAMES = ("bolt", "nut", "washer")


def facts(brightness: list[float], *, width: int = 640, height: int = 480, start: int = 0) -> list[Facts]:
    """Images that differ in brightness; thumbnails are far from each other."""
    rows = []
    for index, level in enumerate(brightness, start=start):
        thumbnail = Random(index).randbytes(192)
        rows.append(
            Facts(
                file=f"{index}.jpg", pixels=str(index), fingerprint=thumbnail, brightness=level, contrast=0.1,
                red=0.5, green=0.5, blue=0.5, width=width, height=height,
            )
        )  # fmt: skip
    return rows


def kinds(chosen: list[Facts], validation: list[Facts]) -> list[str]:
    return [name for name, _, _ in image_findings(chosen, validation)]


MIXED = [0.3 + 0.4 * index / 39 for index in range(40)]


def test_images_like_those_of_validation_give_no_finding() -> None:
    assert kinds(facts(MIXED[::2]), facts(MIXED[1::2], start=100)) == []


@pytest.mark.parametrize("statistic", LEVELS)
def test_a_mean_more_than_one_deviation_away_is_a_shift(statistic: str) -> None:
    def put(one: Facts, more: float) -> Facts:
        values: Any = {statistic: one.brightness + more}
        return replace(one, **values)

    chosen = [put(one, 0.2) for one in facts(MIXED)]
    validation = [put(one, 0.0) for one in facts(MIXED, start=100)]
    assert kinds(chosen, validation) == ["calibration-shift"]


def test_a_small_shift_of_a_fixed_scene_is_none() -> None:
    assert kinds(facts([0.50, 0.501] * 10), facts([0.54, 0.541] * 10, start=100)) == []


def test_half_of_validation_outside_of_what_calibration_saw_is_told() -> None:
    day, night = [0.60, 0.62, 0.64, 0.66], [0.20, 0.22, 0.24, 0.26]
    validation = facts((day + night) * 10, start=100)
    found = list(image_findings(facts(day * 5), validation))
    assert [name for name, _, _ in found] == ["calibration-coverage"]
    assert found[0][1].startswith("50% of the validation images have a brightness")


def test_few_images_need_more_evidence() -> None:
    validation = facts(MIXED, start=100)
    assert kinds(facts([0.65] * 4), validation) == ["calibration-few"]
    assert "calibration-shift" in kinds(facts([0.65] * 16), validation)


@pytest.mark.parametrize(("width", "height"), [(1280, 960), (480, 480)])
def test_another_camera_is_told_by_size_or_aspect(width: int, height: int) -> None:
    found = kinds(facts(MIXED, width=width, height=height), facts(MIXED, start=100))
    assert found == ["calibration-size"]


def test_lossy_copies_are_told_unless_all_pictures_are_alike() -> None:
    chosen = facts(MIXED)
    copies = [replace(one, pixels=f"{one.pixels}-saved-again") for one in chosen[:3]]
    assert kinds(chosen, copies + facts(MIXED, start=100)) == ["calibration-near-validation"]
    scene = [replace(one, fingerprint=bytes(192)) for one in chosen]
    assert kinds(scene, [replace(one, pixels=f"v{one.pixels}") for one in scene]) == []


def count(images: int, *showing: int) -> ClassCount:
    return ClassCount(images=images, showing=dict(enumerate(showing)))


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (count(20, 10, 10, 10), []),
        (count(20, 20, 0, 0), ["calibration-one-class"]),
        (count(20, 20, 5, 0), ["calibration-class-missing"]),
        (count(20, 20, 1, 9), ["calibration-class-rare"]),
    ],
)
def test_classes_are_compared_by_the_share_of_images(ours: ClassCount, expected: list[str]) -> None:
    found = list(class_findings(ours, count(100, 50, 40, 40), NAMES, available=ours, sample="stratified"))
    assert [name for name, _, _ in found] == expected


def test_a_dataset_of_one_class_is_fine() -> None:
    nine = count(9, 9)
    assert list(class_findings(nine, nine, ("bolt",), available=nine, sample="stratified")) == []


@pytest.mark.parametrize(
    ("sample", "available", "advice"),
    [
        ("random", count(90, 50, 40, 9), "set dataset.calibration.sample: stratified"),
        ("stratified", count(90, 50, 40, 9), "ask for more images (dataset.calibration.images)"),
        ("stratified", count(90, 50, 40, 1), "the split to choose from has no more of them"),
        ("random", count(90, 50, 40, 1), "the split to choose from has no more of them"),
        ("list", count(40, 20, 20, 1), "list images that show what the model is for"),
    ],
)
def test_the_advice_fits_what_is_set_and_what_there_is(
    sample: str, available: ClassCount, advice: str
) -> None:
    chosen, validation = count(40, 20, 20, 1), count(100, 50, 40, 40)
    ((_, _, hint),) = class_findings(chosen, validation, NAMES, available=available, sample=sample)
    assert advice in hint


@pytest.mark.parametrize("ours", [count(9, 9, 0, 0), count(9, 5, 5, 0)])
def test_no_advice_asks_for_what_is_set_already(ours: ClassCount) -> None:
    there = count(100, 50, 40, 40)
    ((_, _, hint),) = class_findings(ours, there, NAMES, available=there, sample="stratified")
    assert hint == "the split has more of them: ask for more images (dataset.calibration.images)"
