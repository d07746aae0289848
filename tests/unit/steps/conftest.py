"""Small images, datasets and models that the tests of the steps share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REPOSITORY = Path(__file__).resolve().parents[3]

_ZOO_SCRIPT = """
import shutil, sys, torch
from ultralytics import YOLO

# Random offsets and gains: an untrained model has none, and then all its biases are one shared tensor.
torch.manual_seed(0)
for name in ("yolo11n", "yolov8n", "yolo26n"):
    model = YOLO(f"{name}.yaml")
    for part in model.model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.bias, 0.0, 0.2)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    model.ckpt = {}
    model.save(f"{name}.pt")
model = YOLO("yolo11n-seg.yaml")
model.ckpt = {}
model.save("yolo11n-seg.pt")
"""


def _run(argv: Sequence[str], *, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(cwd),
    }
    return subprocess.run(
        argv, cwd=cwd, env=environment | variables, capture_output=True, text=True, check=False, timeout=600
    )


def run_step_in(
    cwd: Path, step: str, *arguments: object, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a step as its own process in a folder."""
    argv = [sys.executable, "-m", f"edgebuild.steps.{step}", *map(str, arguments)]
    return _run(argv, cwd=cwd, **variables)


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in a folder: ``run_python(cwd, "-c", "print(1)", PYTHONHASHSEED="1")``."""

    def run(cwd: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return _run([sys.executable, *map(str, arguments)], cwd=cwd, **variables)

    return run


@pytest.fixture(scope="session")
def run_step_at() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a step as its own process in a folder: ``run_step_at(cwd, "export", "--weights", ...)``."""
    return run_step_in


@pytest.fixture
def run_step(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a step as its own process: ``run_step([folder,] "export", ...)``, in ``tmp_path`` if not told."""

    def run(*arguments: object, cwd: Path = tmp_path, **variables: str) -> subprocess.CompletedProcess[str]:
        folder, words = (arguments[0], arguments[1:]) if isinstance(arguments[0], Path) else (cwd, arguments)
        return run_step_in(folder, str(words[0]), *words[1:], **variables)

    return run


@pytest.fixture(scope="session")
def write_image() -> Callable[..., Path]:
    """Write an image of smooth noise; the suffix chooses the format, ``size`` is height and width."""

    def write(path: Path, *, size: tuple[int, int] = (48, 64), seed: int = 0) -> Path:
        cv2 = pytest.importorskip("cv2")
        np = pytest.importorskip("numpy")
        noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        smooth = cv2.resize(noise, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
        assert cv2.imwrite(str(path), smooth)
        return path

    return write


@pytest.fixture(scope="session")
def write_tree(write_image: Callable[..., Path]) -> Callable[..., Path]:
    """Write a tree with one image per entry of ``labels``, which lists the classes to be seen in it."""

    def write(root: Path, labels: Sequence[Sequence[int]], *, seed: int = 0) -> Path:
        for index, classes in enumerate(labels):
            write_image(root / "images" / f"{index:03}.png", seed=seed * 1000 + index)
            label = root / "labels" / f"{index:03}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            rows = [f"{class_id} 0.5 0.5 0.{2 + row} 0.3" for row, class_id in enumerate(classes)]
            label.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return root

    return write


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., Path]:
    """Write the dataset file of a detection dataset."""

    def write(path: Path, names: Sequence[str] = ("bolt", "nut", "washer"), **more: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"names": list(names), "nc": len(names), "task": "detect"} | more
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def build_detector() -> Callable[..., Any]:
    """Build a detector of a dozen nodes: two feature maps, each with a box and a class convolution."""
    helper = pytest.importorskip("onnx.helper")
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    np = pytest.importorskip("numpy")
    onnx = pytest.importorskip("onnx")

    def build(*, metadata: Mapping[str, str] | None = None, size: int | str = 8, batch: int | str = 1) -> Any:
        random = np.random.default_rng(0)
        weights = {
            "stride": np.array(16, np.float32),
            "box_shape": np.array([0, 4, -1], np.int64),
            "class_shape": np.array([0, 2, -1], np.int64),
        }
        nodes = []

        def node(kind: str, sources: list[str], name: str, **attributes: Any) -> str:
            nodes.append(helper.make_node(kind, sources, [name], name=name, **attributes))
            return name

        def conv(source: str, name: str, outputs: int, inputs: int, stride: int = 1) -> str:
            weights[f"{name}.w"] = random.normal(size=(outputs, inputs, 1, 1)).astype(np.float32)
            weights[f"{name}.b"] = random.normal(size=(outputs,)).astype(np.float32)
            return node("Conv", [source, f"{name}.w", f"{name}.b"], name, strides=[stride, stride])

        stem = node("Relu", [conv("images", "stem", 8, 3)], "relu")
        maps = [stem, node("Relu", [conv(stem, "down", 8, 8, 2)], "relu2")]
        boxes, scores = [], []
        for level, source in enumerate(maps):
            hidden = node("Relu", [conv(source, f"hidden{level}", 8, 8)], f"act{level}")
            box, score = conv(hidden, f"box{level}", 4, 8), conv(source, f"class{level}", 2, 8)
            boxes.append(node("Reshape", [box, "box_shape"], f"flat_box{level}"))
            scores.append(node("Reshape", [score, "class_shape"], f"flat_class{level}"))
        pixels = node("Mul", [node("Concat", boxes, "boxes", axis=2), "stride"], "pixels")
        chance = node("Sigmoid", [node("Concat", scores, "classes", axis=2)], "chance")
        node("Concat", [pixels, chance], "output0", axis=1)
        count = 80 if size == 8 and batch == 1 else "anchors"
        graph = helper.make_graph(
            nodes, "detector",
            [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [batch, 3, size, size])],
            [helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, [batch, 6, count])],
            [numpy_helper.from_array(value, name) for name, value in sorted(weights.items())],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, dict(metadata or {}))
        return model

    return build


@pytest.fixture(scope="session")
def build_graph() -> Callable[..., Any]:
    """Build a graph of ``(type, inputs, output)``, each node named after its output; it is read, never run.

    The input is ``image``; ``matrix`` (4, 4), ``places`` (4, 1), ``scale`` and ``count`` are stored. A TopK
    has a second output, named ``<output>.1``.
    """
    helper = pytest.importorskip("onnx.helper")
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    np = pytest.importorskip("numpy")
    onnx = pytest.importorskip("onnx")
    stored = {
        "matrix": np.random.default_rng(0).random((4, 4), dtype=np.float32),
        "places": np.arange(4, dtype=np.float32).reshape(4, 1),
        "scale": np.array(8, np.float32),
        "count": np.array([4], np.int64),
    }

    def build(*nodes: tuple[str, list[str], str]) -> Any:
        outputs = [[name, f"{name}.1"] if kind == "TopK" else [name] for kind, _, name in nodes]
        made = [
            helper.make_node(kind, sources, names, name=names[0])
            for (kind, sources, _), names in zip(nodes, outputs, strict=True)
        ]
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            made, "graph", [value("image", onnx.TensorProto.FLOAT, [1, 4, 4])],
            [value(nodes[-1][2], onnx.TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in stored.items()],
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    return build


@pytest.fixture
def detector(tmp_path: Path, build_detector: Callable[..., Any]) -> Path:
    """The detector of ``build_detector`` as a file."""
    path = tmp_path / "detector.onnx"
    path.write_bytes(
        build_detector(metadata={"task": "detect", "names": "{0: 'a', 1: 'b'}"}).SerializeToString()
    )
    return path


@pytest.fixture(scope="session")
def zoo(
    tmp_path_factory: pytest.TempPathFactory, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> Path:
    """A folder with untrained weights: yolo11n.pt, yolov8n.pt, yolo26n.pt and yolo11n-seg.pt."""
    folder = tmp_path_factory.mktemp("zoo")
    done = run_python(folder, "-c", _ZOO_SCRIPT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def exported(zoo: Path, run_step_at: Callable[..., subprocess.CompletedProcess[str]]) -> Path:
    """The untrained yolo11n as ``model.onnx`` with ``model.json``, 64 x 64 pixels, simplified."""
    done = run_step_at(
        zoo, "export", "--weights", "yolo11n.pt", "--task", "detect", "--imgsz", 64, 64, "--simplify",
        "--model", "model.onnx", "--info", "model.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return zoo / "model.onnx"
