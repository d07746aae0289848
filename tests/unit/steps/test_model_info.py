from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import _model_info

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.yolo


def test_describes_a_detector(build_detector: Callable[..., Any]) -> None:
    model = build_detector(metadata={"names": "{0: 'bolt', 1: 'nut'}", "stride": "16"})
    info = _model_info.describe_model(model, task="detect", name="x", imgsz=(8, 8), batch=1)
    assert info == {
        "schema": 1, "task": "detect", "names": ["bolt", "nut"], "imgsz": [8, 8], "stride": 16, "batch": 1,
        "dynamic": False, "opset": 17, "end2end": False, "head": {"kind": "full"},
        "input": {
            "name": "images", "shape": [1, 3, 8, 8], "dtype": "float32", "layout": "NCHW", "channels": "RGB",
            "scale": 1 / 255, "letterbox": {"long_side": 8, "pad": 114, "center": True},
        },
        "outputs": [{
            "name": "output0", "shape": [1, 6, 80], "dtype": "float32",
            "layout": "[batch, 4+classes, anchors]: xywh in pixels, then class scores",
        }],
    }  # fmt: skip


def test_the_license_is_what_the_file_says(build_detector: Callable[..., Any]) -> None:
    model = build_detector(metadata={"license": "AGPL-3.0 License"})
    info = _model_info.describe_model(model, task="detect", name="x", imgsz=(8, 8), batch=1)
    assert info["license"] == "AGPL-3.0 License"


def test_a_classifier_sees_the_middle_of_an_image(build_detector: Callable[..., Any]) -> None:
    info = _model_info.describe_model(build_detector(), task="classify", name="x", imgsz=(8, 8), batch=1)
    assert info["input"]["crop"] == {"short_side": True, "center": True}
    assert "letterbox" not in info["input"]


def test_keypoints_have_a_shape_where_the_file_says_it(build_detector: Callable[..., Any]) -> None:
    for metadata, shape in (({"kpt_shape": "[17, 3]"}, [17, 3]), ({}, None)):
        model = build_detector(metadata=metadata)
        info = _model_info.describe_model(model, task="pose", name="x", imgsz=(8, 8), batch=1)
        assert info.get("kpt_shape") == shape


def test_a_dynamic_model_is_described_with_the_sizes_to_use(build_detector: Callable[..., Any]) -> None:
    model = build_detector(batch="batch", size="side")
    info = _model_info.describe_model(model, task="detect", name="x", imgsz=(64, 96), batch=2)
    assert (info["dynamic"], info["imgsz"], info["batch"]) == (True, [64, 96], 2)
    assert info["input"]["shape"] == ["batch", 3, "side", "side"]
    assert (info["names"], info["stride"]) == ([], 32)


@pytest.mark.parametrize(
    ("shape", "metadata", "end2end"),
    [
        ([1, 300, 6], {}, True),
        ([1, 84, 8400], {}, False),
        ([1, 84, 6], {"end2end": "False"}, False),
        ([1, 84, 6], {"end2end": "True"}, True),
    ],
)
def test_knows_final_detections_from_candidates(
    build_detector: Callable[..., Any], shape: list[int], metadata: dict[str, str], *, end2end: bool
) -> None:
    model = build_detector(metadata=metadata)
    for dim, size in zip(model.graph.output[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size
    assert _model_info.is_end2end(model, task="detect") is end2end


@pytest.mark.parametrize(
    ("index", "task", "end2end", "words"),
    [
        (0, "detect", True, "[batch, detections, 6]: xyxy in pixels, score, class"),
        (0, "segment", False, "then class scores, then mask coefficients"),
        (1, "segment", False, "mask prototypes"),
        (0, "obb", True, "xywh in pixels, score, class, then the angle"),
        (0, "classify", False, "[batch, classes]: probabilities"),
        (3, "detect", False, "unknown"),
    ],
)
def test_says_how_outputs_are_laid_out(index: int, task: str, words: str, *, end2end: bool) -> None:
    assert words in _model_info.describe_output(index, task=task, end2end=end2end)
