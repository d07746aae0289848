"""What a device does behind a cut head, in small numbers that can be checked by hand."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from edgebuild.steps import _decode

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.yolo

CUT = {
    "kind": "cut", "task": "detect", "imgsz": [16, 16], "classes": 2, "reg_max": 1, "end2end": False,
    "boxes": "xywh", "scales": [{"stride": 8, "box": 0, "score": 1}], "rest": [],
}  # fmt: skip


def maps(*channels: int) -> list[Any]:
    return [np.zeros((1, count, 2, 2), np.float32) for count in channels]


def test_numpy_is_all_it_needs() -> None:
    tree = ast.parse(Path(_decode.__file__).read_text(encoding="utf-8"))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names <= {"numpy", "numpy.typing", "__future__", "typing", "collections.abc"}


def test_a_whole_head_is_left_alone() -> None:
    output = np.arange(6, dtype=np.float32).reshape(1, 6, 1)
    assert np.array_equal(_decode.decode([output], {"kind": "full"})[0], output)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of head: 'bent'"):
        _decode.decode([], {"kind": "bent"})


def test_distances_to_the_sides_become_boxes_around_the_cells() -> None:
    box, score = maps(4, 2)
    box[0, :, 1, 0] = [0.5, 1.0, 1.5, 0.0]  # left, top, right and bottom, in units of the stride
    score[0, 1, 1, 0] = np.log(3.0)  # the sigmoid of which is 3/4
    (joined,) = _decode.decode([box, score], CUT)
    assert joined.shape == (1, 6, 4)
    # The third cell, (0.5, 1.5): x from 0 to 2, y from 0.5 to 1.5, times 8.
    assert joined[0, :, 2] == pytest.approx([8, 8, 16, 8, 0.5, 0.75])
    assert joined[0, :2, 3] == pytest.approx([12, 12])


def test_a_distribution_counts_by_its_expectation() -> None:
    box, score = maps(16, 2)
    box[0, 3, 0, 0] = 50.0  # the left side lies at place 3 of 4 for certain, the others at 1.5
    (joined,) = _decode.decode([box, score], CUT | {"reg_max": 4, "boxes": "xyxy"})
    assert joined[0, :4, 0] == pytest.approx([(0.5 - 3) * 8, -8, 16, 16])


def test_an_end_to_end_head_gives_the_best_pairs_first() -> None:
    box, score = maps(4, 2)
    score[0] = [[[1, 0], [-1, 3]], [[2, 0], [-1, 0]]]
    head = CUT | {"end2end": True, "boxes": "xyxy", "max_detections": 3}
    (rows,) = _decode.decode([box, score], head)
    assert rows.shape == (1, 3, 6)
    assert rows[0, :, 5].tolist() == [0, 1, 0]  # class 0 of the last cell, then 1 and 0 of the first
    assert rows[0, :, 4] == pytest.approx([1 / (1 + np.exp(-x)) for x in (3, 2, 1)])
    assert rows[0, 0, :4] == pytest.approx([12, 12, 12, 12])


def test_a_large_logit_is_certain_and_no_warning() -> None:
    box, score = maps(4, 2)
    score[:] = -500.0
    assert _decode.decode([box, score], CUT)[0][0, 4:].max() == 0.0


def test_prototypes_follow_as_they_are() -> None:
    box, score, masks = maps(4, 2, 3)
    masks[:] = 7.0
    proto = np.ones((1, 3, 4, 4), np.float32)
    head = CUT | {"task": "segment", "scales": [{"stride": 8, "box": 0, "score": 1, "extra": 2}], "rest": [3]}
    joined, last = _decode.decode([box, score, masks, proto], head)
    assert joined.shape == (1, 9, 4)
    assert (joined[0, 6:] == 7).all()
    assert np.array_equal(last, proto)


def test_normalised_coordinates_become_pixels() -> None:
    output = np.full((1, 4 + 1 + 6, 2), 0.5, np.float32)
    head = {"kind": "normalised", "task": "pose", "imgsz": [10, 20], "classes": 1,
            "keypoints": {"shape": [2, 3]}}  # fmt: skip
    (joined,) = _decode.decode([output], head)
    assert joined[0, :, 0].tolist() == [10, 5, 10, 5, 0.5, 10, 5, 0.5, 10, 5, 0.5]
    assert (output == 0.5).all()


def test_logits_become_probabilities() -> None:
    (shares,) = _decode.decode(
        [np.log(np.array([[1.0, 3.0]], np.float32))], {"kind": "cut", "task": "classify"}
    )
    assert shares[0] == pytest.approx([0.25, 0.75])
