from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edgebuild.errors import ManifestError
from edgebuild.manifest.values import Benchmark, MixedPrecision
from edgebuild.plan.candidates import Ranges
from edgebuild.plan.fit import target_problems
from edgebuild.plan.own_step import Ref
from edgebuild.plan.probes import (
    PROBES_FILE,
    SETTINGS_FILE,
    blocks,
    noise,
    quantize,
    race,
    ranges,
    score,
    setup,
    slice_images,
    tools,
)
from tests.unit.plans import QUANTIZE, int8, manifest, plan, target, toolchain

ASKED = MixedPrecision(max_drop=0.005, metric="", max_slowdown=0.1, budget=24)


def searched(**changes: Any) -> Any:
    more: dict[str, Any] = {name: changes.pop(name) for name in ("batch", "name") if name in changes}
    name = more.pop("name", "pi")
    more["benchmark"] = Benchmark(threads=2, warmup=2, runs=5)
    return int8(name, quantize=replace(QUANTIZE, mixed_precision=replace(ASKED, **changes)), **more)


def test_a_search_stands_between_preparation_and_quantization() -> None:
    made = plan(searched())
    search = made.action("search")
    assert search.needs == ("preprocess", "export", "calibrate")
    assert made.action("quantize@searched").needs == ("preprocess", "search")
    assert made.target("pi").search == "search"
    assert "ranges" not in {action.id for action in made.actions}
    assert search.machine


def test_targets_with_equal_settings_share_a_search_and_others_do_not() -> None:
    made = plan(searched(name="a"), searched(name="b"), searched(name="c", max_drop=0.01))
    assert made.action("search").targets == ("a", "b")
    assert made.action("search@drop0.01").targets == ("c",)


def test_a_target_that_does_not_search_is_as_it_was() -> None:
    made = plan(searched(), int8("other"))
    assert made.target("other").search == ""
    assert made.action("quantize").targets == ("other",)


def test_its_settings_are_in_its_key_and_its_measurements_are_not() -> None:
    files = dict(plan(searched()).action("search").files)
    settings = json.loads(files[SETTINGS_FILE])
    assert settings["limits"] == {"max_drop": 0.005, "max_slowdown": 0.1, "budget": 24}
    assert settings["metric"] == "map50_95"
    assert files[PROBES_FILE] == "{}"


def test_a_change_of_any_probe_is_a_change_of_the_search() -> None:
    assert {
        "code:edgebuild.search.explore",
        "code:edgebuild.steps.quantize",
        "distribution:onnxruntime",
    } <= set(tools())


def test_probes_that_equal_actions_of_the_plan_have_their_commands() -> None:
    made = plan(searched(), int8("other"))
    known = setup(made.action("search"))
    measured = Ref(action="ranges", output="ranges", name="ranges.json")
    pairs = [
        (ranges(known, Ranges(method="percentile", percentile=99.999)), made.action("ranges")),
        (quantize(known, "default", measured, ("decode", "last")), made.action("quantize")),
    ]
    for probe, action in pairs:
        assert (probe.argv, probe.tools, probe.outputs, probe.files) == (
            action.argv, action.tools, action.outputs, action.files
        )  # fmt: skip
        assert [item.role for item in probe.inputs] == [item.role for item in action.inputs]


def test_a_score_is_the_validation_on_other_images() -> None:
    made = plan(searched(), int8("other"))
    known = setup(made.action("search"))
    model = Ref(action="quantize", output="model", name="model.onnx")
    images = Ref(action="search/slice", output="validation", name="validation", tree=True)
    probe, action = score(known, "default", model, images), made.action("other/validate")
    assert (probe.argv, probe.tools, probe.files) == (action.argv, action.tools, action.files)


def test_every_probe_has_an_id_below_the_search_and_reads_what_it_names() -> None:
    known = setup(plan(searched()).action("search"))
    ref = Ref(action="x", output="model", name="model.onnx")
    measured = Ref(action="y", output="ranges", name="ranges.json")
    probes = [
        blocks(known),
        slice_images(known),
        noise(known, "head box", ["a", "b"], measured, ("decode",)),
        race(known, "decode+last+" + "model.22+" * 20, {"default": ref, "float": ref}),
    ]
    for probe in probes:
        assert probe.id.startswith("search/")
        assert len(probe.id) < 80
        assert probe.targets == ("pi",)
        places = [word for word in probe.argv if "in/" in word]
        assert all(any(f"in/{item.role}" in place for item in probe.inputs) for place in places)


def test_a_recipe_without_a_quantized_model_has_nothing_to_search() -> None:
    one = target(quantize=replace(QUANTIZE, mixed_precision=ASKED))
    (found,) = target_problems(manifest(one), one, toolchain("onnxruntime"))
    assert "nothing to search" in found.message
    with pytest.raises(ManifestError):
        plan(one)


def test_a_metric_of_another_task_is_refused() -> None:
    one = searched(metric="map50_95_mask")
    (found,) = target_problems(manifest(one), one, toolchain("onnxruntime"))
    assert "no metric of the task detect" in found.message
