"""Cambricon's MLU370: what gen_model.py of MagicMind's samples is told, and a strict fake of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.environment.probe import probe_tool
from edgebuild.toolchain.load import load_toolchain, resolve_options
from tests.unit.vendor_bench import GOLDEN, IMAGES, IMGSZ, SEARCH, VendorBench, render_step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo  # calibration images are written with OpenCV

CAMBRICON = load_toolchain("cambricon", SEARCH)
INT8 = ("magicmind-int8", "magicmind_int8")


@pytest.fixture
def bench(tmp_path: Path) -> VendorBench:
    return VendorBench(tmp_path, "cambricon")


def test_the_commands_are_what_they_were(golden: Callable[[Path, str], None]) -> None:
    steps = {
        "magicmind-int8": render_step("cambricon", *INT8, batch=4),
        "magicmind-fp16": render_step(
            "cambricon", "magicmind-fp16", "magicmind", computation_preference="fast"
        ),
    }
    lines = [line for recipe, step in steps.items() for line in (f"== {recipe}", *step.argv)]
    golden(GOLDEN / "cambricon-magicmind.txt", "\n".join(lines) + "\n")


def test_the_fake_takes_what_is_rendered(bench: VendorBench) -> None:
    assert bench.step("magicmind-fp16", "magicmind").returncode == 0
    done = bench.step(*INT8, activation_quant_algo="asymmetric", computation_preference="high_precision")
    assert done.returncode == 0, done.stdout
    written = json.loads((bench.root / "out" / "model.mm").read_text(encoding="utf-8"))
    assert written["input_dims"] == [[1, 3, *IMGSZ]]
    assert written["precision"] == "qint8_mixed_float16"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"--magicmind_model": "--output"}, "the following arguments are required: --magicmind_model"),
        ({"--image_dir": "--images"}, "unrecognized arguments: --images"),
        ({"qint8_mixed_float16": "int8"}, "invalid choice: 'int8'"),
        ({"per_axis": "per_channel"}, "invalid choice: 'per_channel'"),
        ({"mtp_372": "mlu370"}, "invalid choice: 'mlu370'"),
        ({"mtp_372": "mtp_270"}, "mtp_270 is not supported by this MagicMind"),
        ({"false": "no"}, "invalid choice: 'no'"),
        ({"64": "32"}, "[1, 3, 32, 32] != [1, 3, 32, 64]"),
        ({"in/calibration/calibration": "in/model"}, "model.jpg is no PNG image"),
        ({"in/model/model.onnx": "absent.onnx"}, "No such file"),
    ],
)
def test_the_fake_notices_what_is_wrong(bench: VendorBench, change: dict[str, str], text: str) -> None:
    done = bench.step(*INT8, change=change)
    assert done.returncode != 0
    assert text in done.stdout
    assert not (bench.root / "out" / "model.mm").exists()


def test_the_images_are_found_only_under_the_names_that_the_sample_looks_for(bench: VendorBench) -> None:
    done = bench.step(*INT8, "--image_dir", "in/calibration/calibration")
    assert "there is no .jpg file in in/calibration/calibration" in done.stdout
    links = sorted((bench.root / "images").iterdir())
    assert [link.name for link in links] == [f"{index:06}.jpg" for index in range(IMAGES)]
    assert all(link.resolve().suffix == ".png" for link in links)


@pytest.mark.parametrize(
    ("mode", "code", "size"), [("fail", 1, None), ("no-output", 0, None), ("garbage", 0, 0)]
)
def test_the_fake_fails_as_told(bench: VendorBench, mode: str, code: int, size: int | None) -> None:
    assert bench.step(*INT8, mode=mode).returncode == code
    path = bench.root / "out" / "model.mm"
    assert (path.stat().st_size if path.exists() else None) == size


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("magicmind-int8", {"mlu_arch": "mtp_270"}, "an MLU270 takes the recipe genoff"),
        ("magicmind-int8", {"arch": "mlu270"}, "recipe 'magicmind-int8' has no option 'arch'"),
        ("magicmind-fp16", {"weight_quant_granularity": "per_axis"}, "has no option"),
        ("cncc", {"mlu_arch": "mtp_372"}, "recipe 'cncc' has no option 'mlu_arch'"),
    ],
)
def test_a_wrong_option_is_refused_before_the_program_sees_it(
    recipe: str, options: dict[str, Any], message: str
) -> None:
    chosen = CAMBRICON.recipes[recipe]
    _, problems = resolve_options(CAMBRICON, options, lambda name: ("m.yaml", 1, 1, name), recipe=chosen)
    assert len(problems) == 1
    assert message in str(problems[0])


def test_the_version_is_that_of_the_wheel(bench: VendorBench) -> None:
    probed = probe_tool("cambricon", CAMBRICON.tools["gen_model"], bench.environ)
    assert (probed.version, probed.usable) == ("1.7.0+edgebuild.fake", True)
