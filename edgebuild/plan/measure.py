"""What follows the artifact: validation, pictures, benchmark, verdict and package, as actions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import Action, ActionInput, FileInput, FindingsInput, Input, Output
from edgebuild.digest import canonical_json
from edgebuild.plan.own_step import Ref, dataset_file, imgsz_arguments, own_step, validation_input
from edgebuild.toolchain.environment import ENVIRONMENT_TOOL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgebuild.manifest.values import Manifest, Target
    from edgebuild.plan.own_step import FileRef
    from edgebuild.toolchain.load import Measured, Toolchain

EVALUATION_THREADS = 2
"""Threads of a validation session: fixed, because the sum order of floats may follow it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is measured, and what the measurement proves.

    Attributes:
        artifact: The file or tree that runs.
        info: The model's description.
        evidence: What measuring it proves of the shipped artifact.
        runtime: A toolchain's program that runs it; None: ONNX Runtime.
        environment: Toolchain in whose environment that program runs; empty: in edgebuild's own.
        passed: Variables that the toolchain lets through to it.
        located: Likewise, of those that only say where things are.
    """

    artifact: Ref
    info: Ref
    evidence: str
    runtime: Path | None = None
    environment: str = ""
    passed: tuple[str, ...] = ()
    located: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return the arguments that every measuring step shares."""
        found = ["--artifact", self.artifact.path("artifact"), "--info", self.info.path("info")]
        return [*found, "--runtime", "in/runtime/runtime.py"] if self.runtime else found

    def inputs(self) -> tuple[Input, ...]:
        """Return the inputs that every measuring step shares."""
        found: tuple[Input, ...] = (self.artifact.to("artifact"), self.info.to("info"))
        return (
            (*found, FileInput(role="runtime", name="runtime.py", path=self.runtime))
            if self.runtime
            else found
        )

    def at_home(self, action: Action) -> Action:
        """Return a measurement with its runtime file where that belongs."""
        if not self.environment:
            return action
        return replace(
            action,
            tools=(*action.tools, f"{ENVIRONMENT_TOOL}{self.environment}"),
            environment=self.environment,
            env_pass=self.passed,
            env_locate=self.located,
        )


def subject_of(toolchain: Toolchain, measured: Measured, artifact: Ref, info: Ref) -> Subject:
    """Return what a recipe has measured, and where: a runtime file belongs to the toolchain's environment."""
    runtime = toolchain.folder / measured.runtime if measured.runtime else None
    foreign = runtime is not None and toolchain.environment.own
    return Subject(
        artifact=artifact,
        info=info,
        evidence=measured.evidence,
        runtime=runtime,
        environment=toolchain.name if foreign else "",
        passed=toolchain.env_pass if foreign else (),
        located=toolchain.environment.locate if foreign else (),
    )


def validate(manifest: Manifest, action_id: str, target: str, subject: Subject) -> Action:
    """Return the one validation protocol, for a float or a quantized artifact."""
    dataset = manifest.dataset
    assert dataset is not None  # noqa: S101 - without a dataset the plan has no validation
    protocol = dataset.validation
    arguments = subject.arguments()
    arguments += ["--dataset", "aux/dataset.json", "--validation", "in/validation"]
    arguments += ["--task", manifest.model.task, *imgsz_arguments(manifest.model.imgsz)]
    arguments += ["--confidence", canonical_json(protocol.confidence), "--iou", canonical_json(protocol.iou)]
    arguments += ["--max-detections", str(protocol.max_detections), "--threads", str(EVALUATION_THREADS)]
    arguments += ["--evidence", subject.evidence]
    arguments += ["--metrics", "out/metrics.json", "--golden", "out/golden.npz"]
    action = own_step(
        action_id,
        "validate",
        "evaluate",
        arguments,
        target=target,
        inputs=(*subject.inputs(), validation_input(dataset)),
        outputs=(Output(role="metrics", path="metrics.json"), Output(role="golden", path="golden.npz")),
        files=(dataset_file(manifest),),
        origin=(
            ("--confidence", "dataset.validation.confidence"),
            ("--iou", "dataset.validation.iou"),
            ("--max-detections", "dataset.validation.max_detections"),
            ("validation", "dataset.validation.split"),
        ),
    )
    return subject.at_home(action)


def detections(manifest: Manifest, action_id: str, target: str, subject: Subject) -> Action:
    """Return the detections on a few validation images, for the report's pictures."""
    dataset = manifest.dataset
    assert dataset is not None  # noqa: S101 - without a dataset the plan has no validation
    arguments = subject.arguments()
    arguments += ["--validation", "in/validation", "--threads", str(EVALUATION_THREADS)]
    arguments += ["--output", "out/detections.json"]
    action = own_step(
        action_id,
        "detections",
        "detections",
        arguments,
        target=target,
        inputs=(*subject.inputs(), validation_input(dataset)),
        outputs=(Output(role="detections", path="detections.json"),),
    )
    return subject.at_home(action)


def is_comparable(action: Action) -> bool:
    """Whether the float model's tensors are found in what an action quantized."""
    return action.program == "edgebuild.steps.quantize"


def compare(quantize: Action, target: str) -> Action:
    """Return the comparison of a quantized model with the float one, block by block.

    Args:
        quantize: What quantized it; it names the float model that it read.
        target: Whose.
    """
    model = next(item for item in quantize.inputs if isinstance(item, ActionInput) and item.role == "model")
    tensors = Ref(action="calibrate", output="tensors", name="calibration.npy")
    arguments = ["--model", f"in/model/{model.name}", "--quantized", "in/quantized/model.onnx"]
    arguments += ["--tensors", tensors.path("calibration"), "--output", "out/comparison.json"]
    return own_step(
        f"compare{quantize.id.removeprefix('quantize')}",
        "compare",
        "compare",
        arguments,
        target=target,
        inputs=(
            model,
            ActionInput(role="quantized", action=quantize.id, output="model", name="model.onnx"),
            tensors.to("calibration"),
        ),
        outputs=(Output(role="comparison", path="comparison.json"),),
        origin=(("--output", "report.compare"),),
    )


def benchmark(target: Target, action_id: str, subject: Subject, batch: int, cpu: str = "") -> Action:
    """Return the latency measurement; it has the machine to itself while it runs.

    Args:
        target: Whose settings.
        action_id: What to call it.
        subject: What is timed.
        batch: Images per inference.
        cpu: CPU family that the artifact is for, where the target names one; another one is said to be so.
    """
    settings = target.benchmark
    arguments = subject.arguments()
    arguments += ["--cpu", cpu] if cpu else []
    arguments += ["--threads", str(settings.threads), "--batch", str(batch)]
    arguments += ["--warmup", str(settings.warmup), "--runs", str(settings.runs)]
    arguments += ["--evidence", subject.evidence, "--output", "out/benchmark.json"]
    action = own_step(
        action_id,
        "benchmark",
        "benchmark",
        arguments,
        target=target.name,
        inputs=subject.inputs(),
        outputs=(Output(role="benchmark", path="benchmark.json"),),
        machine=True,
        origin=tuple(
            (f"--{name}", f"targets.{target.name}.benchmark.{name}") for name in ("threads", "warmup", "runs")
        ),
    )
    return subject.at_home(action)


def timing(target: Target, toolchain: Toolchain, measured: Measured, timed: Ref, info: Ref) -> Action:
    """Return what gives a target its latency: a measurement here, or the reading of an estimate."""
    if measured.estimate:
        return estimate(target, toolchain, measured.estimate, timed)
    subject = subject_of(toolchain, measured, timed, info)
    return benchmark(target, f"{target.name}/benchmark", subject, target.batch, target.cpu)


def estimate(target: Target, toolchain: Toolchain, reader: str, printed: Ref) -> Action:
    """Return the reading of what a compiler estimated; it stands where a benchmark would.

    Args:
        target: Whose.
        toolchain: Its toolchain, which says how to read it.
        reader: Name of the tool that printed it.
        printed: The text.
    """
    tool = next(tool for tool in toolchain.device if tool.name == reader and tool.kind == "estimate")
    rules = [{"pattern": rule.pattern, "unit": rule.unit, "take": rule.take} for rule in tool.rules]
    arguments = ["--artifact", printed.path("artifact"), "--rules", "aux/rules.json"]
    return own_step(
        f"{target.name}/benchmark",
        "benchmark",
        "estimate",
        [*arguments, "--batch", str(target.batch), "--output", "out/benchmark.json"],
        target=target.name,
        inputs=(printed.to("artifact"),),
        outputs=(Output(role="benchmark", path="benchmark.json"),),
        files=(("rules.json", canonical_json({"name": tool.name, "rules": rules})),),
    )


def verdict(target: Target, artifact: Ref, measured: dict[str, Ref], heard: tuple[str, ...] = ()) -> Action:
    """Return the judgement of a target's gates.

    Args:
        target: Whose gates.
        artifact: What is judged (its size is a metric).
        measured: Step argument -> result: ``metrics``, ``benchmark``, ``baseline``, ``baseline-benchmark``.
        heard: Ids of what may say something that rejects it.
    """
    findings = FindingsInput(role="findings", name="findings.json", actions=heard, levels=target.findings)
    said = (findings,) if heard else ()
    gates = [
        {"metric": g.metric, "kind": g.kind, "limit": g.limit, "evidence": g.evidence} for g in target.gates
    ]
    arguments = ["--gates", "aux/gates.json"]
    for name, ref in measured.items():
        arguments += [f"--{name}", ref.path(name)]
    arguments += ["--findings", "in/findings/findings.json"] if said else []
    arguments += ["--artifact", artifact.path("artifact"), "--output", "out/verdict.json"]
    return own_step(
        f"{target.name}/verdict",
        "verdict",
        "verdict",
        arguments,
        target=target.name,
        inputs=(*(ref.to(name) for name, ref in measured.items()), artifact.to("artifact"), *said),
        outputs=(Output(role="verdict", path="verdict.json"),),
        files=(("gates.json", canonical_json(gates)),),
        origin=(
            ("gates.json", f"targets.{target.name}.acceptance"),
            ("gates.json", "acceptance"),
            ("--findings", f"targets.{target.name}.findings"),
            ("--findings", "findings"),
        ),
    )


def archives(manifest: Manifest, target: str) -> dict[str, str]:
    """Return what a target's package and the measurements beside it are called, by role."""
    stem = f"{manifest.name}-{target}-{manifest.package.version}"
    return {"package": f"{stem}.tar.gz", "measurements": f"{stem}.measurements.json"}


def package(
    manifest: Manifest,
    target: Target,
    spec: dict[str, Any],
    inputs: Mapping[str, Ref | FileRef],
    tools: tuple[str, ...],
    more: Mapping[str, str],
) -> Action:
    """Return the deterministic archive of one target.

    Args:
        manifest: The manifest.
        target: The target.
        spec: What the package says of itself: recipe, options, rendered commands.
        inputs: Step argument -> what goes in.
        tools: Tools of all actions upstream: a package says which versions made it.
        more: Further files by path in the package, as text.
    """
    names = archives(manifest, target.name)
    arguments = ["--spec", "aux/package.json", "--tools", "aux/tools.json"]
    for name, ref in inputs.items():
        arguments += [f"--{name}", ref.path(name)]
    arguments += ["--files", "aux/files"] if more else []
    arguments += ["--output", f"out/{names['package']}", "--measurements", f"out/{names['measurements']}"]
    action = own_step(
        f"{target.name}/package",
        "package",
        "package",
        arguments,
        target=target.name,
        inputs=tuple(ref.to(name) for name, ref in inputs.items()),
        outputs=(
            Output(role="package", path=names["package"], magic="1f8b"),
            Output(role="measurements", path=names["measurements"]),
        ),
        files=(
            ("package.json", canonical_json(spec)),
            ("tools.json", "{}"),
            *((f"files/{path}", text) for path, text in more.items()),
        ),
        origin=(("package.json", f"targets.{target.name}"), ("--output", "package.version")),
    )
    # tools.json is filled in when the action runs; its content is in the key through these names.
    return replace(action, tools=tuple(dict.fromkeys((*action.tools, *tools))))
