"""Files that depend on a graph: which steps come before a vendor's step, and what they are given."""

from __future__ import annotations

import json

from edgebuild.action import ActionInput
from tests.unit.plans import ascend, plan


def test_two_steps_come_between_the_model_and_the_vendors_step() -> None:
    made = plan(ascend("npu", recipe="int8"))
    nodes, files = made.action("npu/amct-model-nodes"), made.action("npu/amct-files")
    assert (nodes.needs, files.needs) == (("export",), ("npu/amct-model-nodes",))
    assert "npu/amct-files" in made.action("npu/amct").needs
    argv = made.action("npu/amct").argv
    assert argv[argv.index("--calibration_config") + 1] == "in/files/amct.cfg"


def test_the_vendors_step_reads_the_files_as_a_folder() -> None:
    made = plan(ascend("npu", recipe="int8"))
    item = next(item for item in made.action("npu/amct").inputs if item.role == "files")
    assert item == ActionInput(role="files", action="npu/amct-files", output="files")
    assert made.action("npu/amct-files").output("files").tree


def test_the_template_and_the_variables_go_along() -> None:
    made = plan(ascend("npu", recipe="int8", options={"soc_version": "Ascend310P3", "skip_layers": ["/a"]}))
    files = dict(made.action("npu/amct-files").files)
    assert "float_layers" in files["templates/amct.cfg.j2"]
    document = json.loads(files["files.json"])
    assert document["files"] == [{"path": "amct.cfg", "role": "model", "template": "amct.cfg.j2"}]
    assert document["variables"]["options"]["skip_layers"] == ["/a"]
    assert document["variables"]["aux"] == {"amct.cfg": "in/files/amct.cfg"}


def test_a_step_without_such_files_has_nothing_before_it() -> None:
    made = plan(ascend("npu"))
    assert made.action("npu/compile").needs == ("export",)
    assert not [action.id for action in made.actions if action.step in {"float-nodes", "graph-files"}]
