"""Read a manifest: YAML in, one frozen value out, or every problem found at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.document.parse import parse, read_text
from edgebuild.errors import ManifestError, Problem
from edgebuild.manifest import matrix, merge, schema
from edgebuild.manifest.acceptance import Scope, read_gates
from edgebuild.manifest.checks import check_model, check_targets
from edgebuild.manifest.dataset import read_dataset
from edgebuild.manifest.overrides import apply, concerns_targets, parse_setting
from edgebuild.manifest.schema import with_defaults
from edgebuild.manifest.splits import Base
from edgebuild.manifest.values import (
    Benchmark,
    Dataset,
    Device,
    Export,
    Manifest,
    MixedPrecision,
    Model,
    Package,
    Quantize,
    Target,
    Train,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgebuild.document.node import Node, Place
    from edgebuild.gates import Gate
    from edgebuild.manifest.dataset_file import DatasetFile

FORMAT = 1
"""Version of the manifest's format that is understood."""


def load_manifest(path: str | Path, *, overrides: Sequence[str] = ()) -> Manifest:
    """Return what a manifest asks for, with every default filled in.

    Reads the manifest, its dataset YAML and listings; lists the folders of the splits that are used; opens
    no image.

    Args:
        path: The manifest, as the user gave it; messages repeat it.
        overrides: ``--set`` values such as ``targets.rpi5.batch=4``, in order.

    Raises:
        ManifestError: The manifest or a file it names is wrong; carries every problem found.
        UsageError: An override cannot be read.
    """
    try:
        return _load(str(path), overrides)
    except OSError as error:
        # A name that is too long, a folder that may not be read: wherever met, it is the user's to mend.
        shown = str(error.filename or path)
        raise ManifestError([Problem(file=shown, message=f"cannot be read: {error.strerror}")]) from error


def _load(file: str, overrides: Sequence[str]) -> Manifest:
    root, problems = _assemble(file, overrides)
    base = Base(folder=Path(os.path.abspath(file)).parent, shown=str(Path(file).parent))  # noqa: PTH100 - resolve() would follow links
    complete = merge.inherit(root)
    unsound = schema.check(root)
    dataset, source, wrong = _dataset(root, base, sound=not (problems or unsound))
    problems += [*unsound, *check_model(root, base), *check_targets(complete), *wrong]
    gates = _gates(complete, source, problems)
    if problems:
        raise ManifestError(_distinct(problems))
    places = dict(_places(complete, ""))
    return Manifest(
        file=file,
        folder=base.folder,
        name=str(root.entries["name"].value),
        model=_model(root.entries["model"], base),
        dataset=dataset,
        targets=tuple(_target(name, node, gates[name]) for name, node in _targets(complete).items()),
        devices=_devices(root),
        package=Package(version=with_defaults("package", root.get("package"))["version"]),
        positions={path: (at.line, at.column) for path, at in places.items()},
        settings={path: at.file for path, at in places.items() if not at.line},
        overrides=tuple(overrides),
        compare=with_defaults("report", root.get("report"))["compare"],
    )


def _assemble(file: str, texts: Sequence[str]) -> tuple[Node, list[Problem]]:
    """Return the manifest with ``--set`` and ``matrix`` applied."""
    settings = [parse_setting(text) for text in texts]
    root, problems = parse(read_text(file, shown=file, what="manifest"), file=file)
    if not root.is_mapping:
        message = "is no manifest: expected a mapping"
        raise ManifestError([*problems, root.problem("", message, hint="it starts with edgebuild: 1")])
    _refuse_version(root, problems)
    early = [setting for setting in settings if not concerns_targets(setting)]
    root, wrong = apply(root, early)
    root, unexpanded = matrix.expand(root)
    root, late = apply(root, (item for item in settings if concerns_targets(item)))
    return root, [*problems, *wrong, *unexpanded, *late]


def _refuse_version(root: Node, problems: list[Problem]) -> None:
    """Stop at a manifest of another version: everything else in it may mean something else."""
    version = root.get("edgebuild")
    if version is not None and (version.value != FORMAT or isinstance(version.value, bool)):
        hint = f"this edgebuild reads version {FORMAT}: write edgebuild: {FORMAT}"
        message = f"version {version.text or 'nothing'!r} of the format is not known"
        raise ManifestError([*problems, version.problem("edgebuild", message, hint=hint)])


def _dataset(
    root: Node, base: Base, *, sound: bool
) -> tuple[Dataset | None, DatasetFile | None, list[Problem]]:
    section, task = root.get("dataset"), root.get("model", "task")
    if section is None or not section.is_mapping:
        return None, None, []
    trains = root.get("model", "train") is not None
    return read_dataset(section, base, task=task.text if task else "detect", trains=trains, sound=sound)


def _targets(root: Node) -> Mapping[str, Node]:
    targets = root.get("targets")
    return targets.entries if targets else {}


def _gates(root: Node, source: DatasetFile | None, problems: list[Problem]) -> dict[str, tuple[Gate, ...]]:
    task = root.get("model", "task")
    gates = {}
    for name, target in _targets(root).items():
        scope = Scope(
            task=task.text if task else "detect",
            classes=source.names if source else None,
            has_dataset=root.get("dataset") is not None,
        )
        gates[name], wrong = read_gates(target, f"targets.{name}", scope)
        problems += wrong
    return gates


def _distinct(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems, once each: a default's mistake shows in every target that inherits it."""
    first: dict[Any, Problem] = {}
    for problem in problems:
        place: Any = (problem.line, problem.column) if problem.line else problem.path
        first.setdefault((problem.file, place, problem.message), problem)
    return list(first.values())


def _places(node: Node, path: str) -> Iterable[tuple[str, Place]]:
    if path:
        yield path, node.where
    for name, item in node.entries.items():
        yield from _places(item, f"{path}.{name}" if path else name)
    for index, item in enumerate(node.items):
        yield from _places(item, f"{path}.{index}")


def _imgsz(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _model(node: Node, base: Base) -> Model:
    values = with_defaults("model", node)
    weights, train = values.get("weights"), node.get("train")
    written = node.get("imgsz") or node.get("train", "imgsz")
    imgsz = _imgsz(written.unwrap() if written else values["imgsz"])
    return Model(
        weights=base.path(weights) if weights else None,
        train=_train(train, base, imgsz) if train else None,
        task=values["task"],
        imgsz=imgsz,
        export=Export(**with_defaults("export", node.get("export"))),
    )


def _train(node: Node, base: Base, imgsz: tuple[int, int]) -> Train:
    values = with_defaults("train", node)
    file = base.path(values["base"])
    return Train(
        base=values["base"],
        base_file=file if file.is_file() else None,
        epochs=values["epochs"],
        imgsz=_imgsz(values["imgsz"]) if "imgsz" in values else imgsz,
        seed=values["seed"],
        batch=values["batch"],
        device=str(values["device"]),
        resume=values["resume"],
        arguments=values["args"],
    )


def _quantize(node: Node | None) -> Quantize:
    values = with_defaults("quantize", node)
    return Quantize(
        method=values.get("method", ""),
        percentile=float(values["percentile"]),
        per_channel=values["per_channel"],
        activation=values.get("activation", ""),
        weight=values.get("weight", ""),
        reduce_range=values.get("reduce_range"),
        keep_float=tuple(values["keep_float"]),
        mixed_precision=_mixed_precision(node.get("mixed_precision") if node else None),
    )


def _mixed_precision(node: Node | None) -> MixedPrecision | None:
    if node is None or not node.is_mapping:
        return None
    values = with_defaults("mixed_precision", node)
    return MixedPrecision(
        max_drop=float(values["max_drop"]),
        metric=values.get("metric", ""),
        max_slowdown=float(values["max_slowdown"]),
        budget=values["budget"],
    )


def _target(name: str, node: Node, gates: tuple[Gate, ...]) -> Target:
    values = with_defaults("target", node)
    options = dict(values.get("options", {}))
    extra_args = tuple(options.pop("extra_args", ()))
    return Target(
        name=name,
        toolchain=values["toolchain"],
        recipe=values.get("recipe", ""),
        options=options,
        extra_args=extra_args,
        device=values.get("device", ""),
        batch=values["batch"],
        cpu=values.get("cpu", ""),
        head=values.get("head", ""),
        quantize=_quantize(node.get("quantize")),
        benchmark=Benchmark(**with_defaults("benchmark", node.get("benchmark"))),
        gates=gates,
        findings=tuple(values.get("findings", {}).items()),
        ship=values["ship"],
        timeout=float(values["timeout"]) if "timeout" in values else None,
        tags=tuple(values["tags"]),
        optional=values["optional"],
    )


def _devices(root: Node) -> dict[str, Device]:
    devices = root.get("devices")
    found = devices.entries if devices else {}
    return {name: Device(name=name, **with_defaults("device", node)) for name, node in found.items()}
