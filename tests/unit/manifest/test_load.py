from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebuild.document.parse import parse
from edgebuild.errors import ManifestError, UsageError
from edgebuild.gates import Gate
from edgebuild.manifest.load import load_manifest
from edgebuild.manifest.values import Benchmark, Device, Export, Manifest, Package, Quantize

FULL = """
edgebuild: 1
name: fasteners
model: {weights: w.pt, task: detect, imgsz: [320, 640], export: {opset: 17, simplify: true}}
dataset:
  data: data.yaml
  calibration: {split: train, images: 2, sample: random, seed: 7}
  validation: {split: val, confidence: 0, iou: 0.6, max_detections: 100}
quantize: {method: percentile, percentile: 99, keep_float: [last]}
benchmark: {threads: 4, runs: 20}
acceptance: {map50/nut: {min: 0.5}, size_mb: {max: 4, max_ratio: 0.5}}
defaults: {batch: 2, tags: [nightly], timeout: 90}
matrix:
- name: "a-{b}"
  axes: {b: [1, 4]}
  exclude: [{b: 4}]
  target: {toolchain: x, batch: "{b}", options: {soc: "S{b}"}}
targets:
  host: {toolchain: x, device: pi, acceptance: {latency_ms_p50: {max: 9, evidence: device}}}
  bare: {toolchain: x, ship: false, acceptance: none}
devices: {pi: {ssh: pi@pi5, workdir: /tmp/e}}
package: {version: 1.4.0}
"""
HEADER = "edgebuild: 1\nname: fasteners\nmodel: {weights: w.pt, task: detect, imgsz: 320}\n"
TARGET = "targets:\n  host: {toolchain: onnxruntime}\n"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w.pt").write_bytes(b"weights")
    for split in ("train", "val"):
        for number in range(3):
            image = tmp_path / f"data/images/{split}/{split}-{number}.png"
            label = tmp_path / f"data/labels/{split}/{split}-{number}.txt"
            image.parent.mkdir(parents=True, exist_ok=True)
            label.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(PNG)
            label.write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "data.yaml").write_text(
        "path: data\ntrain: images/train\nval: images/val\nnames: [bolt, nut]\n"
    )
    return tmp_path


def load(folder: Path, text: str, *overrides: str) -> Manifest:
    path = folder / "manifest.yaml"
    path.write_text(text, encoding="utf-8")
    return load_manifest(path, overrides=overrides)


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(folder, text, *overrides)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


def test_the_least_manifest_has_every_default(folder: Path) -> None:
    manifest = load(folder, "edgebuild: 1\nname: m\nmodel: {weights: w.pt, task: detect}\n" + TARGET)

    (target,) = manifest.targets
    assert manifest.folder == folder
    assert manifest.dataset is None
    assert manifest.model.weights == folder / "w.pt"
    assert manifest.model.imgsz == (640, 640)
    assert manifest.model.export == Export(opset=17, simplify=True, dynamic=False, end2end=False)
    assert manifest.package == Package(version="0.0.0")
    assert (target.name, target.toolchain, target.recipe, target.batch) == ("host", "onnxruntime", "", 1)
    assert (target.device, target.cpu, target.timeout, target.ship, target.tags) == ("", "", None, True, ())
    assert target.benchmark == Benchmark(threads=2, warmup=10, runs=100)
    assert target.quantize == Quantize(
        method="",
        percentile=99.999,
        per_channel=True,
        activation="",
        weight="",
        reduce_range=None,
        keep_float=("decode", "last"),
    )


def test_everything_that_can_be_written_is_read(folder: Path) -> None:
    manifest = load(
        folder,
        """
edgebuild: 1
name: m
model: {weights: w.pt, task: detect, imgsz: [320, 640], export: {opset: 13, simplify: false}}
dataset:
  data: data.yaml
  calibration: {split: train, images: 2, sample: random, seed: 7}
  validation: {split: val, confidence: 0, iou: 0.6, max_detections: 100}
devices: {pi: {ssh: pi@pi5, workdir: /tmp/e}, spare: {ssh: spare}}
package: {version: 1.4.0}
targets:
  a:
    toolchain: x
    recipe: int8
    options: {soc: S3, extra_args: [--log=debug]}
    device: pi
    batch: 4
    cpu: arm64
    ship: false
    timeout: 90
    tags: [nightly]
    quantize: {method: percentile, percentile: 99, reduce_range: true, keep_float: ["op:Softmax"]}
    benchmark: {threads: 4}
    acceptance: {map50/nut: {min: 0.5}, size_mb: {max: 4, max_ratio: 0.5}}
""",
    )

    (target,) = manifest.targets
    assert manifest.model.imgsz == (320, 640)
    assert manifest.devices == {
        "pi": Device(name="pi", ssh="pi@pi5", workdir="/tmp/e"),
        "spare": Device(name="spare", ssh="spare", workdir="edgebuild"),
    }
    assert manifest.package.version == "1.4.0"
    assert (target.options, target.extra_args) == ({"soc": "S3"}, ("--log=debug",))
    assert (target.device, target.cpu, target.ship, target.timeout) == ("pi", "arm64", False, 90.0)
    assert target.quantize.reduce_range is True
    assert target.quantize.keep_float == ("op:Softmax",)
    assert target.benchmark == Benchmark(threads=4, warmup=10, runs=100)
    assert target.gates == (
        Gate(metric="map50/nut", kind="min", limit=0.5),
        Gate(metric="size_mb", kind="max", limit=4.0),
        Gate(metric="size_mb", kind="max_ratio", limit=0.5),
    )
    assert manifest.dataset is not None
    assert manifest.dataset.validation.confidence == 0.0
    assert (manifest.dataset.calibration.images, manifest.dataset.calibration.seed) == (2, 7)


def test_training_uses_train_and_val_and_takes_its_size_from_the_model(folder: Path) -> None:
    manifest = load(
        folder,
        "edgebuild: 1\nname: m\n"
        "model:\n  task: detect\n  imgsz: 320\n"
        "  train: {base: yolo11n.yaml, epochs: 3, device: 0, args: {mosaic: 0.0}}\n"
        "dataset: {data: data.yaml}\n" + TARGET,
    )

    train = manifest.model.train
    assert train is not None
    assert (train.base, train.base_file, train.epochs, train.imgsz) == ("yolo11n.yaml", None, 3, (320, 320))
    assert (train.seed, train.batch, train.device, train.resume) == (0, 16, "0", False)
    assert train.arguments == {"mosaic": 0.0}
    assert manifest.dataset is not None
    assert set(manifest.dataset.splits) == {"train", "val"}


def test_the_model_takes_its_size_from_training_when_only_that_is_given(folder: Path) -> None:
    model = "model: {task: detect, train: {base: w.pt, imgsz: 416}}\ndataset: {data: data.yaml}\n"

    manifest = load(folder, "edgebuild: 1\nname: m\n" + model + TARGET)

    assert manifest.model.imgsz == (416, 416)
    assert manifest.model.train is not None
    assert manifest.model.train.base_file == folder / "w.pt"


def test_positions_say_where_values_come_from(folder: Path) -> None:
    manifest = load(
        folder,
        HEADER + "defaults:\n  batch: 4\ntargets:\n  host:\n    toolchain: onnxruntime\n",
        "targets.host.timeout=9",
    )

    path = f"{folder}/manifest.yaml"
    assert manifest.positions["targets.host.toolchain"] == (8, 16)
    assert manifest.where("targets.host.batch") == f"{path}:5"
    assert manifest.where("targets.host.options.soc") == f"{path}:7"
    assert manifest.where("targets.host.timeout") == "--set"
    assert manifest.where("nothing.of.that.name") == path


def test_the_place_of_a_problem_with_a_given_value_is_the_command_line(folder: Path) -> None:
    text = HEADER + "targets:\n  host:\n    toolchain: onnxruntime\n"
    manifest = load(folder, text, "targets.host.recipe=int9")
    assert str(manifest.problem("targets.host.recipe", "is none")) == (
        "--set targets.host.recipe=int9: targets.host.recipe: is none"
    )
    assert manifest.problem("targets.host.toolchain", "is none").line == 6
    assert manifest.problem("targets.host.options.x", "is none").file == manifest.file


def test_settings_reach_targets_of_a_matrix_and_are_kept(folder: Path) -> None:
    text = HEADER + "matrix: [{name: 'a-{b}', axes: {b: [1, 4]}, target: {toolchain: x, batch: '{b}'}}]\n"

    manifest = load(folder, text, "targets.a-4.batch=8", "name=other")

    assert [(target.name, target.batch) for target in manifest.targets] == [("a-1", 1), ("a-4", 8)]
    assert manifest.name == "other"
    assert manifest.overrides == ("targets.a-4.batch=8", "name=other")


def test_a_matrix_can_be_changed_by_a_setting(folder: Path) -> None:
    text = HEADER + "defaults: {toolchain: x}\n" + TARGET

    manifest = load(folder, text, "matrix=[{name: 'a-{b}', axes: {b: [1, 2]}, target: {}}]")

    assert [target.name for target in manifest.targets] == ["host", "a-1", "a-2"]


def test_a_setting_can_mend_a_manifest(folder: Path) -> None:
    text = HEADER.replace("320", "300") + TARGET

    assert problems(folder, text) == ["model.imgsz: must be a multiple of 32, got 300"]
    assert load(folder, text, "model.imgsz=352").model.imgsz == (352, 352)


def test_a_malformed_setting_is_a_usage_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="no '=' after a path"):
        load(folder, HEADER + TARGET, "batch")


def test_a_mistake_that_all_targets_inherit_is_told_once(folder: Path) -> None:
    targets = "targets:\n" + "".join(f"  t{n}: {{toolchain: x}}\n" for n in range(40))

    assert problems(folder, HEADER + "defaults: {acceptance: {map: {min: 0.1}}, device: pi}\n" + targets) == [
        "targets.t0.acceptance.map: there is no metric 'map'",
        "targets.t0.device: there is no device 'pi'",
    ]


def test_forty_targets_load(folder: Path) -> None:
    text = (
        HEADER
        + "matrix: [{name: 't{c}-b{b}', axes: {c: [%s], b: [1, 4]}, target: {toolchain: x, batch: '{b}'}}]\n"
    )

    assert len(load(folder, text % ", ".join(map(str, range(20)))).targets) == 40


def test_other_problems_are_told_beside_a_broken_dataset(folder: Path) -> None:
    found = problems(folder, HEADER + "dataset: {data: none.yaml}\ntargets: {Host: {toolchain: x}}\n")

    assert found == [
        "dataset.data: no such file: none.yaml",
        "targets.Host: 'Host' is no usable name",
    ]


def test_a_name_that_no_file_can_have_is_refused(folder: Path) -> None:
    assert problems(folder, HEADER.replace("w.pt", "w" * 300 + ".pt") + TARGET) == [
        ": cannot be read: File name too long"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "name: 1\nmodel: 1\ndataset: 1\ntargets: 1\ndevices: 1\nmatrix: 1\npackage: 1\ndefaults: 1\n",
        "name: []\nmodel: []\ndataset: []\ntargets: []\ndevices: []\nmatrix: {}\npackage: []\n",
        "model: {weights: 1, train: 1, task: [], imgsz: {}, export: 1}\ntargets: {a: 1, b: []}\n",
        "model: {train: {base: 1, args: 1}}\ndataset: {data: 1}\ntargets: {a: {acceptance: []}}\n",
        "dataset: {data: data.yaml, calibration: 1, validation: []}\nacceptance: 1\nquantize: 1\n",
        "dataset: {data: data.yaml, calibration: {images: {}, split: {}}, validation: {split: []}}\n",
        "dataset: {data: data.yaml, calibration: {images: [1, [], ~]}}\nacceptance: {map50: {min: []}}\n",
        "acceptance: {map50: 1, size_mb: [], top1: {min: x, max: ~}}\ntargets: {a: {device: 1}, b: ~}\n",
        "model: ~\ndataset: ~\ntargets: ~\nmatrix: ~\ndevices: ~\ndefaults: ~\nacceptance: ~\n",
    ],
)
def test_values_of_wrong_kinds_are_problems_and_never_crashes(folder: Path, text: str) -> None:
    assert problems(folder, "edgebuild: 1\n" + text)


def test_relative_paths_do_not_depend_on_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = HEADER + "dataset: {data: data.yaml}\n" + TARGET
    absolute = load(folder, text)
    monkeypatch.chdir(folder.parent)

    relative = load_manifest(Path(folder.name) / "manifest.yaml")

    assert relative.file == f"{folder.name}/manifest.yaml"
    assert (relative.folder, relative.model, relative.dataset) == (
        absolute.folder, absolute.model, absolute.dataset,
    )  # fmt: skip


def test_loading_imports_nothing_heavy(folder: Path) -> None:
    path = folder / "manifest.yaml"
    path.write_text(HEADER + "dataset: {data: data.yaml}\n" + TARGET)
    program = (
        "import sys; from edgebuild.manifest.load import load_manifest; early = 'jsonschema' in sys.modules;"
        f"load_manifest({str(path)!r});"
        "print(early, [n for n in ('rich', 'jinja2', 'doit', 'numpy', 'torch') if n in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout == "False []\n"


def paths(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries: Any = document.items() if isinstance(document, dict) else ()
    entries = enumerate(document) if isinstance(document, list) else entries
    return [path, *(found for key, value in entries for found in paths(value, (*path, key)))]


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copied = document.copy()
    copied[path[0]] = changed(document[path[0]], path[1:], value)
    return copied


DOCUMENT = parse(FULL, file="m.yaml")[0].unwrap()
WORDS = ["", "x", "~", "a\0b", "{b}", "none", "a b", "x" * 300, "data", "w.pt", "../w.pt"]
LISTS = [[], [[]], [None], ["w.pt"], ["x", "x"], [{"name": "a", "axes": {"a": [1]}, "target": {}}]]
MAPPINGS = [{}, {"x": 1}, {"min": []}, {"": ""}, {"map50": {"min": 2}}]
WILD: Any = st.sampled_from([None, True, 0, -1, 7, 10**12, 0.5, *WORDS, *LISTS, *MAPPINGS])


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(paths(DOCUMENT)), WILD), min_size=1, max_size=2))
def test_a_manifest_with_any_value_replaced_is_read_or_refused(
    folder: Path, changes: list[tuple[tuple[Any, ...], Any]]
) -> None:
    document = DOCUMENT
    for path, value in changes:
        if path in paths(document):
            document = changed(document, path, value)
    with contextlib.suppress(ManifestError):
        assert load(folder, json.dumps(document)).targets
