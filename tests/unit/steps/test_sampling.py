from __future__ import annotations

import random

import pytest

from edgebuild.steps._sampling import Candidate, shuffle, stratify


def _candidates(labels: list[list[int]]) -> list[Candidate]:
    return [
        Candidate(file=f"{index:04}.png", digest=f"digest {index}", classes=dict.fromkeys(classes, 1))
        for index, classes in enumerate(labels)
    ]


_SKEWED = _candidates([[0]] * 300 + [[]] * 60 + [[1]] * 30 + [[0, 2]] * 2 + [[3]])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rare_classes_are_present(seed: int) -> None:
    chosen = stratify(_SKEWED, 40, seed=seed)
    assert len(chosen) == len({one.file for one in chosen}) == 40
    count = {class_id: sum(class_id in one.classes for one in chosen) for class_id in range(4)}
    assert count[3] == 1
    assert count[2] == 2
    assert count[1] >= 5
    assert count[0] >= 5


def test_images_without_objects_keep_their_place() -> None:
    assert any(not one.classes for one in stratify(_SKEWED, 100, seed=0))


def test_the_order_of_the_candidates_does_not_matter() -> None:
    mixed = list(_SKEWED)
    random.Random(1).shuffle(mixed)
    assert stratify(mixed, 50, seed=3) == stratify(_SKEWED, 50, seed=3)
    assert shuffle(mixed, seed=3) == shuffle(_SKEWED, seed=3)


def test_the_seed_matters() -> None:
    assert stratify(_SKEWED, 50, seed=3) != stratify(_SKEWED, 50, seed=4)


def test_all_can_be_chosen() -> None:
    assert sorted(one.file for one in stratify(_SKEWED, len(_SKEWED), seed=0)) == [
        one.file for one in _SKEWED
    ]


def test_more_classes_than_images() -> None:
    chosen = stratify(_candidates([[0, 1], [2], [3], [4]]), 3, seed=0)
    assert len({class_id for one in chosen for class_id in one.classes}) >= 3


def test_a_split_without_any_object_is_shuffled() -> None:
    empty = _candidates([[]] * 5)
    assert stratify(empty, 3, seed=7) == shuffle(empty, seed=7)[:3]


def _shown(chosen: list[Candidate]) -> list[int]:
    return [sum(class_id in one.classes for one in chosen) for class_id in range(4)]


@pytest.mark.parametrize("count", [8, 12, 20])
def test_classes_are_covered_more_evenly_than_by_chance_where_images_show_several(count: int) -> None:
    draw = random.Random(5)
    odds = (0.9, 0.5, 0.2, 0.1)
    images = _candidates([[one for one in range(4) if draw.random() < odds[one]] for _ in range(90)])
    rarest = {"stratified": 0, "random": 0}
    for seed in range(10):
        rarest["random"] += min(_shown(shuffle(images, seed=seed)[:count]))
        rarest["stratified"] += min(_shown(stratify(images, count, seed=seed)))
        assert min(_shown(stratify(images, count, seed=seed))) >= count // 6
    assert rarest["stratified"] >= 4 * rarest["random"]


def test_the_random_half_does_not_take_what_the_even_half_skipped() -> None:
    """In one order for both, the sample would be the first images of it, whatever they show."""
    images = _candidates([[0, 1]] * 30 + [[0]] * 30 + [[1]] * 30)
    assert any(
        {one.file for one in stratify(images, 12, seed=seed)}
        != {one.file for one in shuffle(images, seed=seed)[:12]}
        for seed in range(3)
    )
