"""Axelera: what axcompile and Ultralytics' exporter are told, and a strict fake that notices mistakes."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgebuild.environment.probe import probe_tool
from edgebuild.perform.collect import find
from edgebuild.toolchain.load import load_toolchain, resolve_options
from tests.fakes.tiny_onnx import tiny_onnx
from tests.unit.vendor_bench import IMAGES, IMGSZ, SEARCH, VendorBench, check_golden, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgebuild.action import Output

pytestmark = pytest.mark.yolo  # calibration images are written with OpenCV

AXELERA = load_toolchain("axelera", SEARCH)


@pytest.fixture
def bench(tmp_path: Path) -> VendorBench:
    return VendorBench(tmp_path, "axelera")


def proof(bench: VendorBench) -> list[str]:
    """Return the outputs of a compilation that are as they must be."""

    def good(output: Output) -> bool:
        path = bench.root / "out" / output.path
        if output.tree:
            return all((path / name).is_file() for name in output.holds)
        return path.is_file() and bool(re.search(output.matches, path.read_text(encoding="utf-8")))

    return [output.role for output in AXELERA.steps["compile"].outputs if good(output)]


def test_the_commands_are_what_they_were(golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, "axelera")


def test_options_become_keys_of_the_configuration() -> None:
    step = render_step(
        *("axelera", "int8", "compile"),
        aipu_cores_used=4,
        multicore_mode="batch",
        resources_used=0.25,
        mvm_utilization_limit=0.5,
        tiling_depth=6,
    )
    assert json.loads(step.files["conf.json"]) == {
        "quantization_scheme": "per_tensor_min_max",
        "aipu_cores_used": 4,
        "multicore_mode": "batch",
        "mvm_utilization_limit": 0.5,
        "tiling_depth": 6,
        "resources_used": 0.25,
    }


def test_the_fake_takes_what_is_rendered(bench: VendorBench) -> None:
    done = bench.step("int8", "compile", aipu_cores_used=4, mvm_utilization_limit=0.75, tiling_depth=6)
    assert done.returncode == 0, done.stdout
    assert proof(bench) == ["model", "report"]
    written = json.loads((bench.root / "out/axelera/compiled_model/model.json").read_text(encoding="utf-8"))
    assert written["dataset_len"] == IMAGES


@pytest.mark.parametrize(
    ("mode", "left"), [("fail", []), ("no-output", []), ("garbage", ["report"]), ("ok", ["model", "report"])]
)
def test_an_exit_code_of_0_proves_nothing(bench: VendorBench, mode: str, left: list[str]) -> None:
    done = bench.step("int8", "compile", mode=mode)
    assert done.returncode == 0
    assert proof(bench) == left


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"--imageset": "--images"}, "unrecognized arguments: --images"),
        ({"NCHW": "CHW"}, "invalid choice: 'CHW'"),
        ({"RGB": "rgb"}, "invalid choice: 'rgb'"),
        ({"out/axelera": "/tmp/axelera"}, "an absolute output path"),
        ({"in/toolchain/transform.py": "absent.py"}, "--transform absent.py does not exist"),
        ({str(IMAGES): str(IMAGES + 1)}, f"holds {IMAGES} images, not {IMAGES + 1}"),
        ({"1,3,32,64": "1,3,64,64"}, "and the transform does not resize"),
        ({"in/model/model.onnx": "absent.onnx"}, "ONNX_GRAPH_CLEANER_ERROR"),
        ({'"aipu_cores_used": 1': '"aipu_cores_used": 5'}, "5 is not a value of aipu_cores_used"),
        ({'"resources_used": 1.0': '"resources_used": 0.3'}, "0.3 is not a value of resources_used"),
        ({"multicore_mode": "multicore"}, "CompilerConfig has no property 'multicore'"),
        ({"per_tensor_min_max": "per_channel"}, "'per_channel' is not a value of quantization_scheme"),
    ],
)
def test_the_fake_notices_what_is_wrong(bench: VendorBench, change: dict[str, str], text: str) -> None:
    done = bench.step("int8", "compile", change=change)
    assert done.returncode != 0
    assert text in done.stdout
    assert proof(bench) == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"opset": 18}, "opset 18 is not supported"),
        ({"op": "DequantizeLinear"}, "is quantized already"),
        ({"shape": (1, 3, 64, 64)}, "does not fit"),
    ],
)
def test_the_fake_notices_models_that_axcompile_does_not_take(
    bench: VendorBench, given: dict[str, Any], text: str
) -> None:
    bench.model(tiny_onnx(**{"shape": (1, 3, *IMGSZ), **given}))
    assert text in bench.step("int8", "compile").stdout


def test_calibration_images_become_what_the_model_takes(bench: VendorBench) -> None:
    pytest.importorskip("torch")
    image = pytest.importorskip("PIL.Image")
    transform = runpy.run_path(str(AXELERA.folder / "transform.py"))["get_preprocess_transform"]
    path = bench.root / "in" / "calibration" / "calibration" / "000002.png"
    with image.open(path) as opened:
        tensor = transform(opened).numpy()
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, 256, (IMAGES, 3, *IMGSZ)).astype(np.float32) / np.float32(255)
    assert tensor.dtype == np.float32
    assert np.array_equal(tensor, wanted[2])


@pytest.mark.parametrize(
    ("task", "keypoints", "more"), [("detect", None, {}), ("pose", (17, 3), {"kpt_shape": [17, 3]})]
)
def test_the_exporter_is_told_which_images_to_calibrate_with(
    bench: VendorBench, monkeypatch: pytest.MonkeyPatch, task: str, keypoints: Any, more: dict[str, Any]
) -> None:
    file = _written(bench, monkeypatch, task, keypoints)
    data = json.loads(file.read_text(encoding="utf-8"))
    images = sorted((bench.root / data.pop("path") / data["val"]).iterdir())
    assert len(images) == IMAGES
    assert images[2].read_bytes() == (_calibration(bench) / "000002.png").read_bytes()
    assert data == {"train": "images", "val": "images", "names": {"0": "0", "1": "1"}, **more}


def test_for_classification_the_exporter_finds_folders_of_classes(
    bench: VendorBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _written(bench, monkeypatch, "classify")
    for split in ("train", "val"):
        assert len(list((folder / split / "0").glob("*.png"))) == IMAGES
    assert sorted(path.suffix for path in _calibration(bench).iterdir()) == [".png"] * IMAGES


def _calibration(bench: VendorBench) -> Path:
    return bench.root / "in" / "calibration" / "calibration"


def _written(
    bench: VendorBench, monkeypatch: pytest.MonkeyPatch, task: str, keypoints: tuple[int, int] | None = None
) -> Path:
    """Return what the exporter is pointed at, written where the step runs."""
    monkeypatch.chdir(bench.root)
    program = runpy.run_path(str(AXELERA.folder / "export_axm.py"))
    text = render_step("axelera", "ultralytics", "export_axm").files["dataset.json"]
    (bench.root / "dataset.json").write_text(text, encoding="utf-8")
    made: Path = program["write_data"](bench.root / "dataset.json", bench.root / "made", task, keypoints)
    return made


def test_the_exporter_may_install_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says = "import os, sys\nsys.exit(os.environ['YOLO_AUTOINSTALL'] + os.environ['YOLO_OFFLINE'])\n"
    (tmp_path / "ultralytics.py").write_text(says, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert _exported(tmp_path) == "falsetrue"


@pytest.mark.parametrize(
    ("measured", "says"),
    [("false", "set model.export.end2end: true"), ("true", "No such file or directory: 'd'")],
)
def test_what_is_exported_is_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: str, says: str
) -> None:
    """Of a model with two heads the exporter takes the end-to-end one, whatever it is told."""
    head = "type('Detect', (), {'one2one_cv2': 1})()"
    model = f"type('M', (), {{'model': type('N', (), {{'model': [{head}]}})}})()"
    (tmp_path / "ultralytics.py").write_text(f"YOLO = lambda *_, **__: {model}\n", encoding="utf-8")
    (tmp_path / "info.json").write_text(f'{{"end2end": {measured}}}', encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = _exported(tmp_path)
    assert says in said


def _exported(folder: Path) -> str:
    """Return the last thing that the program said."""
    (folder / "weights.pt").write_bytes(b"")
    command = [sys.executable, str(AXELERA.folder / "export_axm.py"), "--weights", "weights.pt"]
    command += ["--info", "info.json", "--dataset", "d", "--output", "out/axelera"]
    command += ["--task", "detect", "--imgsz", "64", "64"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    ("board", "ids"),
    [("pcie-x4", ["four-chips"]), ("pcie-x1", []), ("m2", ["m2-power"]), ("m2-max", ["m2-power"])],
)
def test_a_board_has_findings_of_its_own(board: str, ids: list[str]) -> None:
    rules = [rule for rule in AXELERA.findings if all(board in values for _, values in rule.options)]
    assert [finding.id for finding in find(rules, "compiled")] == ids
    assert f"board {board}" in render_step("axelera", "int8", "compile", board=board).files["board.txt"]


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("ERROR: INITIALIZE_CLI_ERROR: x", "axelera-arguments"),
        ("ONNX_GRAPH_CLEANER_ERROR", "axelera-graph"),
        ("QTOOLS_ERROR", "axelera-quantization"),
        ("status TOP_LEVEL_QUANTIZE_ERROR", "axelera-quantization"),
        ("GRAPH_EXPORTER_ERROR", "axelera-compiler"),
        ("FRONTEND_TO_MIDEND_ERROR", "axelera-compiler"),
        ("LOWER_TIR_ERROR", "axelera-compiler"),
        ("TOP_LEVEL_LOWER_ERROR", "axelera-compiler"),
        ("Axelera: >100 images required for Axelera calibration, found 8 images.", "calibration-small"),
        ("ModuleNotFoundError: Axelera export requires axelera-devkit==1.9.0.", "axelera-devkit"),
    ],
)
def test_what_the_compiler_says_is_explained(line: str, finding: str) -> None:
    rules = [rule for rule in AXELERA.findings if rule.pattern]
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == [finding]


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("int8", {"board": "pcie"}, "the values are pcie-x4, pcie-x1, m2, m2-max"),
        ("int8", {"resources_used": 0.3}, "0.25"),
        ("int8", {"aipu_cores_used": 5}, "aipu_cores_used"),
        ("ultralytics", {"aipu_cores_used": 4}, "recipe 'ultralytics' has no option 'aipu_cores_used'"),
    ],
)
def test_a_wrong_option_is_refused_before_the_compiler_sees_it(
    recipe: str, options: dict[str, Any], message: str
) -> None:
    chosen = AXELERA.recipes[recipe]
    _, problems = resolve_options(AXELERA, options, lambda name: ("m.yaml", 1, 1, name), recipe=chosen)
    assert len(problems) == 1
    assert message in str(problems[0])


@pytest.mark.parametrize("tool", ["axcompile", "devkit"])
def test_the_version_is_that_of_the_wheel(bench: VendorBench, tool: str) -> None:
    probed = probe_tool(
        "axelera",
        AXELERA.tools[tool],
        bench.environ,
        paths=[str(bench.root / "fakes/lib/python3.11/site-packages")],
    )
    assert (probed.version, probed.usable) == ("1.6.0+edgebuild.fake", True)
