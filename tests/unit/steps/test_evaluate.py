from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps._dataset import Dataset
from edgebuild.steps._protocol import check_model, images_digest, model_names
from edgebuild.steps._step import StepFailure
from tests.unit.steps.conftest import run_step_in
from tests.unit.steps.fixtures_evaluate import NAMES, evaluate_arguments, write_case

if TYPE_CHECKING:
    from collections.abc import Callable

INFO = {"task": "detect", "names": list(NAMES), "imgsz": [64, 64], "dynamic": False}
DATASET = Dataset(names=NAMES, task="detect")

CASES: dict[str, dict[str, Any]] = {
    "detect": {},
    "detect-rectangle": {"imgsz": (64, 96)},
    "detect-end2end": {"end2end": True},
    "detect-batch4": {"batch": 4},
    "segment": {"task": "segment"},
    "pose": {"task": "pose"},
    "obb": {"task": "obb"},
    "classify": {"task": "classify"},
}

BOTH_ROUTES = """
import json, os, sys
from pathlib import Path
from edgebuild.steps import evaluate
from edgebuild.steps._dataset import describe_for_ultralytics, read_dataset
from tests.unit.steps.fixtures_evaluate import evaluate_arguments
from ultralytics import YOLO

root = Path.cwd()
for case in json.loads(sys.argv[1]):
    os.chdir(root / case)
    info = json.loads(Path("in/info/model.json").read_text())
    evaluate.main(evaluate_arguments(info))
    dataset = read_dataset("in/dataset.json")
    data = describe_for_ultralytics(dataset, into="theirs", validation="in/validation")
    found = YOLO("in/artifact/model.onnx", task=info["task"]).val(
        data=data, imgsz=info["imgsz"], conf=0.001, iou=0.7, max_det=300, batch=info["batch"], rect=False,
        plots=False, workers=0, device="cpu", project=str(root / case / "runs"), verbose=False)
    theirs = dict(found.results_dict)
    if info["task"] != "classify":
        for place, index in enumerate(found.box.ap_class_index):
            precision, recall, ap50, ap = found.box.class_result(place)
            theirs |= {f"class/{index}": ap, f"class50/{index}": ap50, f"recall/{index}": recall}
    Path("theirs.json").write_text(json.dumps({key: float(value) for key, value in theirs.items()}))
"""

THEIR_NAMES = {
    "metrics/mAP50-95(B)": "map50_95", "metrics/mAP50(B)": "map50", "metrics/precision(B)": "precision",
    "metrics/recall(B)": "recall", "metrics/mAP50-95(M)": "map50_95_mask",
    "metrics/mAP50(M)": "map50_mask", "metrics/mAP50-95(P)": "map50_95_pose",
    "metrics/mAP50(P)": "map50_pose",
    "metrics/accuracy_top1": "top1", "metrics/accuracy_top5": "top5",
    "class50/0": "map50/bolt", "class50/2": "map50/washer", "recall/1": "recall/nut",
    "class/0": "map50_95/bolt", "class/1": "map50_95/nut", "class/2": "map50_95/washer",
}  # fmt: skip


@pytest.fixture(scope="module")
def both_routes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case scored by us and by Ultralytics, in one process because importing torch takes longest."""
    root = tmp_path_factory.mktemp("routes")
    for case, arguments in CASES.items():
        write_case(root / case, **arguments)
    variables = {
        "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(root),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", BOTH_ROUTES, json.dumps(list(CASES))],
        cwd=root, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return root


def metrics_of(folder: Path, name: str = "out/metrics.json") -> dict[str, float]:
    document = json.loads((folder / name).read_text(encoding="utf-8"))
    return {metric["name"]: metric["value"] for metric in document["metrics"]}


@pytest.mark.yolo
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_metrics_are_those_of_ultralytics(both_routes: Path, case: str) -> None:
    ours = metrics_of(both_routes / case)
    said = json.loads((both_routes / case / "theirs.json").read_text(encoding="utf-8"))
    theirs = {THEIR_NAMES[key]: value for key, value in said.items() if key in THEIR_NAMES}
    assert theirs
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=1e-6)
    main = ours["top1" if case == "classify" else "map50_95"]
    assert 0.02 < main < 0.98, "a metric at its end would hide a difference"


@pytest.mark.yolo
@pytest.mark.slow
def test_two_runs_leave_equal_bytes_and_touch_nothing_else(
    tmp_path: Path, run_step: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    info = write_case(tmp_path / "first")
    write_case(tmp_path / "second")
    home = tmp_path / "home"
    home.mkdir()
    for run in ("first", "second"):
        make_inputs_links(tmp_path / run)
        before = listing(tmp_path / run / "in")
        result = run_step("evaluate", *evaluate_arguments(info), cwd=tmp_path / run, HOME=str(home))
        assert result.returncode == 0, result.stderr
        assert listing(tmp_path / run / "in") == before
        assert "@progress 10/10 images" in result.stdout
    assert list(home.iterdir()) == []
    for name in ("metrics.json", "golden.npz"):
        assert (tmp_path / "first/out" / name).read_bytes() == (tmp_path / "second/out" / name).read_bytes()


def make_inputs_links(root: Path) -> None:
    """Turn the inputs into links to files elsewhere, as the core hands them to a step."""
    (root / "in").rename(root / "origin")
    for file in sorted((root / "origin").rglob("*")):
        place = root / "in" / file.relative_to(root / "origin")
        if file.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file)


def listing(root: Path) -> set[str]:
    return {f"{file.relative_to(root)} {file.stat().st_size}" for file in root.rglob("*")}


@pytest.mark.yolo
@pytest.mark.slow
def test_damaged_inputs_end_the_step_and_are_never_rewritten(
    tmp_path: Path, run_step: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    import cv2
    import numpy as np

    info = write_case(tmp_path)
    images = tmp_path / "in/validation/images/val"
    (tmp_path / "in/validation/labels/val/03.txt").write_text("17 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    encoded = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    odd = encoded + bytes(2)  # Ultralytics rewrites JPEG files that do not end as they should
    (images / "odd.jpg").write_bytes(odd)
    make_inputs_links(tmp_path)

    result = run_step("evaluate", *evaluate_arguments(info), cwd=tmp_path)

    assert result.returncode == 3
    assert "1 validation images cannot be used" in result.stderr
    assert "03.png" in result.stderr
    assert not (tmp_path / "out/metrics.json").exists()
    assert (tmp_path / "origin/validation/images/val/odd.jpg").read_bytes() == odd


@pytest.mark.yolo
@pytest.mark.slow
def test_a_runtime_file_takes_the_place_of_onnx_runtime(both_routes: Path, tmp_path: Path) -> None:
    case = both_routes / "detect-batch4"
    info = json.loads((case / "in/info/model.json").read_text(encoding="utf-8"))
    runtime = tmp_path / "runtime.py"
    runtime.write_text(
        "from edgebuild.steps import _ort\n"
        "def load(artifact, info, threads):\n"
        "    model = _ort.load(artifact, info, threads)\n"
        "    def run(images):\n"
        "        assert len(images) == info['batch'] == 4\n"
        "        return model(images)\n"
        "    return run\n",
        encoding="utf-8",
    )
    arguments = evaluate_arguments(info, metrics="out/again.json", golden="out/again.npz")
    result = run_step_in(case, "evaluate", *arguments, "--runtime", runtime)

    assert result.returncode == 0, result.stderr
    assert metrics_of(case, "out/again.json") == metrics_of(case)


@pytest.mark.yolo
@pytest.mark.slow
def test_golden_file_holds_one_input_and_what_the_artifact_makes_of_it(both_routes: Path) -> None:
    import numpy as np
    import onnxruntime

    case = both_routes / "detect-rectangle"
    golden = np.load(case / "out/golden.npz")
    assert sorted(golden) == ["image_u8", "output_0"]
    assert golden["image_u8"].shape == (3, 64, 96)

    from edgebuild.steps._letterbox import load_tensor

    image = golden["image_u8"].astype(np.float32) / np.float32(255)
    assert np.array_equal(image, load_tensor(case / "in/validation/images/val/00.png", (64, 96)))
    session = onnxruntime.InferenceSession(str(case / "in/artifact/model.onnx"))
    assert np.array_equal(session.run(None, {"images": image[None]})[0], golden["output_0"])


@pytest.mark.yolo
def test_golden_input_that_is_no_picture_is_kept_as_it_is() -> None:
    import numpy as np

    from edgebuild.steps.evaluate import golden_arrays

    image = np.full((1, 3, 2, 2), 0.3337, np.float32)
    arrays = golden_arrays(image, [np.zeros((1, 2)), np.ones((1, 3))])
    assert sorted(arrays) == ["image", "output_0", "output_1"]
    assert np.array_equal(arrays["image"], image[0])


@pytest.mark.yolo
def test_npz_files_depend_on_the_arrays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from edgebuild.steps.evaluate import write_npz

    arrays: dict[str, Any] = {"b": np.arange(6).reshape(2, 3).T, "a": np.zeros(3, np.uint8)}
    write_npz(tmp_path / "one.npz", arrays)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    write_npz(tmp_path / "two.npz", arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert np.array_equal(np.load(tmp_path / "one.npz")["b"], arrays["b"])


def test_model_and_protocol_that_fit_are_accepted() -> None:
    check_model(INFO, DATASET, task="detect", imgsz=(64, 64))
    check_model(INFO | {"dynamic": True}, DATASET, task="detect", imgsz=(320, 320))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["bolt", "nut"]}, "the model has 2 classes, the dataset 3"),
        ({"names": ["bolt", "washer", "nut"]}, "class 1 is 'washer' in the model and 'nut' in the dataset"),
        ({"task": "segment"}, "the model is for task 'segment', the protocol for 'detect'"),
        ({"imgsz": [64, 96]}, "built for 64x96 pixels, the protocol says 64x64"),
    ],
)
def test_model_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StepFailure, match=message):
        check_model(INFO | change, DATASET, task="detect", imgsz=(64, 64))


def test_unknown_task_is_refused() -> None:
    dataset = Dataset(names=NAMES, task="depth")
    with pytest.raises(StepFailure, match="task 'depth' is not supported yet"):
        check_model(INFO | {"task": "depth"}, dataset, task="depth", imgsz=(64, 64))


def test_names_may_be_a_mapping_with_ids_as_text() -> None:
    names = {str(index): f"c{index}" for index in range(12)}
    assert model_names({"names": names})[10] == "c10"


def test_images_digest_sees_content_names_and_labels_but_not_the_place(tmp_path: Path) -> None:
    def digest(root: str, *, image: bytes = b"x", name: str = "a.png", label: str = "0 1") -> str:
        for folder, file, content in (("images", name, image), ("labels", "a.txt", label.encode())):
            (tmp_path / root / folder).mkdir(parents=True)
            (tmp_path / root / folder / file).write_bytes(content)
        return images_digest(tmp_path / root)

    same = digest("one")
    assert digest("two") == same
    assert len({same, digest("3", image=b"y"), digest("4", name="a.jpg"), digest("5", label="1 1")}) == 4
