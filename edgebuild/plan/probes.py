"""The probes of a search as actions: the very steps that make and measure artifacts, on candidates.

A probe that equals an action of the plan has an equal key, so the two share one result; so do the probes of
several targets and of an interrupted search.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import ActionInput, Output
from edgebuild.digest import canonical_json, digest_text, short
from edgebuild.plan.own_step import DISTRIBUTIONS, Ref, own_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgebuild.action import Action, Input
    from edgebuild.plan.candidates import Ranges

SETTINGS_FILE, PROBES_FILE, DATASET_FILE = "search.json", "probes.json", "dataset.json"

SLICE_IMAGES = 200
"""Validation images that candidates are scored on; a set that is hardly larger is used whole."""

NOISE_IMAGES = 8
"""Calibration images that a block's noise is measured on."""

PROGRAMS = ("blocks", "slice", "ranges", "sensitivity", "quantize", "evaluate", "race", "choose")
"""The step programs that a search uses; their code is part of its key."""

MODULES = ("plan.candidates", "plan.probes", "search.explore", "search.run")
"""Modules that decide; a change of theirs is a change of the search."""


def tools() -> tuple[str, ...]:
    """Return everything that can change what a search finds."""
    code = [*(f"code:edgebuild.steps.{name}" for name in PROGRAMS), *(f"code:edgebuild.{n}" for n in MODULES)]
    distributions = [f"distribution:{name}" for program in PROGRAMS for name in DISTRIBUTIONS[program]]
    return tuple(dict.fromkeys(["python", *code, *distributions]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What the probes of one search share.

    Attributes:
        search: The search action.
        settings: Its settings file.
        dataset: Its dataset file, as text.
        model: The prepared model.
        float_model: The model as exported.
        info: Its description.
        tensors: The calibration tensors.
        validation: The whole validation split.
    """

    search: Action
    settings: Mapping[str, Any]
    dataset: str
    model: Ref
    float_model: Ref
    info: Ref
    tensors: Ref
    validation: Input

    def probe(  # noqa: PLR0913 - an action has this many sides
        self,
        name: str,
        step: str,
        program: str,
        arguments: list[str],
        *,
        inputs: tuple[Input, ...],
        outputs: tuple[Output, ...],
        files: tuple[tuple[str, str], ...] = (),
        machine: bool = False,
    ) -> Action:
        """Return one probe; it is for the targets that the search is for."""
        made = own_step(
            f"{self.search.id}/{name}", step, program, arguments, target="",
            inputs=inputs, outputs=outputs, files=files, machine=machine,
        )  # fmt: skip
        return replace(made, targets=self.search.targets)


def setup(search: Action) -> Setup:
    """Return what the probes of a search action share."""
    files = dict(search.files)
    roles = {item.role: item for item in search.inputs}

    def ref(role: str) -> Ref:
        item = roles[role]
        assert isinstance(item, ActionInput)  # noqa: S101 - the plan made it so
        return Ref(action=item.action, output=item.output, name=item.name)

    return Setup(
        search=search,
        settings=json.loads(files[SETTINGS_FILE]),
        dataset=files[DATASET_FILE],
        model=ref("model"),
        float_model=ref("float"),
        info=ref("info"),
        tensors=ref("calibration"),
        validation=roles["validation"],
    )


def blocks(setup: Setup) -> Action:
    """Return the action that splits the model into blocks."""
    return setup.probe(
        "blocks",
        "blocks",
        "blocks",
        ["--model", setup.model.path("model"), "--output", "out/blocks.json"],
        inputs=(setup.model.to("model"),),
        outputs=(Output(role="blocks", path="blocks.json"),),
    )


def slice_images(setup: Setup) -> Action:
    """Return the action that chooses the validation images to score on."""
    arguments = ["--validation", "in/validation", "--dataset", "aux/dataset.json"]
    arguments += ["--images", str(SLICE_IMAGES), "--output", "out/validation"]
    return setup.probe(
        "slice",
        "slice",
        "slice",
        arguments,
        inputs=(setup.validation,),
        outputs=(Output(role="validation", path="validation", tree=True),),
        files=((DATASET_FILE, setup.dataset),),
    )


def ranges(setup: Setup, how: Ranges) -> Action:
    """Return the measurement of activation ranges; without a number of images, that of the plan."""
    arguments = ["--model", setup.model.path("model"), "--tensors", setup.tensors.path("calibration")]
    arguments += ["--method", how.method]
    arguments += ["--percentile", canonical_json(how.percentile)] if how.method == "percentile" else []
    arguments += ["--images", str(how.images)] if how.images else []
    return setup.probe(
        f"ranges-{_slug(how.name)}",
        "ranges",
        "ranges",
        [*arguments, "--output", "out/ranges.json"],
        inputs=(setup.model.to("model"), setup.tensors.to("calibration")),
        outputs=(Output(role="ranges", path="ranges.json"),),
    )


def noise(setup: Setup, label: str, nodes: Sequence[str], measured: Ref, keep: Sequence[str]) -> Action:
    """Return the measurement of what quantizing one block alone does.

    Args:
        setup: The search.
        label: The block's.
        nodes: Its nodes.
        measured: The default's ranges.
        keep: What stays float in any case.
    """
    arguments = ["--model", setup.model.path("model"), "--ranges", measured.path("ranges")]
    arguments += ["--tensors", setup.tensors.path("calibration"), "--images", str(NOISE_IMAGES)]
    arguments += ["--block", "aux/block.json", *_types(setup), "--keep-float", *keep]
    return setup.probe(
        f"noise-{_slug(label)}",
        "sensitivity",
        "sensitivity",
        [*arguments, "--output", "out/noise.json"],
        inputs=(setup.model.to("model"), measured.to("ranges"), setup.tensors.to("calibration")),
        outputs=(Output(role="noise", path="noise.json"),),
        files=(("block.json", canonical_json(list(nodes))),),
    )


def quantize(setup: Setup, name: str, measured: Ref, keep: Sequence[str]) -> Action:
    """Return the quantization of a candidate: that of the plan for a plain ``keep_float``."""
    arguments = ["--model", setup.model.path("model"), "--ranges", measured.path("ranges"), *_types(setup)]
    arguments += ["--keep-float", *keep, "--output", "out/model.onnx", "--report", "out/quantize.json"]
    return setup.probe(
        f"quantize-{_slug(name)}",
        "quantize",
        "quantize",
        arguments,
        inputs=(setup.model.to("model"), measured.to("ranges")),
        outputs=(Output(role="model", path="model.onnx"), Output(role="report", path="quantize.json")),
    )


def score(setup: Setup, name: str, artifact: Ref, images: Ref) -> Action:
    """Return the validation of a candidate on the search's images, by the one protocol."""
    protocol = setup.settings["protocol"]
    arguments = ["--artifact", artifact.path("artifact"), "--info", setup.info.path("info")]
    arguments += ["--dataset", "aux/dataset.json", "--validation", "in/validation"]
    arguments += ["--task", setup.settings["task"], "--imgsz", *map(str, setup.settings["imgsz"])]
    arguments += ["--confidence", canonical_json(protocol["confidence"])]
    arguments += ["--iou", canonical_json(protocol["iou"])]
    arguments += ["--max-detections", str(protocol["max_detections"])]
    arguments += ["--threads", str(protocol["threads"]), "--evidence", "host"]
    chosen = ActionInput(role="validation", action=images.action, output=images.output)
    return setup.probe(
        f"score-{_slug(name)}",
        "validate",
        "evaluate",
        [*arguments, "--metrics", "out/metrics.json", "--golden", "out/golden.npz"],
        inputs=(artifact.to("artifact"), setup.info.to("info"), chosen),
        outputs=(Output(role="metrics", path="metrics.json"), Output(role="golden", path="golden.npz")),
        files=((DATASET_FILE, setup.dataset),),
    )


def race(setup: Setup, name: str, variants: Mapping[str, Ref]) -> Action:
    """Return the timing of variants in turn; it has the machine to itself.

    Args:
        setup: The search.
        name: Of the candidate.
        variants: Name -> model; the first is what the others are compared with.
    """
    arguments: list[str] = []
    for variant, ref in variants.items():
        arguments += ["--variant", f"{variant}={ref.path(variant)}"]
    arguments += ["--info", setup.info.path("info"), "--threads", str(setup.settings["threads"])]
    arguments += ["--batch", str(setup.settings["batch"]), "--output", "out/race.json"]
    return setup.probe(
        f"race-{_slug(name)}",
        "race",
        "race",
        arguments,
        inputs=(*(ref.to(variant) for variant, ref in variants.items()), setup.info.to("info")),
        outputs=(Output(role="race", path="race.json"),),
        machine=True,
    )


def _types(setup: Setup) -> list[str]:
    types = setup.settings["quantize"]
    found = ["--activation", types["activation"], "--weight", types["weight"]]
    found += ["--per-channel"] if types["per_channel"] else []
    found += ["--reduce-range"] if types["reduce_range"] else []
    return [*found, *(["--pairs"] if types["pairs"] else [])]


def _slug(name: str) -> str:
    """Return a name that can be part of an id, and of a log's name; a long one is cut and numbered."""
    plain = "".join(c if c.isalnum() or c in "+.-" else "-" for c in name.replace(", ", "-"))
    return plain if len(plain) <= 60 else f"{plain[:48]}-{short(digest_text(name), 8)}"
