"""The common chain: the actions that edgebuild itself knows, from weights to package.

Each function returns actions as values for one target; equal ones of several targets become one in the
plan. Vendors' steps are not here: they come from the toolchain's folder (:mod:`edgebuild.plan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.action import Action, ActionInput, FileInput, Input, LogRule, Output, TreeInput
from edgebuild.digest import canonical_json

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.manifest import Dataset, Manifest, Quantize, Target

DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "train": ("ultralytics", "torch", "torchvision", "numpy", "opencv-python|opencv-python-headless"),
    "export": ("ultralytics", "torch", "onnx", "onnxslim", "onnxruntime"),
    "calibrate": ("ultralytics", "numpy", "opencv-python|opencv-python-headless"),
    "calibration_format": ("numpy",),
    "preprocess": ("onnx", "onnxruntime"),
    "ranges": ("onnx", "onnxruntime", "numpy"),
    "quantize": ("onnx", "onnxruntime", "numpy"),
    "evaluate": ("ultralytics", "torch", "onnxruntime", "numpy", "opencv-python|opencv-python-headless"),
    "detections": ("ultralytics", "torch", "onnxruntime", "numpy", "opencv-python|opencv-python-headless"),
    "benchmark": ("onnxruntime", "numpy"),
    "verdict": (),
    "package": (),
}
"""Installed distributions whose version can change what a step of ours writes."""


WARNING = LogRule(
    pattern="^warning: ", id="step-warning", hint="`edgebuild check` reads every label and image"
)
"""What a step of ours says that a person should know, such as an image that could not be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ref:
    """An output of an action, as something another action can read.

    Attributes:
        action: Id of the action.
        output: Role of the output.
        name: File or directory name.
        tree: It is a directory.
    """

    action: str
    output: str
    name: str
    tree: bool = False

    def to(self, role: str) -> ActionInput:
        """Return it as an input with a role of the consumer's."""
        return ActionInput(role=role, action=self.action, output=self.output, name=self.name)

    def path(self, role: str) -> str:
        """Return where the consumer sees it."""
        return f"in/{role}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRef:
    """A file of the user's, as something an action can read: the counterpart of :class:`Ref`.

    Attributes:
        file: Where it is, absolute.
        name: What the consumer sees; never the user's own name for it, which cannot change any bytes.
    """

    file: Path
    name: str

    def to(self, role: str) -> FileInput:
        """Return it as an input with a role of the consumer's."""
        return FileInput(role=role, name=self.name, path=self.file)

    def path(self, role: str) -> str:
        """Return where the consumer sees it."""
        return f"in/{role}/{self.name}"


def weights(manifest: Manifest) -> Ref | FileRef:
    """Return the model's weights: given, or trained."""
    given = manifest.model.weights
    if given is None:
        return Ref(action="train", output="weights", name="weights.pt")
    return FileRef(file=given, name=f"weights{given.suffix}")


def own_step(  # noqa: PLR0913 - an action has this many sides
    action_id: str,
    step: str,
    program: str,
    arguments: list[str],
    *,
    target: str,
    inputs: tuple[Input, ...],
    outputs: tuple[Output, ...],
    files: tuple[tuple[str, str], ...] = (),
    machine: bool = False,
    resumable: bool = False,
    origin: tuple[tuple[str, str], ...] = (),
) -> Action:
    """Return an action that runs one of edgebuild's own step programs."""
    distributions = tuple(f"distribution:{name}" for name in DISTRIBUTIONS[program])
    return Action(
        id=action_id,
        step=step,
        argv=("python", "-m", f"edgebuild.steps.{program}", *arguments),
        inputs=inputs,
        outputs=outputs,
        files=files,
        tools=("python", f"code:edgebuild.steps.{program}", *distributions),
        machine=machine,
        resumable=resumable,
        findings=(WARNING,),
        targets=(target,),
        origin=origin,
    )


def train(manifest: Manifest, target: Target) -> Action:
    """Return the training action."""
    settings = manifest.model.train
    dataset = manifest.dataset
    assert settings is not None  # noqa: S101 - the caller asked because it is set
    assert dataset is not None  # noqa: S101 - the manifest is checked: training has a dataset
    base_input: tuple[Input, ...] = ()
    base = settings.base
    if settings.base_file is not None:
        base = f"in/base/base{settings.base_file.suffix}"
        base_input = (
            FileInput(role="base", name=f"base{settings.base_file.suffix}", path=settings.base_file),
        )
    arguments = ["--base", base, "--task", manifest.model.task, "--dataset", "aux/dataset.json"]
    arguments += ["--train", "in/train", "--validation", "in/validation"]
    arguments += [
        "--epochs",
        str(settings.epochs),
        *imgsz_arguments(settings.imgsz),
        "--seed",
        str(settings.seed),
    ]
    arguments += ["--batch", str(settings.batch), "--device", settings.device]
    arguments += ["--resume"] if settings.resume else []
    arguments += ["--arguments", "aux/arguments.json"]
    arguments += ["--weights", "out/weights.pt", "--summary", "out/training.json"]
    return own_step(
        "train",
        "train",
        "train",
        arguments,
        target=target.name,
        inputs=(*base_input, _split(dataset, "train", "train"), validation_input(dataset)),
        outputs=(Output(role="weights", path="weights.pt"), Output(role="summary", path="training.json")),
        files=(dataset_file(manifest), ("arguments.json", canonical_json(dict(settings.arguments)))),
        resumable=settings.resume,
        origin=tuple(
            (f"--{name}", f"model.train.{name}")
            for name in ("base", "epochs", "imgsz", "seed", "batch", "device", "resume")
        ),
    )


def export(manifest: Manifest, target: Target, batch: int) -> Action:
    """Return the ONNX export for a batch size."""
    model = manifest.model
    source = weights(manifest)
    settings = model.export
    arguments = ["--weights", source.path("weights"), "--task", model.task, *imgsz_arguments(model.imgsz)]
    arguments += ["--batch", str(batch), "--opset", str(settings.opset)]
    arguments += ["--simplify"] if settings.simplify else []
    arguments += ["--dynamic"] if settings.dynamic else []
    arguments += ["--model", "out/model.onnx", "--info", "out/model.json"]
    return own_step(
        export_id(batch),
        "export",
        "export",
        arguments,
        target=target.name,
        inputs=(source.to("weights"),),
        outputs=(Output(role="model", path="model.onnx"), Output(role="info", path="model.json")),
        origin=(
            ("weights", "model.weights"),
            ("--task", "model.task"),
            ("--imgsz", "model.imgsz"),
            ("--opset", "model.export.opset"),
            ("--simplify", "model.export.simplify"),
            ("--dynamic", "model.export.dynamic"),
            ("--batch", f"targets.{target.name}.batch"),
        ),
    )


def calibrate(manifest: Manifest, target: Target) -> Action:
    """Return the calibration set: chosen images, listed with digests, and their tensors."""
    dataset = manifest.dataset
    assert dataset is not None  # noqa: S101 - the manifest is checked: an INT8 recipe has a dataset
    chosen = dataset.calibration
    files = [dataset_file(manifest)]
    arguments = [
        "--train",
        "in/calibration",
        "--validation",
        "in/validation",
        "--dataset",
        "aux/dataset.json",
    ]
    arguments += ["--images", str(chosen.images), "--sample", chosen.sample, "--seed", str(chosen.seed)]
    if chosen.sample == "list":
        files.append(("list.txt", "".join(f"{name}\n" for name in chosen.files)))
        arguments += ["--list", "aux/list.txt"]
    arguments += [*imgsz_arguments(manifest.model.imgsz), "--task", manifest.model.task]
    arguments += ["--tensors", "out/calibration.npy", "--selection", "out/calibration.json"]
    return own_step(
        "calibrate",
        "calibrate",
        "calibrate",
        arguments,
        target=target.name,
        inputs=(_split(dataset, chosen.split, "calibration"), validation_input(dataset)),
        outputs=(
            Output(role="tensors", path="calibration.npy"),
            Output(role="selection", path="calibration.json"),
        ),
        files=tuple(files),
        origin=(
            ("--images", "dataset.calibration.images"),
            ("--sample", "dataset.calibration.sample"),
            ("--seed", "dataset.calibration.seed"),
            ("--imgsz", "model.imgsz"),
            ("calibration", "dataset.calibration.split"),
            ("validation", "dataset.validation.split"),
        ),
    )


def calibration_format(target: Target, form: str, tensors: Ref, selection: Ref) -> Action:
    """Return the calibration set in a vendor's format."""
    arguments = ["--tensors", tensors.path("calibration"), "--selection", selection.path("selection")]
    arguments += ["--format", form, "--batch", str(target.batch), "--output", "out/calibration"]
    batch = "" if target.batch == 1 else f"-b{target.batch}"
    return own_step(
        f"calibration@{form}{batch}",
        "calibration",
        "calibration_format",
        arguments,
        target=target.name,
        inputs=(tensors.to("calibration"), selection.to("selection")),
        outputs=(Output(role="calibration", path="calibration", tree=True),),
    )


def preprocess(target: Target, model: Ref, variant: str) -> Action:
    """Return the graph preparation that ONNX Runtime asks for before quantization."""
    return own_step(
        f"preprocess{variant}",
        "preprocess",
        "preprocess",
        ["--model", model.path("model"), "--output", "out/model.onnx"],
        target=target.name,
        inputs=(model.to("model"),),
        outputs=(Output(role="model", path="model.onnx"),),
    )


def ranges(target: Target, settings: Quantize, model: Ref, tensors: Ref, variant: str) -> Action:
    """Return the measurement of activation ranges; every INT8 variant of the same method shares it."""
    arguments = ["--model", model.path("model"), "--tensors", tensors.path("calibration")]
    arguments += ["--method", settings.method]
    if settings.method == "percentile":
        arguments += ["--percentile", canonical_json(settings.percentile)]
    arguments += ["--output", "out/ranges.json"]
    return own_step(
        f"ranges{variant}",
        "ranges",
        "ranges",
        arguments,
        target=target.name,
        inputs=(model.to("model"), tensors.to("calibration")),
        outputs=(Output(role="ranges", path="ranges.json"),),
        origin=_quantize_origin(target),
    )


def quantize(
    target: Target, settings: Quantize, model: Ref, measured: Ref, variant: str, *, naive: bool
) -> Action:
    """Return the static QDQ quantization."""
    arguments = ["--model", model.path("model"), "--ranges", measured.path("ranges")]
    arguments += ["--activation", settings.activation, "--weight", settings.weight]
    arguments += ["--per-channel"] if settings.per_channel else []
    arguments += ["--reduce-range"] if settings.reduce_range else []
    arguments += ["--naive"] if naive else ["--keep-float", *settings.keep_float]
    arguments += ["--output", "out/model.onnx", "--report", "out/quantize.json"]
    return own_step(
        f"quantize{variant}",
        "quantize",
        "quantize",
        arguments,
        target=target.name,
        inputs=(model.to("model"), measured.to("ranges")),
        outputs=(Output(role="model", path="model.onnx"), Output(role="report", path="quantize.json")),
        origin=_quantize_origin(target),
    )


def export_id(batch: int) -> str:
    """Return the id of the export for a batch size."""
    return "export" if batch == 1 else f"export@b{batch}"


def imgsz_arguments(size: tuple[int, int]) -> list[str]:
    """Return the input size as every step takes it: height, then width."""
    return ["--imgsz", str(size[0]), str(size[1])]


def _split(dataset: Dataset, name: str, role: str) -> TreeInput:
    split = dataset.splits[name]
    return TreeInput(role=role, root=split.root, files=tuple(sorted((*split.images, *split.labels))))


def validation_input(dataset: Dataset) -> TreeInput:
    """Return the validation split as an input."""
    return _split(dataset, dataset.validation.split, "validation")


def dataset_file(manifest: Manifest) -> tuple[str, str]:
    """Return the rendered file that tells a step the class names and the task."""
    dataset = manifest.dataset
    assert dataset is not None  # noqa: S101 - callers have one
    document: dict[str, Any] = {
        "names": list(dataset.names),
        "nc": len(dataset.names),
        "task": manifest.model.task,
    }
    if dataset.kpt_shape is not None:
        document["kpt_shape"] = list(dataset.kpt_shape)
    return ("dataset.json", canonical_json(document))


def _quantize_origin(target: Target) -> tuple[tuple[str, str], ...]:
    names = ("method", "percentile", "activation", "weight", "per-channel", "reduce-range", "keep-float")
    found: list[tuple[str, str]] = []
    for name in names:
        field = name.replace("-", "_")
        found += [
            (f"--{name}", f"targets.{target.name}.quantize.{field}"),
            (f"--{name}", f"quantize.{field}"),
        ]
    return tuple(found)
