from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgebuild.plan.own_step import FileRef, Ref
from edgebuild.plan.source import Sources
from tests.unit.plans import MODEL, TRAIN, WORKSPACE, ascend, int8, manifest, plan, toolchain

if TYPE_CHECKING:
    from edgebuild.action import Action
    from edgebuild.manifest.values import Model, Target


class Draft:
    """The actions that were asked for, in order."""

    def __init__(self, target: Target, model: Model = MODEL, head: str = "full") -> None:
        self.added: dict[str, Action] = {}
        chain = toolchain(target.toolchain)
        self.sources = Sources(self.add, manifest(target, model=model), target, chain, "x86-vnni", head=head)

    def add(self, action: Action) -> str:
        self.added[action.id] = action
        return action.id


@pytest.mark.parametrize(
    ("name", "ref", "actions"),
    [
        ("onnx", Ref(action="export@b2", output="model", name="model.onnx"), ["export@b2"]),
        ("info", Ref(action="export@b2", output="info", name="model.json"), ["export@b2"]),
        (
            "qdq",
            Ref(action="quantize@b2", output="model", name="model.onnx"),
            ["calibrate", "export@b2", "preprocess@b2", "ranges@b2", "quantize@b2"],
        ),
        (
            "qdq_naive",
            Ref(action="quantize@b2-naive", output="model", name="model.onnx"),
            ["calibrate", "export@b2", "preprocess@b2", "ranges@b2", "quantize@b2-naive"],
        ),
        (
            "qdq_w8a16",
            Ref(action="quantize@b2-u16s8", output="model", name="model.onnx"),
            ["calibrate", "export@b2", "preprocess@b2", "ranges@b2", "quantize@b2-u16s8"],
        ),
        (
            "dynamic",
            Ref(action="quantize@dynamic-b2", output="model", name="model.onnx"),
            ["export@b2", "preprocess@b2", "quantize@dynamic-b2"],
        ),
        (
            "fp16",
            Ref(action="float16@b2", output="model", name="model.onnx"),
            ["export@b2", "float16@b2"],
        ),
    ],
)
def test_a_source_makes_what_it_needs_and_no_more(name: str, ref: Ref, actions: list[str]) -> None:
    draft = Draft(int8(batch=2, cpu=""))
    assert draft.sources.get(name) == ref
    assert list(draft.added) == actions


def test_what_a_recipe_reads_has_its_head_and_the_baseline_has_not() -> None:
    draft = Draft(int8(batch=2, cpu=""), head="cut")
    assert draft.sources.get("qdq").action == "quantize@b2-cut"
    assert list(draft.added) == [
        "calibrate", "export@b2", "head@b2-cut", "preprocess@b2-cut", "ranges@b2-cut", "quantize@b2-cut"
    ]  # fmt: skip
    assert draft.sources.info().action == "head@b2-cut"
    model, info, label = draft.sources.reference()
    assert (model.action, info.action, label) == ("export", "export", "")


def test_behind_a_cut_nothing_of_the_decoding_is_left_to_keep_float() -> None:
    draft = Draft(int8(cpu=""), head="cut")
    argv = draft.added[draft.sources.get("qdq").action].argv
    assert argv[argv.index("--keep-float") + 1 : argv.index("--output")] == ("last",)


def test_calibration_is_in_the_vendors_format() -> None:
    draft = Draft(ascend(recipe="int8"))
    ref = draft.sources.get("calibration")
    assert ref == Ref(action="calibration@raw-float32", output="calibration", name="calibration", tree=True)
    assert list(draft.added) == ["calibrate", "calibration@raw-float32"]
    assert draft.sources.used == {"calibrate"}


def test_weights_are_given_or_trained() -> None:
    given = Draft(int8())
    assert given.sources.read("weights") == FileRef(
        file=WORKSPACE / "weights" / "best of may.pt", name="weights.pt"
    )
    assert given.added == {}
    trained = Draft(int8(), replace(MODEL, weights=None, train=TRAIN))
    assert trained.sources.read("weights") == Ref(action="train", output="weights", name="weights.pt")
    assert list(trained.added) == ["train"]


def test_an_earlier_step_of_the_vendor() -> None:
    draft = Draft(ascend(recipe="int8"))
    draft.sources.add_step(plan(ascend(recipe="int8")).action("ascend/amct"))
    assert draft.sources.get("amct.deploy_model") == Ref(
        action="ascend/amct", output="deploy_model", name="model_deploy_model.onnx"
    )


def test_a_name_that_is_no_source() -> None:
    with pytest.raises(KeyError):
        Draft(int8()).sources.get("torch")
