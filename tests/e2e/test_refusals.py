"""What is wrong before anything runs: exit code, place, and what to do, in one line without a traceback."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.workspace import write_split

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.workspace import Done, Workspace


def _refused(done: Done, code: int, *words: str) -> None:
    assert done.code == code, (done.code, done.err)
    assert not done.out
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err


def _write(text: str) -> Callable[[Workspace], object]:
    return lambda w: w.manifest.write_text(text, encoding="utf-8")


def _edit(old: str, new: str) -> Callable[[Workspace], None]:
    return lambda w: w.edit(old, new)


def _remove(name: str) -> Callable[[Workspace], None]:
    def remove(w: Workspace) -> None:
        path = w.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


MISTAKES: dict[str, tuple[Callable[[Workspace], object], tuple[str, ...]]] = {
    "manifest missing": (_remove("manifest.yaml"), ("manifest.yaml: no such manifest",)),
    "manifest empty": (_write(""), ("manifest.yaml",)),
    "manifest not YAML": (_write("edgebuild: 1\nname: [a\n"), ("manifest.yaml:",)),
    "manifest a list": (_write("- edgebuild: 1\n"), ("manifest.yaml:1:1",)),
    "unknown key": (_edit("targets:", "tagets:"), ("manifest.yaml:16:1: tagets", "targets")),
    "key of a target misspelt": (
        _edit("chip: {toolchain", "chip: {toolchian"),
        ("manifest.yaml:19:10: targets.chip.toolchian", "toolchain"),
    ),
    "weights missing": (_remove("weights/tiny.pt"), ("manifest.yaml:4:12: model.weights", "weights/tiny.pt")),
    "split absent": (_edit("split: val", "split: test"), ("no split 'test'", "it has: train, val")),
    "split without images": (_remove("data/images/val"), ("data.yaml:3", "images/val")),
    "dataset file missing": (_remove("data/data.yaml"), ("manifest.yaml:8:9: dataset.data",)),
    "toolchain unknown": (
        _edit("toolchain: shelly", "toolchain: shely"),
        ("manifest.yaml:19:21: targets.chip.toolchain", "'shely'", "shelly"),
    ),
    "option unknown": (
        _edit("{level: 1}", "{levle: 1}"),
        ("manifest.yaml:19:", "targets.chip.options.levle", "level"),
    ),
    "option out of range": (
        _edit("{level: 1}", "{level: 12}"),
        ("manifest.yaml:19:", "targets.chip.options.level", "9"),
    ),
    "recipe unknown": (_edit("recipe: int8", "recipe: int9"), ("targets.int8.recipe", "fp32, fp16, int8")),
    "gate that nothing measures": (
        _edit("options: {level: 1}", "acceptance: {latency_ms_p50: {max: 5}}"),
        ("targets.chip.acceptance.latency_ms_p50", "impossible gate"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_manifest_is_shown_with_its_place(fresh: Workspace, name: str) -> None:
    spoil, words = MISTAKES[name]
    spoil(fresh)
    _refused(fresh.eb("run", "manifest.yaml"), 2, *words)
    assert not (fresh.folder / "build").exists()


def test_all_mistakes_are_shown_at_once(fresh: Workspace) -> None:
    fresh.edit("imgsz: 64", "imgsz: 65")
    fresh.edit("{level: 1}", "{level: 12}")
    fresh.edit("task: detect", "task: detekt")
    done = fresh.eb("check", "manifest.yaml")
    _refused(done, 2, "model.imgsz", "model.task")


def test_an_option_value_that_the_vendor_does_not_know_lists_those_it_does(fresh: Workspace) -> None:
    fresh.edit(
        "{toolchain: shelly, options: {level: 1}}",
        "{toolchain: ascend, options: {soc_version: Ascend310P3, precision_mode: force_int8}}",
    )
    done = fresh.eb("run", "manifest.yaml")
    _refused(done, 2, "targets.chip.options.precision_mode", "'force_int8'", "force_fp16", "recipe: int8")


def test_an_unknown_selector_names_what_there_is(fresh: Workspace) -> None:
    _refused(fresh.eb("plan", "manifest.yaml", "chop"), 2, "'chop'", "chip")


def test_an_unknown_step_for_until_names_what_there_is(fresh: Workspace) -> None:
    _refused(fresh.eb("plan", "manifest.yaml", "--until", "compil"), 2, "compile")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("fly", "manifest.yaml"),
        ("run",),
        ("run", "manifest.yaml", "-j", "0"),
        ("run", "manifest.yaml", "--no-such-flag"),
    ],
)
def test_a_wrong_command_line_shows_the_usage(fresh: Workspace, words: tuple[str, ...]) -> None:
    _refused(fresh.eb(*words), 2, "usage: edgebuild")


def test_check_reads_every_label_and_image(fresh: Workspace) -> None:
    data = fresh.folder / "data"
    (data / "labels/val/001.txt").write_text("0 0.5 0.5 0.5 0.5\n7 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    (data / "labels/val/002.txt").write_text("0 0.5 0.5 1.5 0.5\n", encoding="utf-8")
    (data / "images/val/003.bmp").write_bytes(b"no image")
    done = fresh.eb("check", "manifest.yaml")
    _refused(done, 2, "labels/val/001.txt:2", "class 7", "labels/val/002.txt:1", "1.5", "images/val/003.bmp")


def test_check_tells_what_is_wrong_with_several_manifests_at_once(fresh: Workspace) -> None:
    text = fresh.manifest.read_text(encoding="utf-8")
    for name, old, new in (("a", "imgsz: 64", "imgsz: 65"), ("b", "level: 1", "level: 77")):
        (fresh.folder / f"{name}.yaml").write_text(text.replace(old, new), encoding="utf-8")
    done = fresh.eb("check", "a.yaml", "manifest.yaml", "b.yaml")
    wrong = replace(done, out="")
    _refused(wrong, 2, "a.yaml:6:10: model.imgsz", "b.yaml:", "targets.chip.options.level: 77 is above")
    assert done.out.startswith("manifest.yaml: 3 targets")


def test_check_is_content_with_a_sound_workspace(fresh: Workspace) -> None:
    done = fresh.eb("check", "manifest.yaml")
    assert done.code == 0, done.err
    assert "3 targets, 22 actions; val 6 images, train 8 images" in done.out


def test_a_missing_tool_stops_the_run_before_any_step(fresh: Workspace) -> None:
    (fresh.tools / "shellyc").unlink()
    done = fresh.eb("run", "manifest.yaml")
    _refused(done, 5, "chip: shellyc is not on PATH", "looked for shellyc on PATH")
    assert "get it: Build it from the tests." in done.err
    assert "--skip-unavailable" in done.err
    assert not fresh.cache.exists()


def test_a_tool_out_of_range_stops_the_run(fresh: Workspace) -> None:
    (fresh.tools / "version.txt").write_text("version=4.0\n", encoding="utf-8")
    _refused(fresh.eb("run", "manifest.yaml"), 5, "chip", "4.0", ">=1,<3")


def test_a_tool_whose_version_cannot_be_compared_is_a_note_or_what_the_manifest_makes_of_it(
    fresh: Workspace,
) -> None:
    (fresh.tools / "version.txt").write_text("version=nightly\n", encoding="utf-8")
    done = fresh.eb("check", "manifest.yaml")
    assert done.code == 0, done.err
    assert "note: shelly/shellyc has version 'nightly'" in done.out
    assert "cannot be compared with >=1,<3" in done.out
    fresh.edit("targets:", "findings: {version-unknown: error}\ntargets:")
    _refused(fresh.eb("run", "manifest.yaml"), 2, "findings.version-unknown", "'nightly'", "an error here")


def test_every_missing_tool_is_named_at_once(fresh: Workspace) -> None:
    (fresh.tools / "shellyc").unlink()
    ascend = "{toolchain: ascend, options: {soc_version: Ascend310P3}}"
    fresh.edit("  chip:", f"  npu: {ascend}\n  chip:")
    _refused(fresh.eb("run", "manifest.yaml"), 5, "npu: atc is not on PATH", "chip: shellyc is not on PATH")


def test_without_the_tool_everything_that_runs_nothing_still_works(fresh: Workspace) -> None:
    (fresh.tools / "shellyc").unlink()
    planned = fresh.eb("plan", "manifest.yaml", "--json")
    states = {row["id"]: row["state"] for row in planned.json()["actions"]}
    assert states["chip/compile"] == "skipped"
    assert states["export"] == "run"
    assert "shellyc --model" in fresh.eb("commands", "manifest.yaml", "chip").out
    assert fresh.eb("check", "manifest.yaml").code == 0


def test_without_the_yolo_extra_a_run_says_how_to_get_it(fresh: Workspace, core_only: Path) -> None:
    _only_chip(fresh)

    def eb(*words: str) -> Done:
        return fresh.eb(*words, python=("-S",), variables={"PYTHONPATH": str(core_only)})

    _refused(eb("run", "manifest.yaml"), 5, "ultralytics", "onnxruntime", "pip install 'edgebuild[yolo]'")
    for verb in ("plan", "check", "commands", "explain"):
        assert eb(verb, "manifest.yaml").code == 0
    assert "missing ultralytics" in eb("doctor").out


def test_an_optional_target_without_its_tool_stops_nothing(fresh: Workspace, core_only: Path) -> None:
    _only_chip(fresh)
    fresh.edit("{toolchain: shelly,", "{optional: true, toolchain: shelly,")
    (fresh.tools / "shellyc").unlink()
    done = fresh.eb("run", "manifest.yaml", python=("-S",), variables={"PYTHONPATH": str(core_only)})
    _refused(done, 5, "ultralytics")  # it gets as far as the next thing that is missing
    assert "shellyc" not in done.err


def _only_chip(w: Workspace) -> None:
    for name in ("fp32", "int8"):
        w.edit(f"  {name}: {{toolchain: onnxruntime, recipe: {name}}}\n", "")


def test_calibration_images_that_also_validate_are_refused(fresh: Workspace) -> None:
    fresh.edit("split: train, images", "split: val, images")
    _refused(fresh.eb("run", "manifest.yaml"), 2, "manifest.yaml:9:", "the split 'val' also validates")


def test_a_split_of_another_folder_needs_no_labels_to_calibrate(fresh: Workspace) -> None:
    write_split(fresh.folder / "data", "spare", 4)
    shutil.rmtree(fresh.folder / "data/labels/spare")
    fresh.edit("{split: train, images: 4, sample: stratified, seed: 0}", "{images: data/images/spare}")
    assert fresh.eb("plan", "manifest.yaml").code == 0
