"""Every task through the whole chain with the command line, and its metrics beside Ultralytics' own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.e2e.drawn import SIDE, write_drawn
from tests.e2e.workspace import make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workspace import Ran, Workspace

pytestmark = [pytest.mark.yolo, pytest.mark.slow]

SUFFIXES = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb", "classify": "-cls"}

MAIN = {
    "detect": ("map50_95", "metrics/mAP50-95(B)"),
    "segment": ("map50_95_mask", "metrics/mAP50-95(M)"),
    "pose": ("map50_95_pose", "metrics/mAP50-95(P)"),
    "obb": ("map50_95", "metrics/mAP50-95(B)"),
    "classify": ("top1", "metrics/accuracy_top1"),
}
"""What a task is judged by: our name, and that of Ultralytics."""

MANIFEST = """\
edgebuild: 1
name: drawn
model: {{weights: tiny.pt, task: {task}, imgsz: {side}}}
dataset: {{data: {data}}}
benchmark: {{warmup: 1, runs: 3}}
acceptance:
  {metric}: {{max_drop: 1.0}}
targets:
  fp32: {{toolchain: onnxruntime, recipe: fp32}}
  int8: {{toolchain: onnxruntime, recipe: int8, cpu: x86-vnni}}
"""

# An untrained model finds nothing that is there. So what it finds becomes the label, every second object of
# it, and its metrics lie between 0 and 1.
PREPARE = """
import json, sys
from pathlib import Path
import torch, yaml
from edgebuild.steps._letterbox import load_tensor
from ultralytics import YOLO
from ultralytics.nn.tasks import yaml_model_load

name, task, side = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.manual_seed(3)
settings = yaml_model_load(name)
settings["scales"] = {"t": [0.5, 0.125, 1024]}  # a quarter of the smallest one
settings["scale"], settings["nc"] = "t", 2
if task == "pose":
    settings["kpt_shape"] = [2, 3]
suffix = name.removeprefix("yolo11n").removesuffix(".yaml")
settings.pop("yaml_file", None)
Path(f"tiny{suffix}.yaml").write_text(yaml.safe_dump(settings))
model = YOLO(f"tiny{suffix}.yaml", task=task)
model.model.names = {0: "bar", 1: "disc"}
for part in model.model.modules():
    if isinstance(part, torch.nn.BatchNorm2d):
        torch.nn.init.normal_(part.bias, 0.0, 0.2)
        torch.nn.init.uniform_(part.weight, 0.5, 1.5)
        part.momentum = 1.0
# Statistics of these images: with those of an untrained model all places of all images look alike.
images = [torch.from_numpy(load_tensor(path, (side, side))) for path in sorted(Path("drawn").rglob("*.png"))]
with torch.no_grad():
    model.model.train()(torch.stack(images))
model.model.eval()
head = model.model.model[-1]
for level, branch in enumerate(getattr(head, "cv3", ())):
    branch[-1].weight.data *= 2.0
    torch.nn.init.constant_(branch[-1].bias, -2.0 - level)  # else no score reaches the protocol's confidence
for branch in getattr(head, "cv2", ()):
    branch[-1].weight.data *= 0.1  # small boxes, which lie in the image
    branch[-1].bias.data = (-2 * (torch.arange(16) - 1.5) ** 2).repeat(4)
for branch in head.cv4 if task == "pose" else ():
    branch[-1].weight.data *= 0.1  # keypoints that lie in the boxes, and are visible
    branch[-1].bias.data[2::3] = 3.0
model.ckpt = {}
model.save("tiny.pt")
if task != "classify":
    model = YOLO("tiny.pt")
    for image in sorted(Path("drawn/images").rglob("*.png")):
        (found,) = model.predict(str(image), imgsz=side, conf=0.001, iou=0.3, rect=False, verbose=False)
        corners = (found.boxes.xyxy if found.obb is None else found.obb.xyxyxyxy).reshape(len(found), -1, 2)
        limits = torch.tensor(found.orig_shape[::-1]) - 1
        inside = ((corners > 1) & (corners < limits)).flatten(1).all(1)
        label = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")
        label.unlink()
        found[inside][:8:2].save_txt(label)
        assert label.is_file(), f"nothing was found in {image}"
"""

THEIRS = """
import json, sys
from pathlib import Path
from edgebuild.steps._dataset import describe_for_ultralytics, read_dataset
from ultralytics import YOLO

model, task, side, validation = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
dataset = read_dataset("dataset.json")
data = describe_for_ultralytics(dataset, into="theirs", validation=validation)
found = YOLO(model, task=task).val(
    data=data, imgsz=side, conf=0.001, iou=0.7, max_det=300, batch=1, rect=False, plots=False, workers=0,
    device="cpu", project=str(Path("runs").absolute()), verbose=False)
Path("theirs.json").write_text(json.dumps({key: float(value) for key, value in found.results_dict.items()}))
"""

# What Ultralytics finds in the validation images, as the program of a package prints it.
PREDICT = """
import json, sys
from pathlib import Path
import numpy as np
from ultralytics import YOLO

model, task, side, validation = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
said = {}
for image in sorted(Path(validation).rglob("*.png")):
    (found,) = YOLO(model, task=task).predict(
        str(image), imgsz=side, conf=0.05, iou=0.7, rect=False, retina_masks=True, verbose=False)
    if task == "classify":
        best = [(found.probs.data[index], index) for index in found.probs.top5]
        rows = [{"label": found.names[index], "score": float(score)} for score, index in best]
    else:
        boxes = found.boxes if found.obb is None else found.obb
        rows = [{"label": found.names[int(label)], "score": float(score)}
                for label, score in zip(boxes.cls, boxes.conf)]
        more = {"box": boxes.xyxy} if found.obb is None else {"xywhr": boxes.xywhr}
        more |= {"keypoints": found.keypoints.data} if task == "pose" else {}
        more |= {"area": found.masks.data.sum((1, 2))} if task == "segment" and found.masks else {}
        for name, values in more.items():
            for row, value in zip(rows, values):
                row[name] = value.tolist()
    said[str(image)] = rows
Path("predicted.json").write_text(json.dumps(said))
"""


def in_python(workspace: Workspace, program: str, *words: object) -> None:
    variables = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(workspace.cache)}
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=workspace.folder, env=workspace.environment(variables), capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def prepare(folder: Path, task: str) -> Workspace:
    """Write drawn images, an untrained model of a task, labels that it finds half of, and the manifest."""
    workspace = make_workspace(folder)
    workspace.cache.mkdir(parents=True, exist_ok=True)
    data = write_drawn(workspace.folder / "drawn", task=task, images={"train": 8, "val": 6})
    text = MANIFEST.format(
        task=task, side=SIDE, data=os.path.relpath(data, workspace.folder), metric=MAIN[task][0]
    )
    workspace.manifest.write_text(text, encoding="utf-8")
    in_python(workspace, PREPARE, f"yolo11n{SUFFIXES[task]}.yaml", task, SIDE)
    extra: dict[str, Any] = {"kpt_shape": [2, 3]} if task == "pose" else {}
    document = {"names": ["bar", "disc"], "nc": 2, "task": task} | extra
    (workspace.folder / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    return workspace


def metrics(ran: Ran, target: str) -> dict[str, float]:
    return {one["name"]: one["value"] for one in ran.target(target)["metrics"]}


def starter(workspace: Workspace, target: str, images: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Run the program in a target's package; return what it prints of each image."""
    package = workspace.folder / "unpacked"
    with tarfile.open(workspace.folder / f"dist/drawn/drawn-{target}-0.0.0.tar.gz") as file:
        file.extractall(package, filter="data")
    done = subprocess.run(
        [sys.executable, "run.py", "--confidence", "0.05", *images],
        cwd=package, env=workspace.environment({}), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found[next(reversed(found))].append(json.loads(line))
        else:
            found[line.rpartition(": ")[0]] = []
    return found


def assert_same_objects(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Compare what a package's program prints of an image with what Ultralytics finds in it."""
    left = list(theirs)
    for one in ours:
        if left and _is_same(one, left[0]):
            assert one.get("area", 0) == pytest.approx(left.pop(0).get("area", 0), rel=0.1, abs=20)
        else:  # Ultralytics predicts no object whose mask is empty, though it counts them when it validates
            assert one.get("area", 99) < 20, (one, left[:1])
    assert not left


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    numbers = other.keys() - {"label", "score", "area"}
    return (
        one["label"] == other["label"]
        and abs(one["score"] - other["score"]) < 2e-3
        and all(np.allclose(one[name], other[name], rtol=0, atol=0.11) for name in numbers)
    )


def spoil_a_label(workspace: Workspace, task: str) -> None:
    """Label one validation image otherwise."""
    if task == "classify":
        (workspace.folder / "drawn/val/bar/000.png").rename(workspace.folder / "drawn/val/disc/000.png")
    else:
        (workspace.folder / "drawn/labels/val/000.txt").write_text("", encoding="utf-8")


@pytest.mark.parametrize("task", MAIN)
def test_a_task_goes_through_the_chain_and_scores_as_in_ultralytics(tmp_path: Path, task: str) -> None:
    workspace = prepare(tmp_path, task)

    ran = workspace.run()

    assert ran.done.code == 0, ran.done.err
    ours, theirs = MAIN[task]
    model = next((workspace.folder / "build").rglob("fp32/model.onnx"))
    validation = "drawn/val" if task == "classify" else "drawn/images/val"
    in_python(workspace, THEIRS, model, task, SIDE, validation)
    said = json.loads((workspace.folder / "theirs.json").read_text(encoding="utf-8"))
    value = metrics(ran, "fp32")[ours]
    assert value == pytest.approx(said[theirs], abs=2e-4)
    assert 0.02 < value < 0.98, "a metric at its end would hide a difference"
    in_python(workspace, PREDICT, model, task, SIDE, workspace.folder / validation)
    predicted = json.loads((workspace.folder / "predicted.json").read_text(encoding="utf-8"))
    assert sum(map(len, predicted.values())) > 20 or task == "classify"
    printed = starter(workspace, "fp32", list(predicted))
    for image, objects in predicted.items():
        assert_same_objects(printed[image], objects)
    assert 0 <= metrics(ran, "int8")[ours] <= 1
    pictures = (workspace.folder / "build/drawn/report.html").read_text(encoding="utf-8")
    drawn = {"segment": "<polygon", "obb": "<polygon", "pose": "<circle", "classify": "labelled"}
    assert drawn.get(task, "<rect") in pictures
    assert len(list((workspace.folder / "dist").rglob("*.tar.gz"))) == 2

    assert workspace.run().ran == set()
    spoil_a_label(workspace, task)
    again = workspace.run()
    # The two are one validation: whichever comes first runs, the other finds its result.
    assert again.ran & {"baseline", "fp32/validate"}
    assert not {"export", "preprocess", "quantize"} & again.ran
    assert metrics(again, "fp32")[ours] != value
