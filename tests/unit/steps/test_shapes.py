from __future__ import annotations

from typing import Any

import pytest

from edgebuild.steps._shapes import keypoint_dimensions, read_labels

pytestmark = pytest.mark.yolo

SIZE = (100, 200)
"""Height and width."""


def boxes(corners: list[list[float]], more: list[list[float]]) -> Any:
    import numpy as np

    from edgebuild.steps._boxes import Boxes

    return Boxes(
        corners=np.array(corners, np.float32), scores=np.ones(len(corners)),
        classes=np.zeros(len(corners), int), more=np.array(more, np.float32),
    )  # fmt: skip


def read(text: str, task: str = "detect", **more: int) -> Any:
    (one,) = read_labels(text, task=task, classes=3, size=SIZE, **more)
    return one


def test_labels_of_boxes_outlines_and_poses_give_corners() -> None:
    assert read("1 0.5 0.5 0.2 0.4\n").class_id == 1
    assert read("1 0.5 0.5 0.2 0.4\n").box == pytest.approx((80, 30, 120, 70))
    assert read("0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6").box == pytest.approx((20, 20, 60, 60))
    assert read("0 0.5 0.5 0.2 0.4 0.9 0.9 2", "pose").box == pytest.approx((80, 30, 120, 70))


@pytest.mark.parametrize(("task", "corners"), [("segment", 4), ("obb", 4), ("detect", 0)])
def test_outlines_are_kept_where_the_task_has_them(task: str, corners: int) -> None:
    outline = read("0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6", task).outline
    assert len(outline) == corners
    assert [value for point in outline for value in point] == pytest.approx(
        [20, 20, 60, 20, 60, 60, 20, 60][: 2 * corners]
    )


def test_keypoints_that_are_not_labelled_are_left_out() -> None:
    row = "0 0.5 0.5 0.2 0.4 0.5 0.1 2 0 0 0 0.25 0.2 1"
    assert read(row, "pose").points == ((100, 10), (50, 20))
    assert read("0 0.5 0.5 0.2 0.4 0.5 0.1 0.25 0.2", "pose", dimensions=2).points == ((100, 10), (50, 20))


def test_rows_that_are_no_objects_are_left_out() -> None:
    text = "3 0.5 0.5 0.2 0.4\nbolt 0.5 0.5 0.2 0.4\n0 0.5\n\n0.5 0.5 0.5 0.2 0.4\n"
    assert read_labels(text, task="detect", classes=3, size=SIZE) == []


def test_keypoints_of_low_visibility_are_left_out() -> None:
    from edgebuild.steps._shapes import keypoints

    found = boxes([[0, 0, 9, 9]], [[1, 2, 0.9, 3, 4, 0.1]])
    assert keypoints(found, 3)[0].tolist() == [[1, 2]]
    assert keypoints(found, 2)[0].shape == (3, 2)


def test_how_many_values_a_keypoint_has() -> None:
    assert keypoint_dimensions({"kpt_shape": [3, 2]}, 6) == 2
    assert keypoint_dimensions({}, 6) == 3
    assert keypoint_dimensions({}, 8) == 2


def test_a_mask_is_outlined_within_its_box() -> None:
    import numpy as np

    from edgebuild.steps._shapes import mask_outlines

    prototypes = np.zeros((2, 16, 16), np.float32)
    prototypes[0], prototypes[1, :, 8:] = 1, 9
    whole, left, none = mask_outlines(
        boxes([[8, 8, 40, 24]] * 3, [[1, 0], [1, -1], [-1, 0]]), prototypes, (64, 64)
    )
    assert (whole.min(0).tolist(), whole.max(0).tolist()) == ([8, 8], [39, 23])
    assert len(whole) == 4
    assert left.max(0)[0] == pytest.approx(31, abs=3)
    assert none.shape == (0, 2)
