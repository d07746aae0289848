from __future__ import annotations

import pytest

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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch and what it imports
def test_rotated_boxes_are_those_of_ultralytics() -> None:
    import numpy as np
    import torch
    from ultralytics.utils import nms, ops

    from edgebuild.steps._boxes import decode
    from edgebuild.steps._shapes import rotated_corners

    rng = np.random.default_rng(0)
    parts = [rng.uniform(10, 54, (2, 300)), rng.uniform(4, 20, (2, 300)), rng.random((2, 300))]
    output = np.concatenate([*parts, rng.uniform(-0.7, 2.3, (1, 300))]).astype(np.float32)
    theirs = nms.non_max_suppression(torch.tensor(output[None]), 0.25, 0.5, nc=2, rotated=True)[0]
    ours = decode(output, classes=2, end2end=False, confidence=0.25, iou=0.5, rotated=True)
    assert 20 < len(ours.scores) < 280
    assert np.allclose(ours.scores, theirs[:, 4].numpy())
    assert ours.classes.tolist() == theirs[:, 5].int().tolist()
    corners = ops.xywhr2xyxyxyxy(torch.cat([theirs[:, :4], theirs[:, 6:7]], dim=1))
    assert np.allclose(rotated_corners(ours), corners.numpy(), atol=1e-3)


def test_final_rotated_boxes_come_as_centre_and_size() -> None:
    import numpy as np

    from edgebuild.steps._boxes import decode
    from edgebuild.steps._shapes import rotated_corners

    rows = np.array([[50, 50, 20, 10, 0.8, 1, np.pi / 2]], np.float32)
    found = decode(rows, classes=2, end2end=True, confidence=0.25, iou=0.7, rotated=True)
    (corners,) = rotated_corners(found)
    assert sorted(corners.round(3).tolist()) == [[45, 40], [45, 60], [55, 40], [55, 60]]
