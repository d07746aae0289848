from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild import __version__
from edgebuild.action import ActionInput
from edgebuild.errors import ManifestError
from edgebuild.plan.plan import STEP_ORDER
from tests.unit.plans import (
    DATASET,
    MODEL,
    QUANTIZE,
    REPOSITORY,
    TEMPLATES,
    TRAIN,
    WORKSPACE,
    ascend,
    gate,
    int8,
    plan,
    target,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgebuild.plan.plan import Plan

TRAINED = replace(MODEL, weights=None, train=TRAIN)

PLANS: dict[str, Callable[[], Plan]] = {
    "float": lambda: plan(target()),
    "int8": lambda: plan(int8()),
    "int8-of-three": lambda: plan(
        int8("a", gates=(gate("map50_95", max_drop=0.02), gate("latency_ms_p50", max_ratio=0.8))),
        int8("b", batch=4, quantize=replace(QUANTIZE, method="percentile")),
        int8("c", recipe="int8-naive", ship=False),
    ),
    "trained": lambda: plan(target(), model=TRAINED),
    "no-dataset": lambda: plan(target(gates=(gate("size_mb", max=9), gate("latency_ms_p50", max_ratio=2.0))),
                               dataset=None),
    "ascend": lambda: plan(
        ascend(), ascend("ascend-int8", recipe="int8", batch=2, extra_args=("--x", "a b"))
    ),
    "cambricon": lambda: plan(
        target("mlu", toolchain="cambricon", options={"arch": "mlu270"}),
        target("mlu-genoff", toolchain="cambricon", recipe="genoff", options={"network": "yolov5"}),
    ),
    "hailo": lambda: plan(
        target("hailo8", toolchain="hailo", options={"hw_arch": "hailo8", "optimization_level": 1}),
        target("hailo10", toolchain="hailo", options={"hw_arch": "hailo10h", "end_node_names": ["/a/Conv"],
                                                      "model_script": ["allocator_param(width=1)"]}),
    ),
    "tensorrt-11": lambda: plan(
        target("int8", toolchain="tensorrt"), target("fp16", toolchain="tensorrt", recipe="autocast"),
        versions={"tensorrt/trtexec": "11.4.1"},
    ),
    "tensorrt-10": lambda: plan(
        target("int8", toolchain="tensorrt", options={"workspace": 2048}),
        target("dla", toolchain="tensorrt", recipe="fp16", options={"dla_core": 0}),
        versions={"tensorrt/trtexec": "10.3.0"},
    ),
    "qualcomm": lambda: plan(
        target("w8a8", toolchain="qualcomm", options={"dsp_arch": "v73"}),
        target("w8a16", toolchain="qualcomm", options={"dsp_arch": "v68", "act_bitwidth": 16, "soc_id": 35,
                                                       "vtcm_mb": 0}),
        target("fp16", toolchain="qualcomm", recipe="fp16", options={"dsp_arch": "v73"}),
    ),
    "everything": lambda: plan(
        target("float"), int8("pi", cpu="arm64"), int8("box"), ascend(), ascend("ascend-int8", recipe="int8"),
        target("mlu", toolchain="cambricon"), model=TRAINED,
    ),
}  # fmt: skip

EVERY = pytest.mark.parametrize("name", PLANS)


def ids(made: Plan) -> list[str]:
    return [action.id for action in made.actions]


def argument(made: Plan, action: str, name: str) -> str:
    argv = made.action(action).argv
    return argv[argv.index(name) + 1]


class TestEveryPlan:
    @EVERY
    def test_the_same_twice(self, name: str) -> None:
        assert PLANS[name]().actions == PLANS[name]().actions
        assert [asdict(t)["actions"] for t in PLANS[name]().targets] == [
            asdict(t)["actions"] for t in PLANS[name]().targets
        ]

    @EVERY
    def test_ids_are_unique_and_fit_for_files_and_command_lines(self, name: str) -> None:
        made = PLANS[name]()
        assert len(set(ids(made))) == len(made.actions)
        for action_id in ids(made):
            assert shlex.quote(action_id) == action_id
            assert action_id.count("/") <= 1

    @EVERY
    def test_every_action_comes_after_what_it_needs(self, name: str) -> None:
        seen: set[str] = set()
        for action in PLANS[name]().actions:
            assert set(action.needs) <= seen, action.id
            seen.add(action.id)

    @EVERY
    def test_every_input_is_an_output_that_exists_under_a_role_of_its_own(self, name: str) -> None:
        made = PLANS[name]()
        for action in made.actions:
            roles = [item.role for item in action.inputs]
            assert len(set(roles)) == len(roles), action.id
            for item in action.inputs:
                if isinstance(item, ActionInput):
                    made.action(item.action).output(item.output)

    @EVERY
    def test_every_scratch_path_of_a_command_is_there(self, name: str) -> None:
        """What an argv or a rendered file names below in/ and aux/ is an input or a rendered file."""
        for action in PLANS[name]().actions:
            inputs = {item.role for item in action.inputs}
            files = {file for file, _ in action.files}
            words = [w for word in action.argv for w in word.replace("=", " ").replace(",", " ").split()]
            for word in words:
                if word.startswith("in/"):
                    assert word.split("/")[1] in inputs, (action.id, word)
                if word.startswith("aux/"):
                    name = word.removeprefix("aux/")
                    assert any(file == name or file.startswith(f"{name}/") for file in files), (
                        action.id,
                        word,
                    )

    @EVERY
    def test_no_place_or_person_or_secret_is_in_what_a_key_is_made_of(self, name: str) -> None:
        for action in PLANS[name]().actions:
            text = json.dumps([action.argv, action.env, action.files, action.tools, action.id])
            for place in (str(WORKSPACE), str(REPOSITORY), str(TEMPLATES), str(Path.home()), "/home/"):
                assert place not in text, (action.id, place)

    @EVERY
    def test_what_the_users_files_are_called_does_not_count(self, name: str) -> None:
        for action in PLANS[name]().actions:
            assert "best of may" not in json.dumps([action.argv, action.files])
            for item in action.inputs:
                assert getattr(item, "name", "") != "best of may.pt"

    @EVERY
    def test_a_target_has_everything_it_needs_and_everything_knows_its_targets(self, name: str) -> None:
        made = PLANS[name]()
        needs = {action.id: set(action.needs) for action in made.actions}
        for one in made.targets:
            mine = set(one.actions)
            assert one.verdict in mine
            assert one.package in mine or not one.package
            assert all(needs[action] <= mine for action in mine)
            assert all(one.name in made.action(action).targets for action in mine)
            assert list(one.actions) == [action for action in ids(made) if action in mine]

    @EVERY
    def test_every_step_has_its_place_in_the_chain(self, name: str) -> None:
        made = PLANS[name]()
        rank = {a.id: STEP_ORDER.index(a.step if a.step in STEP_ORDER else "compile") for a in made.actions}
        for action in made.actions:
            assert all(rank[need] <= rank[action.id] for need in action.needs), action.id

    @EVERY
    def test_it_is_what_it_was(self, name: str, golden: Callable[[Path, str], None]) -> None:
        """Whoever changes a command sees it here, and so does whoever reviews the change."""
        rows: list[dict[str, Any]] = [
            {
                "id": action.id,
                "targets": list(action.targets),
                "argv": list(action.argv),
                "inputs": {item.role: _source(item) for item in action.inputs},
                "outputs": {output.role: output.path for output in action.outputs},
                "files": dict(action.files),
                "tools": list(action.tools),
            }
            for action in PLANS[name]().actions
        ]
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        said = json.dumps(f'"edgebuild":"{__version__}"')[1:-1]  # else every release changes every plan
        text = text.replace(said, said.replace(__version__, "VERSION"))
        golden(REPOSITORY / "tests" / "golden" / "plans" / f"{name}.json", text)


def _source(item: Any) -> str:
    if isinstance(item, ActionInput):
        return f"{item.action}:{item.output}"
    return item.name if hasattr(item, "name") else f"{len(item.files)} files"


class TestSharing:
    SHARED = ("export", "calibrate", "preprocess", "ranges", "quantize")

    def test_two_equal_int8_targets_share_everything_up_to_the_model(self) -> None:
        made = plan(int8("a"), int8("b"))
        for name in (*self.SHARED, "baseline", "baseline-detections"):
            assert made.action(name).targets == ("a", "b")
        assert "a/validate" in ids(made)
        assert "b/validate" in ids(made)

    def test_other_types_share_what_comes_before_them(self) -> None:
        made = plan(int8("box", cpu="x86-vnni"), int8("pi", cpu="arm64"), int8("old", cpu="x86"))
        found = [action_id for action_id in ids(made) if "/" not in action_id]
        assert sorted(found) == [
            "baseline", "baseline-detections", "calibrate", "export", "preprocess", "quantize",
            "quantize@s8s8", "quantize@u8s8r", "ranges",
        ]  # fmt: skip
        assert made.action("ranges").targets == ("box", "pi", "old")

    def test_another_method_measures_its_own_ranges(self) -> None:
        made = plan(int8("a"), int8("b", quantize=replace(QUANTIZE, method="entropy")))
        assert {"ranges", "ranges@entropy", "quantize", "quantize@entropy"} <= set(ids(made))
        assert made.action("preprocess").targets == ("a", "b")

    def test_another_batch_is_another_export_and_the_calibration_is_shared(self) -> None:
        made = plan(int8("a"), int8("b", batch=4))
        assert {"export", "export@b4", "preprocess@b4", "ranges@b4", "quantize@b4"} <= set(ids(made))
        assert made.action("calibrate").targets == ("a", "b")
        # The float model is measured once, with batch 1, so every target has the export with batch 1.
        assert made.action("export").targets == ("a", "b")

    def test_percentiles_that_differ_in_the_seventh_digit_are_two(self) -> None:
        nearly = [99.99999, 99.99998, 100.0]
        made = plan(
            *(int8(f"t{i}", quantize=replace(QUANTIZE, method="percentile", percentile=p))
              for i, p in enumerate(nearly))
        )  # fmt: skip
        ranges = [a for a in made.actions if a.step == "ranges"]
        assert [a.argv[a.argv.index("--percentile") + 1] for a in ranges] == ["99.99999", "99.99998", "100.0"]

    def test_a_target_without_a_cpu_is_for_this_machine(self) -> None:
        assert argument(plan(int8(cpu=""), cpu="arm64"), "quantize@s8s8", "--activation") == "s8"
        assert argument(plan(int8(cpu=""), cpu="x86-vnni"), "quantize", "--activation") == "u8"

    def test_training_is_shared_by_all(self) -> None:
        made = plan(target("a"), int8("b"), model=TRAINED)
        assert made.action("train").targets == ("a", "b")
        assert made.action("export").needs == ("train",)

    def test_vendors_share_the_common_chain(self) -> None:
        made = plan(int8("pi"), ascend("npu", recipe="int8"))
        assert made.action("calibrate").targets == ("pi", "npu")
        assert made.action("npu/amct").needs == ("export", "calibration@raw-float32", "npu/amct-files")


class TestMeasuring:
    def test_the_float_model_is_judged_by_the_same_protocol(self) -> None:
        made = plan(int8())
        mine, floats = made.action("pi/validate"), made.action("baseline")
        assert [w for w in mine.argv if not w.startswith("in/artifact")] == list(floats.argv) or (
            mine.argv == floats.argv
        )
        assert (made.baseline, made.baseline_detections) == ("baseline", "baseline-detections")

    def test_only_relative_gates_read_the_float_model(self) -> None:
        made = plan(int8(gates=(gate("map50_95", min=0.4),)))
        assert "baseline" not in made.action("pi/verdict").needs
        made = plan(int8(gates=(gate("map50_95", max_drop=0.02),)))
        assert "baseline" in made.action("pi/verdict").needs

    def test_a_gate_on_a_ratio_of_latencies_measures_the_float_model_too(self) -> None:
        made = plan(int8(gates=(gate("latency_ms_p50", max_ratio=0.8),)))
        assert "baseline-benchmark@t1-w2-r5" in made.action("pi/verdict").needs
        assert made.action("baseline-benchmark@t1-w2-r5").machine

    def test_a_call_with_a_batch_is_compared_with_one_of_the_float_model_with_as_many(self) -> None:
        asked = {"batch": 8, "gates": (gate("latency_ms_p50", max_ratio=1.5),)}
        made = plan(target("a", **asked), int8("b", **asked), target("c", gates=asked["gates"]))
        eight, one = "baseline-benchmark@t1-w2-r5-b8", "baseline-benchmark@t1-w2-r5"
        assert made.action(eight).targets == ("a", "b")
        assert argument(made, eight, "--batch") == argument(made, "a/benchmark", "--batch") == "8"
        assert "export@b8" in made.action(eight).needs
        assert (made.action(one).targets, argument(made, one, "--batch")) == (("c",), "1")

    def test_without_a_dataset_a_gate_can_still_compare_latency_and_size(self) -> None:
        gates = (gate("latency_ms_p50", max_ratio=2.0), gate("size_mb", max_ratio=1.0))
        made = plan(target(gates=gates), dataset=None)
        verdict = made.action("pi/verdict")
        assert {"--baseline-benchmark", "--baseline-artifact"} <= set(verdict.argv)
        assert made.baseline == ""
        assert "baseline" not in ids(made)

    def test_without_a_dataset_or_gates_nothing_of_the_float_model_is_measured(self) -> None:
        made = plan(target(batch=4), dataset=None)
        assert ids(made) == ["export@b4", "pi/benchmark", "pi/verdict", "pi/package"]

    def test_only_measurements_depend_on_the_machine(self) -> None:
        made = PLANS["everything"]()
        assert {a.step for a in made.actions if a.machine} == {"benchmark"}

    def test_thresholds_keep_every_digit(self) -> None:
        protocol = replace(DATASET.validation, confidence=0.1234567, iou=0.65)
        made = plan(target(), dataset=replace(DATASET, validation=protocol))
        assert argument(made, "baseline", "--confidence") == "0.1234567"
        assert argument(made, "baseline", "--iou") == "0.65"

    def test_a_target_that_is_only_compared_with_has_no_package(self) -> None:
        made = plan(int8("pi"), target("float", ship=False))
        assert (made.target("float").package, made.target("pi").package) == ("", "pi/package")
        assert "float/verdict" in ids(made)

    def test_a_package_says_what_made_it(self) -> None:
        made = plan(ascend(recipe="int8"))
        spec = json.loads(dict(made.action("ascend/package").files)["package.json"])
        assert set(spec["commands"]) == {
            "export", "calibrate", "calibration@raw-float32", "ascend/amct-model-nodes", "ascend/amct-files",
            "ascend/amct", "ascend/compile",
        }  # fmt: skip
        assert spec["files"]["ascend/amct-files"]["templates/amct.cfg.j2"].startswith("version: 1")
        assert {"ascend/atc", "ascend/amct_onnx", "distribution:ultralytics"} <= set(
            made.action("ascend/package").tools
        )

    def test_another_version_changes_the_packages_alone(self) -> None:
        one, other = plan(int8()), plan(int8(), package=replace(plan(int8()).manifest.package, version="2.0"))
        changed = [a.id for a, b in zip(one.actions, other.actions, strict=True) if a != b]
        assert changed == ["pi/package"]

    def test_another_gate_changes_the_verdict_alone(self) -> None:
        one, other = plan(int8()), plan(int8(gates=(gate("size_mb", max=4),)))
        changed = [a.id for a, b in zip(one.actions, other.actions, strict=True) if a != b]
        assert changed == ["pi/verdict"]


class TestLookup:
    def test_by_name(self) -> None:
        made = plan(int8())
        assert made.action("export").id == "export"
        assert made.target("pi").name == "pi"
        with pytest.raises(KeyError):
            made.action("nothing")
        with pytest.raises(KeyError):
            made.target("nothing")


class TestRefused:
    def test_all_problems_at_once(self) -> None:
        with pytest.raises(ManifestError) as caught:
            plan(
                target("a", recipe="int9"),
                ascend("b", options={"soc_version": "Ascend310P"}),
                target("c", gates=(gate("latency_ms_p50", max=9, evidence="device"),)),
            )
        assert [p.path for p in caught.value.problems] == [
            "targets.a.recipe",
            "targets.b.options.soc_version",
            "targets.c.acceptance.latency_ms_p50",
        ]
        assert all(p.line == 10 for p in caught.value.problems)
