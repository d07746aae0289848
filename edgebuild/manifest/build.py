"""From the tree of a complete manifest to values: every default is filled in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.manifest.merge import targets_of
from edgebuild.manifest.schema import with_defaults
from edgebuild.manifest.values import (
    Benchmark,
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
    from edgebuild.manifest.splits import Base
    from edgebuild.manifest.values import Dataset


def build(
    root: Node,
    file: str,
    base: Base,
    dataset: Dataset | None,
    gates: Mapping[str, tuple[Gate, ...]],
    overrides: Sequence[str],
) -> Manifest:
    """Return the values of a manifest in which nothing is wrong.

    Args:
        root: Its tree, with every target complete.
        file: The manifest, as the user gave it.
        base: Where its paths start.
        dataset: Its dataset, or None.
        gates: By target.
        overrides: The ``--set`` values, which are in the tree already.
    """
    places = dict(_places(root, ""))
    return Manifest(
        file=file,
        folder=base.folder,
        name=str(root.entries["name"].value),
        model=_model(root.entries["model"], base),
        dataset=dataset,
        targets=tuple(_target(name, node, gates[name]) for name, node in targets_of(root).items()),
        devices=_devices(root),
        package=Package(version=with_defaults("package", root.get("package"))["version"]),
        positions={path: (at.line, at.column) for path, at in places.items()},
        settings={path: at.file for path, at in places.items() if not at.line},
        overrides=tuple(overrides),
        compare=with_defaults("report", root.get("report"))["compare"],
    )


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
        task=values.get("task", "detect"),  # missing in a draft only
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
