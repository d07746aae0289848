"""What a change re-does: each row changes one thing in a built workspace and names every action that runs."""

from __future__ import annotations

import json
import os
import random
import shutil
import tarfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.workspace import write_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.yolo]

CHIP = "chip: {toolchain: shelly, options: {level: 1}}"
INT8 = "int8: {toolchain: onnxruntime, recipe: int8}"

BELOW_INT8 = {f"int8/{step}" for step in ("validate", "detections", "benchmark", "verdict", "package")}
PACKAGES = {"fp32/package", "int8/package", "chip/package"}

REORDERED = """\
# A comment, another order, other quotes, block style.
package: {"version": "1.0.0"}
targets:
  fp32:
    recipe: fp32
    toolchain: onnxruntime
  int8: {recipe: 'int8', toolchain: 'onnxruntime'}
  chip:
    options:
      level: 1
    toolchain: shelly
acceptance: {map50_95: {max_drop: 0.50}}
benchmark: {runs: 3, warmup: 1}
quantize: {keep_float: ["decode", "last"]}
dataset:
  validation: {split: val}
  calibration: {seed: 0, sample: stratified, images: 4, split: train}
  data: data/data.yaml
model: {task: detect, imgsz: 64, weights: weights/tiny.pt}
name: shelf
edgebuild: 1
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A change, and what it makes run.

    Attributes:
        change: Changes the workspace.
        ran: Ids of all actions whose process starts.
        variables: Set for the run.
    """

    change: Callable[[Workspace], object]
    ran: set[str]
    variables: Mapping[str, str] = field(default_factory=dict)


def _nothing(_: Workspace) -> None:
    pass


def _touch(w: Workspace) -> None:
    for path in w.folder.rglob("*"):
        if path.is_file() and ".edgebuild" not in path.parts:
            os.utime(path)


def _level_in_output(w: Workspace) -> None:
    w.tool_mode("level")
    w.edit("level: 1", "level: 2")


def _flag(w: Workspace) -> None:
    w.edit(
        "--level {{ options.level }}", "--level={{ options.level }}", file="templates/shelly/compile.cmd.j2"
    )


def _comment(w: Workspace) -> None:
    w.edit("only option", "one option", file="templates/shelly/compile.cmd.j2")
    w.edit("The compiler of these tests", "Another title", file="templates/shelly/toolchain.yaml")


ROWS: dict[str, Row] = {
    "nothing": Row(change=_nothing, ran=set()),
    "every file touched": Row(change=_touch, ran=set()),
    "manifest rewritten with the same meaning": Row(
        change=lambda w: w.manifest.write_text(REORDERED, encoding="utf-8"), ran=set()
    ),
    "a comment in a template, a title": Row(change=_comment, ran=set()),
    "a variable that nobody declares": Row(change=_nothing, ran=set(), variables={"SHELLY_OTHER": "1"}),
    "a declared variable": Row(change=_nothing, ran={"chip/compile"}, variables={"SHELLY_LICENCE": "a"}),
    "one target's gate": Row(
        change=lambda w: w.edit(INT8, INT8[:-1] + ", acceptance: {map50_95: {max_drop: 0.4}}}"),
        ran={"int8/verdict", "int8/package"},
    ),
    "every target's gate": Row(
        change=lambda w: w.edit("max_drop: 0.5", "max_drop: 0.4"),
        ran={"fp32/verdict", "int8/verdict", "chip/verdict"} | PACKAGES,
    ),
    "the version of the packages": Row(
        change=lambda w: w.edit("version: 1.0.0", "version: 1.0.1"), ran=PACKAGES
    ),
    "a template's flag": Row(change=_flag, ran={"chip/compile", "chip/package"}),
    "an option that the output ignores": Row(
        change=lambda w: w.edit("level: 1", "level: 2"), ran={"chip/compile", "chip/package"}
    ),
    "an option that the output follows": Row(
        change=_level_in_output, ran={"chip/compile", "chip/verdict", "chip/package"}
    ),
    "an option written out at its default": Row(
        change=lambda w: w.edit(", options: {level: 1}", ""), ran={"chip/package"}
    ),
    "a tool's version": Row(
        change=lambda w: (w.tools / "version.txt").write_text("version=1.3.0\n", encoding="utf-8"),
        ran={"chip/compile", "chip/package"},
    ),
    "a timeout": Row(
        change=lambda w: w.edit(CHIP, CHIP[:-1] + ", timeout: 99}"), ran=set()
    ),
    "another target with the same recipe": Row(
        change=lambda w: w.edit(f"  {CHIP}", f"  fp32-b: {{toolchain: onnxruntime, recipe: fp32}}\n  {CHIP}"),
        ran={"fp32-b/package"},
    ),
    "the tool's mode, which nobody can know": Row(change=lambda w: w.tool_mode("fail"), ran=set()),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_change_runs_what_it_can_reach_and_nothing_else(built: Workspace, name: str) -> None:
    row = ROWS[name]
    _settle(built)
    row.change(built)
    foreseen = built.eb("run", "manifest.yaml", "--dry-run", "--json", variables=row.variables).json()
    ran = built.run(variables=row.variables)
    assert ran.code == 0, ran.done.err
    assert ran.ran == row.ran
    assert {a["id"] for a in foreseen["actions"] if a["state"] == "run"} >= row.ran
    again = built.run(variables=row.variables)
    assert again.ids("current") == {a["id"] for a in again.document["actions"]}


def _settle(w: Workspace, *words: str) -> None:
    """Run until the answer "nothing to do" is noted, so that a change has to be noticed by the note too."""
    for _ in range(4):
        assert not w.run(*words).ran
        if any((w.folder / ".edgebuild" / "idle").glob("*.json")):
            return
    pytest.fail("a run with nothing to do is not noted")


def test_another_installation_that_a_variable_names_is_noticed(built: Workspace, tmp_path: Path) -> None:
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "version.txt").write_text("version=1.4.0\n", encoding="utf-8")
    _settle(built)
    ran = built.run(variables={"SHELLY_HOME": str(tmp_path / "newer")})
    assert ran.ran == {"chip/compile", "chip/package"}


def test_an_added_and_a_removed_image_are_noticed(built: Workspace) -> None:
    added = built.folder / "data/images/val/000-more.bmp"
    _settle(built, "fp32/detections")
    write_image(added, random.Random("one more"))
    assert built.run("fp32/detections").ran == {"fp32/detections"}
    _settle(built, "fp32/detections")
    added.unlink()
    back = built.run("fp32/detections")
    assert back.ids("cached") == {"fp32/detections"}


def test_a_copy_at_another_place_has_nothing_to_do(master: Workspace, tmp_path: Path) -> None:
    moved = master.copy(tmp_path, same_cache=True)
    ran = moved.run()
    assert ran.ids("current") == {a["id"] for a in ran.document["actions"]}


def test_a_fresh_checkout_takes_everything_from_the_cache(master: Workspace, tmp_path: Path) -> None:
    clone = master.copy(tmp_path, same_cache=True)
    for folder in (".edgebuild", "build", "dist"):
        shutil.rmtree(clone.folder / folder)
    # An equal installation at another place: where a tool lies changes nothing.
    clone = replace(clone, tools=shutil.copytree(clone.tools, tmp_path / "elsewhere"))
    ran = clone.run()
    assert ran.ids("cached") == {a["id"] for a in ran.document["actions"]}
    for name in ("fp32", "int8", "chip"):
        package = f"dist/shelf/shelf-{name}-1.0.0.tar.gz"
        assert (clone.folder / package).read_bytes() == (master.folder / package).read_bytes()
    assert (clone.folder / "build/shelf/report.html").is_file()


def test_an_undone_change_comes_back_from_the_cache(built: Workspace) -> None:
    built.edit("level: 1", "level: 2")
    assert built.run().ran
    built.edit("level: 2", "level: 1")
    back = built.run()
    assert back.ids("cached") == {"chip/compile", "chip/package"}
    assert not back.ran


def test_other_calibration_images_reach_the_quantized_model_only(built: Workspace) -> None:
    built.edit("images: 4", "images: 5")
    ran = built.run()
    assert ran.ran == {"calibrate", "ranges", "quantize"} | BELOW_INT8
    assert {w["what"] for w in ran.action("calibrate")["why"]} == {"--images"}


def test_other_float_layers_keep_the_measured_ranges(built: Workspace) -> None:
    built.edit("keep_float: [decode, last]", "keep_float: [decode]")
    assert built.run("int8").ran == {"quantize@float-decode"} | BELOW_INT8


def test_an_image_that_is_not_chosen_for_calibration_ends_there(built: Workspace) -> None:
    chosen = _calibration_images(built)
    spare = next(p for p in sorted((built.folder / "data/images/train").iterdir()) if p.name not in chosen)
    write_image(spare, random.Random("another picture"))
    assert built.run().ran == {"calibrate"}


def test_a_validation_label_reaches_every_measurement_and_no_model(built: Workspace) -> None:
    label = built.folder / "data/labels/val/003.txt"
    label.write_text("0 0.4 0.4 0.2 0.2\n", encoding="utf-8")
    ran = built.run("fp32")
    # The float model and the target that ships it are one piece of work: whichever comes first does it.
    (measured,) = {"baseline", "fp32/validate"} & ran.ran
    assert not {"export", "fp32/benchmark", "preprocess", "ranges", "quantize"} & ran.ran
    (why,) = ran.action(measured)["why"]
    assert why["what"] == "validation"
    assert why["new"] == "12 files: ~1 files (~labels/val/003.txt)"


def test_the_same_weights_saved_again_end_at_the_export(built: Workspace, weights: Path) -> None:
    """Packages name the weights by their digest; nothing else after the export knows it."""
    place = built.folder / "weights" / "tiny.pt"
    assert place.read_bytes() != (weights / "again.pt").read_bytes()
    shutil.copy(weights / "again.pt", place)
    assert {name for name in built.run().ran if not name.endswith("/package")} == {"export"}


def test_other_weights_reach_everything_but_the_calibration(built: Workspace, weights: Path) -> None:
    shutil.copy(weights / "other.pt", built.folder / "weights" / "tiny.pt")
    ran = built.run("int8/quantize", "chip/compile")
    assert ran.ran == {"export", "preprocess", "ranges", "quantize", "chip/compile"}
    assert ran.ids("current") == {"calibrate"}
    assert {w["kind"] for w in ran.action("export")["why"]} == {"input"}


def test_force_runs_what_was_asked_for_and_stops_where_the_bytes_are_equal(built: Workspace) -> None:
    assert built.run("chip/compile", "--force").ran == {"chip/compile"}


def test_until_stops_there(built: Workspace) -> None:
    built.edit("level: 1", "level: 2")
    assert built.run("chip", "--until", "compile").ran == {"chip/compile"}


def test_explain_names_the_line_the_old_and_the_new_value(built: Workspace) -> None:
    built.edit("level: 1", "level: 2")
    lines = built.manifest.read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "level: 2" in text)
    told = built.eb("explain", "manifest.yaml", "chip/compile")
    assert f"option --level: 1 -> 2  [manifest.yaml:{line}]" in told.out, told.out


def _calibration_images(w: Workspace) -> set[str]:
    with tarfile.open(w.folder / "dist/shelf/shelf-int8-1.0.0.tar.gz") as package:
        member = package.extractfile("calibration.json")
        assert member is not None
        document = json.load(member)
    return {row["file"].rpartition("/")[2] for row in document["files"]}
