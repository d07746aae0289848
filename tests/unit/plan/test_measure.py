from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgebuild.action import FileInput
from edgebuild.plan import measure
from edgebuild.plan.measure import Subject
from edgebuild.plan.own_step import Ref
from tests.unit.plans import TEMPLATES, gate, int8, manifest, target

if TYPE_CHECKING:
    from edgebuild.action import Action

ARTIFACT = Ref(action="quantize", output="model", name="model.onnx")
INFO = Ref(action="export", output="info", name="model.json")
SUBJECT = Subject(artifact=ARTIFACT, info=INFO, evidence="host")
OWN = Subject(artifact=ARTIFACT, info=INFO, evidence="emulator", runtime=TEMPLATES / "vendor" / "run it.py")


def actions(subject: Subject) -> list[Action]:
    one = manifest(int8())
    return [
        measure.validate(one, "pi/validate", "pi", subject),
        measure.detections(one, "pi/detections", "pi", subject),
        measure.benchmark(int8(), "pi/benchmark", subject, 2),
    ]


@pytest.mark.parametrize("action", actions(SUBJECT), ids=lambda a: a.step)
def test_a_measurement_reads_artifact_and_description(action: Action) -> None:
    assert action.argv[3:7] == ("--artifact", "in/artifact/model.onnx", "--info", "in/info/model.json")
    assert action.needs == ("quantize", "export")
    assert "--runtime" not in action.argv


@pytest.mark.parametrize("action", actions(OWN), ids=lambda a: a.step)
def test_a_vendors_runtime_goes_along_under_a_fixed_name(action: Action) -> None:
    place = action.argv.index("--runtime")
    assert action.argv[place + 1] == "in/runtime/runtime.py"
    (item,) = (i for i in action.inputs if i.role == "runtime")
    assert isinstance(item, FileInput)
    assert (item.name, item.path) == ("runtime.py", OWN.runtime)


def test_a_benchmark_is_of_this_machine_and_its_settings_are_the_targets() -> None:
    action = actions(SUBJECT)[2]
    assert action.machine
    assert action.argv[7:15] == ("--threads", "1", "--batch", "2", "--warmup", "2", "--runs", "5")


def test_a_verdict_reads_its_gates_and_what_was_measured() -> None:
    gates = (gate("map50_95", max_drop=0.02), gate("size_mb", max=4, evidence="host"))
    found = {"metrics": Ref(action="pi/validate", output="metrics", name="metrics.json")}
    action = measure.verdict(target("pi", gates=gates), ARTIFACT, found)
    assert json.loads(dict(action.files)["gates.json"]) == [
        {"metric": "map50_95", "kind": "max_drop", "limit": 0.02, "evidence": ""},
        {"metric": "size_mb", "kind": "max", "limit": 4, "evidence": "host"},
    ]
    assert action.needs == ("pi/validate", "quantize")
    assert action.argv[5:7] == ("--metrics", "in/metrics/metrics.json")


def test_a_package_is_called_after_what_it_is() -> None:
    action = measure.package(
        manifest(target()), target(), {"name": "x"}, {"artifact": ARTIFACT}, ("vendor/cc",), {}
    )
    assert [o.path for o in action.outputs] == [
        "fasteners-pi-1.4.0.tar.gz",
        "fasteners-pi-1.4.0.measurements.json",
    ]
    assert action.outputs[0].magic == "1f8b"
    assert "vendor/cc" in action.tools
    assert dict(action.files)["tools.json"] == "{}"
    assert len(set(action.tools)) == len(action.tools)
