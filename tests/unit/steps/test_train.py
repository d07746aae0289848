from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import train
from edgebuild.steps._step import StepFailure
from edgebuild.steps._ultralytics import load_model

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[3]

SETTINGS = train.Settings(
    base="yolo11n.yaml", task="detect", epochs=2, imgsz=64, seed=0, batch=4, device="cpu"
)


@pytest.mark.parametrize("document", [{"epochs": 3}, {"lr0": 0.1, "data": "x", "seed": 1}])
def test_arguments_may_not_set_what_the_manifest_sets(tmp_path: Path, document: dict[str, Any]) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(StepFailure, match=r"a\.json: may not set (epochs|data, seed);"):
        train.read_arguments(str(tmp_path / "a.json"))


@pytest.mark.parametrize("text", ["[1]", "{", "3"])
def test_arguments_are_a_json_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(StepFailure, match=r"a\.json"):
        train.read_arguments(str(tmp_path / "a.json"))


def test_other_arguments_go_through(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"lr0": 0.1}', encoding="utf-8")
    assert train.read_arguments(str(tmp_path / "a.json")) == {"lr0": 0.1}
    assert train.read_arguments(None) == {}


def test_nothing_to_resume_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not train.can_resume(SETTINGS)


def test_an_attempt_with_other_settings_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run/weights").mkdir(parents=True)
    Path("run/weights/last.pt").write_bytes(b"whatever")
    Path("run/edgebuild.json").write_text('{"epochs": 1}', encoding="utf-8")
    assert not train.can_resume(SETTINGS)
    assert "other settings" in capsys.readouterr().out


def _arguments(epochs: int) -> list[str]:
    return [
        "--base", "yolo11n.yaml", "--task", "detect", "--dataset", "dataset.json", "--train", "train",
        "--validation", "val", "--epochs", str(epochs), "--imgsz", "64", "64", "--seed", "1", "--batch", "4",
        "--weights", "out/w.pt", "--summary", "out/s.json",
    ]  # fmt: skip


@pytest.fixture
def workplace(
    tmp_path: Path, write_tree: Callable[..., Path], write_dataset: Callable[..., Path]
) -> Callable[[str], Path]:
    """Make a folder with a small dataset to train in."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        write_tree(folder / "train", [[0], [1], [2], [0, 1]])
        write_tree(folder / "val", [[0], [1]], seed=1)
        write_dataset(folder / "dataset.json")
        return folder

    return make


@pytest.mark.yolo
@pytest.mark.slow
def test_equal_trainings_are_equal_byte_for_byte(
    workplace: Callable[[str], Path], run_step_at: Callable[..., Any]
) -> None:
    folders = [workplace("one"), workplace("two")]
    for seed, folder in enumerate(folders):
        done = run_step_at(folder, "train", *_arguments(1), PYTHONHASHSEED=str(seed))
        assert done.returncode == 0, done.stderr
        assert "@progress 1/1 epochs" in done.stdout
        assert not list((folder / "train").rglob("*.cache"))
    for name in ("w.pt", "s.json"):
        assert (folders[0] / "out" / name).read_bytes() == (folders[1] / "out" / name).read_bytes()
    assert str(folders[0]).encode() not in (folders[0] / "out/w.pt").read_bytes()
    summary = json.loads((folders[0] / "out/s.json").read_text(encoding="utf-8"))
    assert summary["epochs"] == 1
    assert "metrics/mAP50-95(B)" in summary["metrics"]


@pytest.mark.yolo
@pytest.mark.slow
def test_an_interrupted_training_continues(
    workplace: Callable[[str], Path], run_step_at: Callable[..., Any]
) -> None:
    folder = workplace("one")
    argv = [sys.executable, "-m", "edgebuild.steps.train", *_arguments(6), "--resume"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        argv, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as attempt:
        deadline = time.monotonic() + 300
        table = folder / "run/results.csv"
        while time.monotonic() < deadline and not (table.is_file() and table.read_text().count("\n") >= 3):
            time.sleep(0.05)
        attempt.send_signal(signal.SIGKILL)

    done = run_step_at(folder, "train", *_arguments(6), "--resume")

    assert done.returncode == 0, done.stderr
    assert "@progress 6/6 epochs" in done.stdout
    assert "@progress 1/6 epochs" not in done.stdout
    assert json.loads((folder / "out/s.json").read_text(encoding="utf-8"))["epochs"] == 6


@pytest.mark.yolo
@pytest.mark.slow
def test_weights_that_are_not_there_are_named(
    workplace: Callable[[str], Path], run_step_at: Callable[..., Any]
) -> None:
    folder = workplace("one")
    done = run_step_at(folder, "train", *_arguments(1), "--base", "yolo11n.pt")
    assert done.returncode == 3
    assert "error: yolo11n.pt: no such file" in done.stderr


@pytest.mark.yolo
def test_an_architecture_that_does_not_exist_is_not_called_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StepFailure) as caught:
        load_model("yolo12q.yaml", task="detect")
    assert "cut short" not in str(caught.value)
    assert "architecture that the installed Ultralytics has" in str(caught.value)
