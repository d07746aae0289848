"""The float model that a target is compared with, and what is measured of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgebuild.gates import METRICS
from edgebuild.plan import measure
from edgebuild.plan.own_step import Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgebuild.action import Action
    from edgebuild.manifest.values import Manifest, Target
    from edgebuild.plan.source import Sources


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A float model's measurements.

    Attributes:
        validate: Id of its validation, or empty.
        detections: Id of its pictures, or empty.
        gates: Argument of the verdict -> what it reads, for the gates that compare.
    """

    validate: str = ""
    detections: str = ""
    gates: Mapping[str, Ref] = field(default_factory=dict)


def reference(add: Callable[[Action], str], manifest: Manifest, target: Target, source: Sources) -> Reference:
    """Write down the measurements of the float model that a target is compared with.

    Targets with the same head share it: opset and shapes change nothing that is computed. Its benchmark they
    share with the same batch and the same settings.

    Args:
        add: Takes an action into the plan and returns its id.
        manifest: The manifest.
        target: The target.
        source: What its recipe can read.
    """
    relative = {METRICS[g.metric.partition("/")[0]].source for g in target.gates if g.relative}
    if manifest.dataset is None and not relative:
        return Reference()
    validate = detections = ""
    gates: dict[str, Ref] = {}
    if manifest.dataset is not None:
        model, info, label = source.reference()
        subject = measure.Subject(artifact=model, info=info, evidence="host")
        validate = add(measure.validate(manifest, f"baseline{label}", target.name, subject))
        detections = add(measure.detections(manifest, f"baseline-detections{label}", target.name, subject))
        if "validate" in relative:
            gates["baseline"] = Ref(action=validate, output="metrics", name="metrics.json")
    if "benchmark" in relative:
        # A call with eight images is no slower than one with one: the float model gets as many.
        model, info, label = source.reference(target.batch)
        timed = measure.Subject(artifact=model, info=info, evidence="host")
        done = add(measure.benchmark(target, _benchmark_id(target, label), timed, target.batch))
        gates["baseline-benchmark"] = Ref(action=done, output="benchmark", name="benchmark.json")
    if "artifact" in relative:
        gates["baseline-artifact"] = source.reference()[0]
    return Reference(validate=validate, detections=detections, gates=gates)


def _benchmark_id(target: Target, label: str) -> str:
    settings = target.benchmark
    parts = [f"t{settings.threads}", f"w{settings.warmup}", f"r{settings.runs}", label.removeprefix("@")]
    return f"baseline-benchmark@{'-'.join(filter(None, parts))}"
