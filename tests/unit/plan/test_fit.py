from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.plan.fit import calibration_notes, chosen_recipe, target_problems
from edgebuild.toolchain.load import CalibrationNeed, Limits
from tests.unit.plans import DATASET, MODEL, TRAIN, WORKSPACE, ascend, gate, int8, manifest, target, toolchain

if TYPE_CHECKING:
    from edgebuild.errors import Problem
    from edgebuild.manifest.values import Target


def problems(one: Target, *, limits: dict[str, Any] | None = None, **changes: Any) -> list[Problem]:
    chain = toolchain(one.toolchain)
    if limits:
        chain = replace(chain, limits=replace(chain.limits, **limits))
    return list(target_problems(manifest(one, **changes), one, chain))


def only(found: list[Problem]) -> Problem:
    (problem,) = found
    return problem


@pytest.mark.parametrize(
    "one",
    [target(), int8(), ascend(), ascend(recipe="int8"), target("mlu", toolchain="cambricon")],
)
def test_what_fits_has_no_problem(one: Target) -> None:
    assert problems(one) == []


def test_the_default_recipe() -> None:
    assert chosen_recipe(target(), toolchain("onnxruntime")).name == "fp32"
    assert chosen_recipe(int8(), toolchain("onnxruntime")).name == "int8"


def test_a_recipe_that_does_not_exist() -> None:
    found = only(problems(target(recipe="int9")))
    assert (found.path, found.line) == ("targets.pi.recipe", 10)
    assert "int8-naive" in found.hint


def test_extra_args_that_go_nowhere() -> None:
    given: dict[str, Any] = {"extra_args": ("--x",)}
    assert problems(ascend(**given)) == problems(ascend(recipe="int8", **given)) == []
    found = only(problems(target(**given)))
    assert found.path == "targets.pi.options.extra_args"
    assert found.message == "extra_args have no effect: recipe 'fp32' does not take them"
    one, chain = ascend(**given), toolchain("ascend")
    command = replace(chain.steps["compile"].command, text="atc --model {{ inputs.model }}")
    chain = replace(chain, steps={**chain.steps, "compile": replace(chain.steps["compile"], command=command)})
    found = only(list(target_problems(manifest(one), one, chain)))
    assert found.message.startswith("extra_args have no effect: ")
    assert found.message.endswith("ascend/compile.cmd.j2 does not take them")


def test_a_head_that_the_recipe_does_not_take() -> None:
    found = only(problems(ascend(head="cut")))
    assert (found.path, found.hint) == ("targets.ascend.head", "it takes: full")
    assert problems(target(head="cut")) == []


def test_a_cut_head_needs_a_fixed_size() -> None:
    model = replace(MODEL, export=replace(MODEL.export, dynamic=True))
    assert "fixed image size" in only(problems(target(head="cut"), model=model)).message
    assert problems(target(), model=model) == []
    # Where a compiler takes fixed shapes only, the export is fitted to it anyway.
    assert problems(target("rk", toolchain="rknn", recipe="int8"), model=model) == []


def test_an_option_that_does_not_exist() -> None:
    found = only(problems(ascend(options={"soc_versoin": "x"})))
    assert found.path == "targets.ascend.options.soc_versoin"
    assert "soc_version" in found.message


class TestLimits:
    def test_the_opset_of_an_onnx_that_cannot_be_exported_anew(self) -> None:
        export = replace(MODEL.export, opset=18)
        given = replace(MODEL, weights=WORKSPACE / "best.onnx", export=export)
        found = only(problems(ascend(), model=given))
        assert "opset 11 to 17, the export has 18" in found.message
        assert "model.export.opset: 17" in found.hint
        assert problems(ascend(), model=replace(MODEL, export=export)) == []

    def test_the_opset_does_not_matter_to_who_reads_no_onnx(self) -> None:
        newer = replace(MODEL, export=replace(MODEL.export, opset=18))
        options = {"network": "yolov5"}
        one = target("mlu", toolchain="cambricon", recipe="genoff", options=options)
        assert problems(one, limits={"opset": (11, 17)}, model=newer) == []

    def test_the_opset_of_what_is_shipped_as_it_is(self) -> None:
        given = replace(MODEL, weights=WORKSPACE / "best.onnx")
        assert "opset" in only(problems(target(), limits={"opset": (1, 16)}, model=given)).message

    def test_batch_and_task_are_said_together_with_what_to_change(self) -> None:
        found = problems(
            target(batch=8),
            limits={"batch": (1, 4), "tasks": ("classify",), "dynamic": False},
            model=replace(MODEL, export=replace(MODEL.export, dynamic=True)),
        )
        text = "\n".join(p.message for p in found)
        assert len(found) == 2  # open shapes are fixed without asking
        assert "batch 1 to 4" in text
        assert "task 'detect'" in text
        assert "set targets.pi.batch: 4" in "".join(p.hint for p in found)

    def test_no_limit_is_no_problem(self) -> None:
        chain = replace(toolchain("onnxruntime"), limits=Limits(dynamic=True))
        assert list(target_problems(manifest(target()), target(batch=64), chain)) == []


class TestData:
    def test_int8_needs_images(self) -> None:
        found = only([p for p in problems(int8(), dataset=None) if "calibration" in p.message])
        assert "`dataset:`" in found.hint

    def test_too_few_images(self) -> None:
        need = CalibrationNeed(format="raw-float32", minimum=100, useful_maximum=None)
        chain = replace(toolchain("ascend"), calibration=need)
        one = ascend(recipe="int8")
        found = only(list(target_problems(manifest(one), one, chain)))
        assert (found.path, found.line, found.column) == ("dataset.calibration.images", 7, 5)
        assert "at least 100 calibration images, 4 are asked for" in found.message

    def test_more_images_than_are_useful_are_a_note(self) -> None:
        chain = toolchain("ascend")
        one, plain = ascend(recipe="int8"), ascend(recipe="fp16")
        plenty = replace(DATASET, calibration=replace(DATASET.calibration, images=201))
        (note,) = calibration_notes(manifest(one, dataset=plenty), one, chain)
        assert (note.id, note.level) == ("calibration-many", "note")
        assert "calibrates on 201 images; ascend gains nothing beyond 200" in note.message
        assert calibration_notes(manifest(one), one, chain) == ()
        assert calibration_notes(manifest(plain, dataset=plenty), plain, chain) == ()

    def test_float_needs_none(self) -> None:
        assert problems(ascend(), dataset=None) == []

    def test_a_recipe_that_reads_weights_cannot_read_onnx(self) -> None:
        one = target("mlu", toolchain="cambricon", recipe="genoff", options={"network": "yolov5"})
        exported = replace(MODEL, weights=DATASET.file.with_suffix(".onnx"))
        assert "PyTorch weights" in only(problems(one, model=exported)).message
        assert problems(one, model=replace(MODEL, weights=None, train=TRAIN)) == []


class TestGates:
    @pytest.mark.parametrize(
        "one",
        [
            int8(gates=(gate("map50_95", max_drop=0.1), gate("latency_ms_p50", max=9, evidence="host"))),
            ascend(gates=(gate("map50_95/bolt", min=0.1, evidence="proxy"), gate("size_mb", max=9))),
            target("chip", toolchain="imx500", gates=(gate("onchip_memory_mb", max=8, evidence="emulator"),)),
        ],
    )
    def test_what_can_be_measured(self, one: Target) -> None:
        assert problems(one) == []

    @pytest.mark.parametrize(
        ("one", "metric", "words"),
        [
            (ascend(gates=(gate("latency_ms_p50", max=9),)), "latency_ms_p50", "is measured nowhere"),
            (int8(gates=(gate("npu_cycles", max=9),)), "npu_cycles", "is measured nowhere"),
            (
                target("chip", toolchain="imx500", gates=(gate("latency_ms_p50", max=9),)),
                "latency_ms_p50",
                "is measured nowhere",
            ),
            (
                target("chip", toolchain="imx500", gates=(gate("onchip_memory_mb", max_ratio=0.5),)),
                "onchip_memory_mb",
                "is an estimate, and the float model is measured on this machine",
            ),
            (
                ascend(gates=(gate("map50_95", min=0.1, evidence="device"),)),
                "map50_95",
                "is measured with evidence 'proxy', the gate demands device",
            ),
            (
                int8(gates=(gate("latency_ms_p50", max=9, evidence="device"),)),
                "latency_ms_p50",
                "is measured with evidence 'host', the gate demands device",
            ),
        ],
    )
    def test_what_nothing_here_can_ever_measure(self, one: Target, metric: str, words: str) -> None:
        found = only(problems(one))
        assert found.path == f"targets.{one.name}.acceptance.{metric}"
        assert f"impossible gate: {metric}" in found.message
        assert words in found.message
        assert f"write {metric}: null" in found.hint

    def test_a_gate_is_refused_with_what_the_target_can_have(self) -> None:
        found = only(problems(int8(gates=(gate("cpu_operators", max=0),))))
        assert "it can have map50_95, map50, precision, recall, latency_ms_p50" in found.hint
        assert found.hint.endswith("throughput, peak_memory_mb, size_mb")
        chip = target("chip", toolchain="imx500", gates=(gate("latency_ms_p50", max=9),))
        assert "recall, onchip_memory_mb, size_mb" in only(problems(chip)).hint

    def test_without_a_dataset_no_accuracy(self) -> None:
        one = target(gates=(gate("map50_95", min=0.1),))
        assert "is measured nowhere" in only(problems(one, dataset=None)).message


def test_the_place_of_what_the_command_line_gives_is_its_words() -> None:
    one = target(recipe="int9")
    given = manifest(one)
    place = "targets.pi.recipe"
    given = replace(
        given, positions={**given.positions, place: (0, 0)}, settings={place: f"--set {place}=int9"}
    )
    found = only(list(target_problems(given, one, toolchain(one.toolchain))))
    assert str(found).startswith(f"--set {place}=int9: {place}: onnxruntime has no recipe 'int9'")


def test_an_option_that_is_a_text_says_what_to_type_for_the_shell() -> None:
    one = replace(ascend(), options={"soc_version": 310.5})
    given = manifest(one)
    place = f"targets.{one.name}.options.soc_version"
    setting = f"{place}=310.5"
    given = replace(given, positions={**given.positions, place: (0, 0)}, settings={place: f"--set {setting}"})
    found = list(target_problems(given, one, toolchain(one.toolchain)))
    assert found[0].message == "310.5 is not a string"
    assert found[0].hint == f"type: --set \"{place}='310.5'\""
