from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.document.parse import parse
from edgebuild.manifest.checks import check_model, check_targets
from edgebuild.manifest.splits import Base

if TYPE_CHECKING:
    from pathlib import Path


def model(folder: Path, text: str) -> list[str]:
    node, _ = parse(f"{{model: {text}, dataset: {{data: d}}}}", file="m.yaml")
    return [problem.message for problem in check_model(node, Base(folder=folder, shown=""))]


@pytest.mark.parametrize(
    ("base", "task"),
    [
        ("yolo11n.yaml", "detect"), ("yolov8s.yaml", "detect"), ("yolov8n-p2.yaml", "detect"),
        ("yolo12x.yaml", "detect"),
        ("yolo26n.yaml", "detect"), ("yolov10b.yaml", "detect"), ("rtdetr-l.yaml", "detect"),
        ("yolo11n-seg.yaml", "segment"), ("yolov8n-pose-p6.yaml", "pose"), ("yolo11n-cls.yaml", "classify"),
        ("yolo11n-obb.yaml", "obb"),
    ],
)  # fmt: skip
def test_known_architectures_need_no_file(tmp_path: Path, base: str, task: str) -> None:
    assert model(tmp_path, f"{{train: {{base: {base}}}, task: {task}}}") == []


@pytest.mark.parametrize(
    ("base", "task"),
    [("yolo11n.yaml", "segment"), ("yolo11n-seg.yaml", "detect"), ("yolo11n-pose.yaml", "obb")],
)
def test_an_architecture_of_another_task_is_refused(tmp_path: Path, base: str, task: str) -> None:
    assert model(tmp_path, f"{{train: {{base: {base}}}, task: {task}}}") == [
        f"{base} is no architecture for the task {task}"
    ]


def test_a_file_of_ones_own_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text("nc: 2")
    (tmp_path / "start.pt").write_bytes(b"weights")

    assert model(tmp_path, "{train: {base: ours.yaml}, task: segment}") == []
    assert model(tmp_path, "{train: {base: start.pt}, task: segment}") == []
    assert model(tmp_path, "{train: {base: none/yolo11n.yaml}, task: detect}") == [
        "no such file, and no known architecture: none/yolo11n.yaml"
    ]


def test_weights_may_be_a_link_but_must_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "real.onnx").write_bytes(b"model")
    (tmp_path / "link.onnx").symlink_to("real.onnx")
    (tmp_path / "broken.onnx").symlink_to("gone.onnx")
    (tmp_path / "null.onnx").symlink_to("/dev/null")

    assert model(tmp_path, "{weights: link.onnx, task: detect}") == []
    assert model(tmp_path, "{weights: broken.onnx, task: detect}") == ["no such file: broken.onnx"]
    assert model(tmp_path, "{weights: null.onnx, task: detect}") == ["null.onnx is not a regular file"]


def test_base_weights_must_be_trainable(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"model")

    assert model(tmp_path, "{train: {base: model.onnx}, task: detect}") == ["model.onnx is not a .pt file"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epochs", "has a place of its own"),
        ("amp", "edgebuild sets it itself"),
        ("plots", "edgebuild sets it itself"),
    ],
)
def test_what_training_sets_itself_is_refused_before_it_trains(
    tmp_path: Path, name: str, message: str
) -> None:
    given = f"{{train: {{base: yolo11n.yaml, args: {{{name}: 1, lr0: 0.01}}}}, task: detect}}"
    assert model(tmp_path, given) == [message]


def test_a_target_needs_a_toolchain_and_a_device_that_exists() -> None:
    node, _ = parse(
        "{targets: {a: {device: pi}, b: {toolchain: x, device: lab}}, devices: {lab: {}}}", file="m.yaml"
    )

    assert [str(problem) for problem in check_targets(node)] == [
        "m.yaml:1:12: targets.a: 'toolchain' is missing; add toolchain: NAME, here or under defaults:",
        "m.yaml:1:24: targets.a.device: there is no device 'pi'; devices: lab",
    ]
