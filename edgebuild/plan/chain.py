"""The common chain: the actions that edgebuild itself knows, from weights to package.

Each function returns actions as values for one target; equal ones of several targets become one in the
plan. Vendors' steps are not here: they come from the toolchain's folder (:mod:`edgebuild.plan.plan`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.action import Action, FileInput, Input, Output
from edgebuild.digest import canonical_json
from edgebuild.plan.own_step import (
    FileRef,
    Ref,
    dataset_file,
    imgsz_arguments,
    own_step,
    split_input,
    validation_input,
)
from edgebuild.plan.quantization import type_arguments

if TYPE_CHECKING:
    from edgebuild.manifest.values import Export, Manifest, Quantize, Target


ONE_TO_MANY = "one-to-many"
"""What names an export with the head whose overlapping boxes are suppressed, where the other is asked for."""


def weights(manifest: Manifest) -> Ref | FileRef:
    """Return the model's weights: given, or trained."""
    given = manifest.model.weights
    if given is None:
        return Ref(action="train", output="weights", name="weights.pt")
    return FileRef(file=given, name=f"weights{given.suffix}")


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
        inputs=(*base_input, split_input(dataset, "train", "train"), validation_input(dataset)),
        outputs=(Output(role="weights", path="weights.pt"), Output(role="summary", path="training.json")),
        files=(
            dataset_file(manifest, training=True),
            ("arguments.json", canonical_json(dict(settings.arguments))),
        ),
        resumable=settings.resume,
        origin=tuple(
            (f"--{name}", f"model.train.{name}")
            for name in ("base", "epochs", "imgsz", "seed", "batch", "device", "resume")
        ),
    )


def export(manifest: Manifest, target: Target, batch: int, settings: Export | None = None) -> Action:
    """Return the ONNX export for a batch size; ``settings``: where they are not the manifest's own."""
    model = manifest.model
    source = weights(manifest)
    settings = settings or model.export
    arguments = ["--weights", source.path("weights"), "--task", model.task, *imgsz_arguments(model.imgsz)]
    arguments += ["--batch", str(batch), "--opset", str(settings.opset)]
    arguments += ["--simplify"] if settings.simplify else []
    arguments += ["--dynamic"] if settings.dynamic else []
    if settings.end2end or model.export.end2end:
        arguments.append("--end2end" if settings.end2end else "--no-end2end")
    arguments += ["--model", "out/model.onnx", "--info", "out/model.json"]
    return own_step(
        f"export{export_label(model.export, settings, batch)}",
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
            ("--end2end", "model.export.end2end"),
            ("--no-end2end", "model.export.end2end"),
            ("--batch", f"targets.{target.name}.batch"),
        ),
    )


def head(target: Target, kind: str, exported: Ref, info: Ref, variant: str) -> Action:
    """Return the model that ends earlier, or with boxes from 0 to 1, and its description."""
    arguments = ["--model", exported.path("model"), "--info", info.path("info"), "--head", kind]
    return own_step(
        f"head{variant}",
        "head",
        "head",
        [*arguments, "--output", "out/model.onnx", "--output-info", "out/model.json"],
        target=target.name,
        inputs=(exported.to("model"), info.to("info")),
        outputs=(Output(role="model", path="model.onnx"), Output(role="info", path="model.json")),
        origin=(("--head", f"targets.{target.name}.head"),),
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
        inputs=(split_input(dataset, chosen.split, "calibration"), validation_input(dataset)),
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


def quantize(  # noqa: PLR0913 - the settings of a quantization
    target: Target, settings: Quantize, model: Ref, measured: Ref, variant: str, *, naive: bool, pairs: bool
) -> Action:
    """Return the static QDQ quantization; ``pairs``: with float weights and biases."""
    arguments = ["--model", model.path("model"), "--ranges", measured.path("ranges")]
    arguments += type_arguments(settings, pairs=pairs)
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


def dynamic(target: Target, settings: Quantize, model: Ref, variant: str) -> Action:
    """Return the quantization of weights; activations are quantized while the model runs."""
    arguments = ["--model", model.path("model")]
    arguments += ["--per-channel"] if settings.per_channel else []
    arguments += ["--reduce-range"] if settings.reduce_range else []
    arguments += ["--keep-float", *settings.keep_float]
    return _conversion("dynamic", f"quantize{variant}", arguments, target, model)


def float16(target: Target, settings: Quantize, model: Ref, variant: str) -> Action:
    """Return the conversion to half precision."""
    arguments = ["--model", model.path("model"), "--keep-float", *settings.keep_float]
    return _conversion("float16", f"float16{variant}", arguments, target, model)


def _conversion(program: str, action_id: str, arguments: list[str], target: Target, model: Ref) -> Action:
    return own_step(
        action_id,
        "quantize",
        program,
        [*arguments, "--output", "out/model.onnx", "--report", "out/quantize.json"],
        target=target.name,
        inputs=(model.to("model"),),
        outputs=(Output(role="model", path="model.onnx"), Output(role="report", path="quantize.json")),
        origin=_quantize_origin(target),
    )


def look(target: Target, toolchain: str, limits: list[str], model: Ref) -> Action:
    """Return the look at an ONNX file before a compiler gets it; it goes on as it is."""
    return own_step(
        f"limits@{toolchain}-{model.action.replace('@', '-')}",
        "limits",
        "limits",
        ["--model", model.path("model"), *limits, "--output", "out/model.onnx"],
        target=target.name,
        inputs=(model.to("model"),),
        outputs=(Output(role="model", path="model.onnx"),),
    )


def export_label(asked: Export, settings: Export, batch: int) -> str:
    """Return ``@...`` for what sets an export apart from the manifest's own with batch 1."""
    parts = [] if batch == 1 else [f"b{batch}"]
    parts += fitted_parts(asked, settings)
    return f"@{'-'.join(parts)}" if parts else ""


def fitted_parts(asked: Export, settings: Export) -> list[str]:
    """Return short words for how export settings differ from the manifest's."""
    return [
        *([f"op{settings.opset}"] if settings.opset != asked.opset else []),
        *(["static"] if settings.dynamic != asked.dynamic else []),
        *([ONE_TO_MANY] if settings.end2end != asked.end2end else []),
    ]


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
