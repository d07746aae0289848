from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebuild.action import ActionInput, FileInput, Output, TreeInput
from edgebuild.plan.commands import _replace, comment, folder, pasted, script
from edgebuild.plan.plan import Plan
from tests.unit.plans import DATASET, WORKSPACE, ascend, int8, manifest, plan, target
from tests.unit.workbench import shell

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.action import Action

paths = st.text(st.sampled_from("abinoutux/._-"), min_size=1, max_size=8)


def holding(*actions: Action, place: Path = WORKSPACE) -> Plan:
    """Return a plan of just these actions."""
    return Plan(
        manifest=replace(manifest(target()), folder=place),
        actions=actions,
        targets=(),
        baseline="",
        baseline_detections="",
    )


def test_a_comment_is_one_line() -> None:
    assert comment("a folder\nrm -rf x") == "# a folder\\nrm -rf x"
    assert comment("größe 1\r") == "# größe 1\\r"


class TestPaste:
    def test_scratch_paths_become_paths_of_the_workspace(self) -> None:
        made = plan(int8())
        assert shlex.join(pasted(made, made.action("export"))) == (
            "python -m edgebuild.steps.export --weights 'weights/best of may.pt' --task detect "
            "--imgsz 320 320 --batch 1 --opset 17 --simplify --model build/fasteners/export/model.onnx "
            "--info build/fasteners/export/model.json"
        )

    def test_another_actions_output_is_where_that_action_puts_it(self) -> None:
        made = plan(ascend("npu", recipe="int8"))
        assert "--model=build/fasteners/npu/amct/model_deploy_model.onnx" in pasted(
            made, made.action("npu/compile")
        )
        assert "--output=build/fasteners/npu/compile/model" in pasted(made, made.action("npu/compile"))
        assert "build/fasteners/npu/amct-files/files/amct.cfg" in pasted(made, made.action("npu/amct"))

    def test_a_split_is_the_folder_with_its_images(self) -> None:
        made = plan(int8())
        argv = pasted(made, made.action("calibrate"))
        assert argv[argv.index("--train") + 1] == "data/images/train"
        assert argv[argv.index("--validation") + 1] == "data/images/val"

    def test_nothing_of_the_scratch_directory_is_left(self) -> None:
        made = plan(int8(), ascend("npu", recipe="int8"), target("mlu", toolchain="cambricon"))
        for action in made.actions:
            for word in pasted(made, action):
                assert not re.match(r"(.*=)?(in|out|aux)/", word), (action.id, word)

    def test_data_beside_the_workspace_is_reached_from_it(self) -> None:
        moved = {name: replace(s, root=WORKSPACE.parent / "data") for name, s in DATASET.splits.items()}
        made = plan(int8(), dataset=replace(DATASET, splits=moved))
        assert "../data/images/train" in pasted(made, made.action("calibrate"))

    def test_data_in_a_folder_called_out_is_not_replaced_twice(self) -> None:
        tree = TreeInput(role="data", root=WORKSPACE / "out" / "in", files=("a.jpg", "b.jpg"))
        file = FileInput(role="model", name="m.onnx", path=WORKSPACE / "aux" / "m.onnx")
        action = shell("step", "in/data in/model/m.onnx out/out.txt", tree, file)
        assert pasted(holding(action), action)[2] == "out/in aux/m.onnx build/fasteners/step/out.txt"

    def test_a_tree_of_an_action_is_its_folder(self) -> None:
        first = shell("first", "", out=(Output(role="out", path="images", tree=True),))
        item = ActionInput(role="calibration", action="first", output="out", name="images")
        second = shell("second", "in/calibration/images/1.bin in/calibration/images", item)
        assert pasted(holding(first, second), second)[2] == (
            "build/fasteners/first/images/1.bin build/fasteners/first/images"
        )


PLACES = {"out": "build", "in/model/m.onnx": "m", "in/model": "x", "in/mod": "y", "aux": "a"}


class TestReplace:
    @pytest.mark.parametrize(
        ("text", "replaced"),
        [
            ("out/x", "build/x"),
            ("--output=out/x", "--output=build/x"),
            ("in/model/m.onnx", "m"),
            ("in/model/m.onnx.bak", "x/m.onnx.bak"),
            ("in/model", "x"),
            ("in/models", "in/models"),
            ("layout/x", "layout/x"),
            ("a/out/x", "a/out/x"),
            ("./out/x", "./out/x"),
            ("out.txt", "out.txt"),
            ("output", "output"),
            ("'out/a','out/b'", "'build/a','build/b'"),
            ("out/a:aux/b;in/mod", "build/a:a/b;y"),
            ("", ""),
        ],
    )
    def test_only_whole_paths(self, text: str, replaced: str) -> None:
        assert _replace(text, PLACES) == replaced

    @pytest.mark.parametrize("place", ["a\\1b", "\\g<0>", "a\\", "$HOME", "a b"])
    def test_a_place_is_taken_as_it_is(self, place: str) -> None:
        assert _replace("out/x", {"out": place}) == f"{place}/x"

    @given(st.dictionaries(paths, paths, max_size=5), paths)
    def test_a_scratch_path_as_a_whole_becomes_its_place(self, places: dict[str, str], text: str) -> None:
        found = _replace(text, places)
        if text in places:
            assert found == places[text]
        if not any(place in text for place in places):
            assert found == text

    def test_nothing_to_replace(self) -> None:
        assert _replace("out/x", {}) == "out/x"
        assert _replace("out/x", {"": "y"}) == "out/x"


def test_where_an_action_puts_things() -> None:
    assert folder(plan(int8()), "pi/validate") == "build/fasteners/pi/validate"


def test_a_script_does_what_the_actions_do(tmp_path: Path) -> None:
    """The text is really run by a shell, from the workspace, twice."""
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data" / "it's.txt").write_text("hello", encoding="utf-8")
    file = FileInput(role="source", name="a.txt", path=tmp_path / "my data" / "it's.txt")
    tricky = "$HOME `id` 'quoted' \\n\nout/out.txt"
    first = shell(
        "first", 'cat "$1" "$2" > "$3"', file, files=(("deep/extra.txt", tricky),), out="sub/out.txt",
        env=(("MODE", "a 'b' $c"),),
    )  # fmt: skip
    first = replace(
        first, argv=(*first.argv, "x", "in/source/a.txt", "aux/deep/extra.txt", "out/sub/out.txt")
    )
    item = ActionInput(role="up", action="first", output="out", name="up.txt")
    second = replace(
        shell("demo/second", 'echo "$MODE" | cat - "$1" > "$2"', item, env=(("MODE", "a 'b' $c"),)),
        argv=("sh", "-c", 'echo "$MODE" | cat - "$1" > "$2"', "x", "in/up/up.txt", "out/out.txt"),
    )
    text = script(holding(first, second, place=tmp_path), [first, second])
    for _ in range(2):
        done = subprocess.run(
            ["sh", "-e"], input=text, cwd=tmp_path, text=True, capture_output=True, check=False,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
    result = (tmp_path / "build/fasteners/demo/second/out.txt").read_text(encoding="utf-8")
    assert result == ("a 'b' $c\nhello$HOME `id` 'quoted' \\n\nbuild/fasteners/first/out.txt\n")
