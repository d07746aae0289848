from __future__ import annotations

import pytest

from edgebuild.steps._boxes import label_boxes

pytestmark = pytest.mark.yolo

IMAGE = {"height": 100, "width": 200}


def test_raw_output_becomes_boxes_after_nms_within_each_class() -> None:
    import numpy as np

    from edgebuild.steps._boxes import decode

    columns = [
        [50, 50, 20, 20, 0.9, 0.1],  # kept
        [51, 50, 20, 20, 0.8, 0.1],  # overlaps the first, same class: dropped
        [51, 50, 20, 20, 0.1, 0.7],  # overlaps it, other class: kept
        [90, 90, 10, 10, 0.2, 0.1],  # below the confidence
        [20, 20, 10, 10, 0.95, 0.1],  # best of all: first
    ]
    found = decode(
        np.array(columns, np.float32).T, classes=2, end2end=False, confidence=0.25, iou=0.7, limit=300
    )
    assert found.corners.tolist() == [[15, 15, 25, 25], [40, 40, 60, 60], [41, 40, 61, 60]]
    assert found.classes.tolist() == [0, 0, 1]
    assert found.scores.tolist() == pytest.approx([0.95, 0.9, 0.7])


def test_final_output_is_only_filtered_and_sorted() -> None:
    import numpy as np

    from edgebuild.steps._boxes import decode

    rows = np.array([[0, 0, 9, 9, 0.3, 1], [0, 0, 9, 9, 0.8, 0], [0, 0, 9, 9, 0.1, 0]], np.float32)
    found = decode(rows, classes=2, end2end=True, confidence=0.25, iou=0.7)
    assert found.classes.tolist() == [0, 1]
    assert found.corners.tolist() == [[0, 0, 9, 9]] * 2


@pytest.mark.parametrize("end2end", [True, False])
def test_nothing_found_is_no_box(end2end: bool) -> None:  # noqa: FBT001 - a parameter of the test
    import numpy as np

    from edgebuild.steps._boxes import decode, to_image

    output = np.zeros((300, 6) if end2end else (6, 84), np.float32)
    found = decode(output, classes=2, end2end=end2end, confidence=0.25, iou=0.7)
    assert to_image(found.corners, imgsz=(64, 64), **IMAGE).shape == (0, 4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch and what it imports
def test_boxes_are_those_of_ultralytics() -> None:
    import numpy as np
    import torch
    from ultralytics.utils import nms, ops

    from edgebuild.steps._boxes import decode, to_image

    rng = np.random.default_rng(0)
    output = np.concatenate(
        [rng.uniform(10, 54, (2, 400)), rng.uniform(2, 20, (2, 400)), rng.random((3, 400))]
    )
    output = output.astype(np.float32)
    theirs = nms.non_max_suppression(torch.tensor(output[None]), 0.25, 0.7)[0]
    ours = decode(output, classes=3, end2end=False, confidence=0.25, iou=0.7)
    assert np.allclose(ours.corners, theirs[:, :4].numpy(), atol=1e-4)
    assert ours.classes.tolist() == theirs[:, 5].int().tolist()
    mapped = ops.scale_boxes((64, 64), theirs[:, :4].clone(), (100, 200))
    assert np.allclose(to_image(ours.corners, imgsz=(64, 64), **IMAGE), mapped.numpy(), atol=1e-3)


def test_labels_of_boxes_outlines_and_poses_give_corners() -> None:
    def read(text: str, task: str = "detect") -> list[float]:
        ((index, corners),) = label_boxes(text, task=task, classes=3, **IMAGE)
        return [index, *corners]

    assert read("1 0.5 0.5 0.2 0.4\n") == pytest.approx([1, 80, 30, 120, 70])
    assert read("0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6", "segment") == pytest.approx([0, 20, 20, 60, 60])
    assert read("0 0.5 0.5 0.2 0.4 0.9 0.9 2", "pose") == pytest.approx([0, 80, 30, 120, 70])


def test_rows_that_are_no_objects_are_left_out() -> None:
    text = "3 0.5 0.5 0.2 0.4\nbolt 0.5 0.5 0.2 0.4\n0 0.5\n\n0.5 0.5 0.5 0.2 0.4\n"
    assert label_boxes(text, task="detect", classes=3, **IMAGE) == []
