from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.errors import ManifestError
from edgebuild.manifest import ultralytics
from edgebuild.manifest.load import load_manifest

if TYPE_CHECKING:
    from pathlib import Path

MODELS = (
    "yolo12.yaml",
    "yolo12-seg.yaml",
    "yolov9c.yaml",
    "yolov5-p6.yaml",
    "rtdetr-l.yaml",
    "yoloe-11.yaml",
)
KNOWN = frozenset(MODELS)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Ultralytics of which only the names matter."""
    models = tmp_path / "ultralytics" / "cfg" / "models" / "some"
    models.mkdir(parents=True)
    for name in MODELS:
        (models / name).touch()
    text = "# Settings\ntask: detect # task\nepochs: 100\nlr0: 0.01 # lr: initial\nmosaic: 1.0\nproject:\n"
    (models.parents[1] / "default.yaml").write_text(text)
    monkeypatch.setattr(ultralytics, "package", lambda: tmp_path / "ultralytics")


def problems(folder: Path, train: str) -> list[str]:
    (folder / "images/train").mkdir(parents=True)
    (folder / "images/val").mkdir()
    for split in ("train", "val"):
        (folder / f"images/{split}/{split}.png").touch()
        (folder / f"labels/{split}").mkdir(parents=True)
        (folder / f"labels/{split}/{split}.txt").touch()
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [bolt]\n")
    path = folder / "manifest.yaml"
    path.write_text(
        f"edgebuild: 1\nname: a\nmodel: {{task: detect, train: {train}}}\ndataset: {{data: data.yaml}}\n"
        "targets: {cpu: {toolchain: onnxruntime}}\n"
    )
    try:
        load_manifest(path)
    except ManifestError as error:
        return [f"{problem.path}: {problem.message}; {problem.hint}" for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "name",
    [
        "yolo12.yaml", "yolo12n.yaml", "yolo12x-seg.yaml", "yolov9c.yaml", "yolov5n-p6.yaml", "yolov5n6.yaml",
        "rtdetr-l.yaml", "yoloe-11s.yaml",
    ],
)  # fmt: skip
def test_architectures_are_known_with_and_without_a_scale(name: str) -> None:
    assert ultralytics.is_architecture(name, KNOWN)


@pytest.mark.parametrize(
    "name", ["yolo12q.yaml", "yolov9q.yaml", "yolo13n.yaml", "yolo12n.yml", "rtdetr-s.yaml"]
)
def test_what_is_no_architecture_is_not_known(name: str) -> None:
    assert not ultralytics.is_architecture(name, KNOWN)


@pytest.mark.usefixtures("installed")
def test_an_architecture_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, "{base: yolo12q.yaml}")
    assert said.startswith(
        "model.train.base: no such file, and the installed Ultralytics has no yolo12q.yaml; "
    )
    assert "did you mean 'yolo12" in said


@pytest.mark.usefixtures("installed")
def test_arguments_that_ultralytics_does_not_have_are_refused(tmp_path: Path) -> None:
    args = "{epoch: 3, lr: 0.1, mosaic: 0.5, lr0: 0.02, label_smoothing: 0.1, zzz: 1, projekt: a}"
    assert problems(tmp_path, f"{{base: yolo12n.yaml, args: {args}}}") == [
        "model.train.args.epoch: Ultralytics has no such argument; set model.train.epochs",
        "model.train.args.lr: Ultralytics has no such argument; did you mean 'lr0'?",
        "model.train.args.zzz: Ultralytics has no such argument; ",
        "model.train.args.projekt: Ultralytics has no such argument; ",
    ]


def test_where_ultralytics_is_not_installed_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ultralytics, "package", lambda: None)
    assert problems(tmp_path, "{base: yolo12q.yaml, args: {epoch: 3}}") == []


@pytest.mark.yolo
def test_the_files_of_the_installed_one_are_found() -> None:
    known = ultralytics.architectures()
    assert all(ultralytics.is_architecture(f"yolo11{one}.yaml", known) for one in ("n", "s-seg", "m-cls"))
    assert {"lr0", "mosaic", "epochs", "optimizer"} <= ultralytics.training_arguments()
