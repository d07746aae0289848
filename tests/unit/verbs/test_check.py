from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.cli.main import main
from edgebuild.errors import ManifestError, Problem
from edgebuild.verbs.check import SHOWN, CheckOptions, check, shortened

if TYPE_CHECKING:
    from pathlib import Path

POSE = """
edgebuild: 1
name: gauges
model: {train: {base: yolo11n-pose.yaml, epochs: 1}, task: pose, imgsz: 64}
dataset: {data: data/data.yaml}
targets: {cpu: {toolchain: onnxruntime, recipe: fp32}}
"""


def checked(folder: Path, row: str, *, other: bytes = b" of another size") -> int:
    (folder / "manifest.yaml").write_text(POSE, encoding="utf-8")
    jpeg = b"\xff\xd8\xff", b"\xff\xd9"
    for split, more in (("train", other), ("val", b"")):
        for kind, name, data in (("images", "a.jpg", more.join(jpeg)), ("labels", "a.txt", row.encode())):
            place = folder / "data" / kind / split / name
            place.parent.mkdir(parents=True)
            place.write_bytes(data)
    text = "train: images/train\nval: images/val\nnames: [needle]\nkpt_shape: [2, 3]\n"
    (folder / "data" / "data.yaml").write_text(text, encoding="utf-8")
    manifests = (str(folder / "manifest.yaml"),)
    return check(CheckOptions(manifests=manifests, overrides=(), templates=(), data=True, json=False))


def test_rows_of_keypoints_are_judged_by_the_shape_that_the_dataset_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    assert checked(tmp_path / "good", "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 1\n") == 0
    with pytest.raises(ManifestError, match="8 columns; a row is: class, box and 2 keypoints of 3 values"):
        checked(tmp_path / "bad", "0 0.5 0.5 0.2 0.2 0.4 0.4 2\n")


@pytest.mark.parametrize("verb", ["check", "plan", "run"])
def test_two_manifests_of_one_name_in_one_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    checked(tmp_path, "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 1\n")
    first, second = str(tmp_path / "manifest.yaml"), str(tmp_path / "other.yaml")
    (tmp_path / "other.yaml").write_text(POSE, encoding="utf-8")
    assert main([verb, first, second]) == 2
    said = capsys.readouterr().err
    assert first in said
    assert f"{second} are both named 'gauges'" in said
    assert main(["check", first, first]) == 0


def test_of_many_problems_of_one_kind_the_first_are_shown_and_the_rest_counted() -> None:
    same = [Problem(file=f"{number:03}.txt", line=1, message="5 columns") for number in range(100)]
    other = Problem(file="099.txt", line=2, message="class 9")
    found = shortened([*reversed(same), other])
    assert [problem.file for problem in found] == [f"{number:03}.txt" for number in range(SHOWN)] + [
        "099.txt"
    ]
    assert found[SHOWN - 1].message == "5 columns (and 95 more of these)"
    assert found[SHOWN:] == [other]
    assert shortened(same[:SHOWN]) == same[:SHOWN]


def test_what_a_calibration_would_refuse_later_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    row = "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 1\n"
    for name in ("copies", "empty"):
        (tmp_path / name).mkdir()
    with pytest.raises(ManifestError, match=r"train.a\.jpg: is a copy of a validation image"):
        checked(tmp_path / "copies", row, other=b"")
    with pytest.raises(ManifestError, match="val: not one object in its 1 label file"):
        checked(tmp_path / "empty", "\n")
