"""``edgebuild calibrate``: what the images are, what more of them buy, and how bad input is told."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]


def test_a_sweep_validates_each_count_and_shares_what_a_run_did(built: Workspace) -> None:
    ran = built.eb("calibrate", "manifest.yaml", "--sweep", "2,4", "--json")
    assert ran.code == 0, ran.err
    document = ran.json()
    assert [row["images"] for row in document["calibration"]] == [2, 4]
    assert [row["settings"]["images"] for row in document["calibration"]] == [2, 4]
    (target,) = document["targets"]
    assert target["name"] == "int8"
    values = [{m["name"]: m["value"] for m in point["metrics"]} for point in target["points"]]
    assert all("map50_95" in row for row in values)
    report = built.run("--json", "-n")
    assert {row["state"] for row in report.done.json()["actions"]} == {"current"}
    logs = {path.name for path in (built.folder / ".edgebuild/shelf/logs").glob("*-images.*")}
    # Four images are what the manifest has: all of that was there.
    assert logs
    assert all(name.startswith("2-images.") for name in logs)
    again = built.eb("calibrate", "manifest.yaml", "--sweep", "2,4")
    assert again.code == 0
    assert "against float" in again.out
    assert "come within 0.001 of the best" in again.out


def test_without_a_sweep_it_says_what_the_images_are(built: Workspace) -> None:
    ran = built.eb("calibrate", "manifest.yaml")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("4 of 8 images, stratified, seed 0, 64x64\n")
    assert "brightness: mean 0." in ran.out
    assert "calibration-few: only 4 images calibrate" in ran.out


def test_findings_reach_the_terminal_the_report_and_json(built: Workspace) -> None:
    built.edit("images: 4", "images: 3")
    ran = built.eb("run", "manifest.yaml", "int8")
    assert "calibration-few (calibrate): only 3 images calibrate" in ran.out
    for name in ("report.html", "report.md", "report.json"):
        text = (built.folder / "build/shelf" / name).read_text(encoding="utf-8")
        assert "calibration-few" in text.replace("\\", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sweep", "4,99"), "99"),
        (("--sweep", "4", "--target", "fp32"), "--target fp32: no target of that name calibrates"),
        (("--sweep", "zero"), "'zero' is not a number of at least 1"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    fresh: Workspace, words: tuple[str, ...], said: str
) -> None:
    ran = fresh.eb("calibrate", "manifest.yaml", *words)
    assert ran.code == 2
    assert said in ran.err
    assert not (fresh.folder / ".edgebuild/shelf/logs").exists()


def test_a_copy_in_validation_is_an_error_with_the_user_s_paths(built: Workspace) -> None:
    data = built.folder / "data/images"
    shutil.copy(data / "train/000.bmp", data / "val/renamed.bmp")
    ran = built.eb("calibrate", "manifest.yaml")
    assert ran.code == 3
    assert "000.bmp (validation: " in ran.err
    assert "take them out of one of the two splits" in ran.err
