"""A search in the plan: the action that chooses, and the quantization that reads the choice. Pure."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import Action, Output
from edgebuild.digest import canonical_json
from edgebuild.gates import MAIN_METRICS
from edgebuild.manifest.schema import with_defaults
from edgebuild.plan.measure import EVALUATION_THREADS
from edgebuild.plan.own_step import Ref, dataset_file, own_step, validation_input
from edgebuild.plan.probes import PROBES_FILE, SETTINGS_FILE, tools
from edgebuild.plan.quantization import type_arguments, variant_label

if TYPE_CHECKING:
    from edgebuild.manifest.values import Manifest, Quantize, Target

SCHEMA = 1


def search(
    manifest: Manifest, target: Target, settings: Quantize, refs: dict[str, Ref], label: str, *, pairs: bool
) -> Action:
    """Return the search of a target.

    Args:
        manifest: The manifest.
        target: The target; others with equal settings and batch share its search.
        settings: With every type decided; ``keep_float`` stays float in any case.
        refs: ``model`` (prepared), ``float`` (as it was before), ``info`` and ``calibration``.
        label: What sets it apart from other searches.
        pairs: Weights and biases stay float, as the toolchain needs it.
    """
    dataset = manifest.dataset
    assert dataset is not None  # noqa: S101 - the manifest is checked: an INT8 recipe has a dataset
    arguments = ["--settings", f"aux/{SETTINGS_FILE}", "--probes", f"aux/{PROBES_FILE}"]
    arguments += ["--choice", "out/choice.json", "--ranges", "out/ranges.json", "--search", "out/search.json"]
    action = own_step(
        f"search{label}",
        "search",
        "choose",
        arguments,
        target=target.name,
        inputs=(*(ref.to(role) for role, ref in refs.items()), validation_input(dataset)),
        outputs=(
            Output(role="choice", path="choice.json"),
            Output(role="ranges", path="ranges.json"),
            Output(role="search", path="search.json"),
        ),
        files=(
            (SETTINGS_FILE, canonical_json(_settings(manifest, target, settings, pairs=pairs))),
            dataset_file(manifest),
            (PROBES_FILE, "{}"),
        ),
        machine=True,
        origin=_origin(target),
    )
    # probes.json is filled in when the action runs; what it will hold is decided by these tools and the rest.
    return replace(action, tools=tools())


def _settings(manifest: Manifest, target: Target, settings: Quantize, *, pairs: bool) -> dict[str, Any]:
    """Return everything that the probes follow from, and the limits."""
    dataset = manifest.dataset
    asked = settings.mixed_precision
    assert dataset is not None  # noqa: S101 - the manifest is checked: an INT8 recipe has a dataset
    assert asked is not None  # noqa: S101 - the caller asked because it is set
    protocol = dataset.validation
    return {
        "schema": SCHEMA,
        "task": manifest.model.task,
        "metric": asked.metric or MAIN_METRICS[manifest.model.task],
        "imgsz": list(manifest.model.imgsz),
        "batch": target.batch,
        "threads": target.benchmark.threads,
        "calibration_images": dataset.calibration.images,
        "protocol": {
            "confidence": protocol.confidence,
            "iou": protocol.iou,
            "max_detections": protocol.max_detections,
            "threads": EVALUATION_THREADS,
        },
        "quantize": {
            "method": settings.method,
            "percentile": settings.percentile,
            "per_channel": settings.per_channel,
            "activation": settings.activation,
            "weight": settings.weight,
            "reduce_range": settings.reduce_range,
            "pairs": pairs,
            "keep_float": list(settings.keep_float),
        },
        "limits": {name: value for name, value in asdict(asked).items() if name != "metric"},
    }


def quantize(
    target: Target, settings: Quantize, model: Ref, found: str, label: str, *, pairs: bool
) -> Action:
    """Return the quantization that a search chose.

    Args:
        target: The target.
        settings: With every type decided; what stays float is the search's choice.
        model: The prepared model.
        found: Id of the search.
        label: The search's label.
        pairs: As in :func:`search`.
    """
    ranges = Ref(action=found, output="ranges", name="ranges.json")
    choice = Ref(action=found, output="choice", name="choice.json")
    arguments = ["--model", model.path("model"), "--ranges", ranges.path("ranges")]
    arguments += type_arguments(settings, pairs=pairs)
    arguments += ["--choice", choice.path("choice")]
    return own_step(
        f"quantize@searched{label.replace('@', '-', 1)}",
        "quantize",
        "quantize",
        [*arguments, "--output", "out/model.onnx", "--report", "out/quantize.json"],
        target=target.name,
        inputs=(model.to("model"), ranges.to("ranges"), choice.to("choice")),
        outputs=(Output(role="model", path="model.onnx"), Output(role="report", path="quantize.json")),
        origin=_origin(target),
    )


def search_label(target: Target, settings: Quantize, *, pairs: bool, head: str) -> str:
    """Return ``@...`` for what differs from a search with default settings, or an empty string."""
    asked = settings.mixed_precision
    assert asked is not None  # noqa: S101 - the caller asked because it is set
    label = variant_label(settings, batch=target.batch, pairs=pairs, head=head).removeprefix("@")
    parts = [label] if label else []
    usual = with_defaults("mixed_precision", None)
    for letters, name in (("drop", "max_drop"), ("slow", "max_slowdown"), ("n", "budget"), ("", "metric")):
        value = getattr(asked, name)
        if value != usual.get(name, ""):
            parts.append(f"{letters}{value if isinstance(value, str) else format(value, 'g')}")
    threads = target.benchmark.threads
    parts += [f"t{threads}"] if threads != with_defaults("benchmark", None)["threads"] else []
    return f"@{'-'.join(parts)}" if parts else ""


def _origin(target: Target) -> tuple[tuple[str, str], ...]:
    paths = (f"targets.{target.name}.quantize", "quantize")
    return tuple((SETTINGS_FILE, f"{path}.mixed_precision") for path in paths)
