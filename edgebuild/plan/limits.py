"""What a compiler can take, against what a manifest asks for: what is wrong, and what is changed. Pure.

A toolchain's ``limits`` are checked before anything runs, all together, with what to change. Two things are
changed for a target without asking, and said so in a note: the opset of its export, where the weights can
be exported anew, and open dimensions, which its batch and the image size fix.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgebuild.action import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgebuild.manifest.values import Export, Manifest, Target
    from edgebuild.toolchain.load import Recipe, Toolchain

ONNX_SOURCES = frozenset({"onnx", "fp16", "dynamic", "qdq", "qdq_w8a16", "qdq_naive"})
"""Sources of a recipe that are ONNX files."""

Fault = tuple[str, str, str]
"""Path in the manifest, what does not fit, what to write there."""


def fitted_export(manifest: Manifest, toolchain: Toolchain, recipe: Recipe) -> Export:
    """Return the export settings for a target: the manifest's, as far as its compiler can take them.

    Args:
        manifest: The manifest.
        toolchain: The target's toolchain.
        recipe: The target's recipe.
    """
    asked = manifest.model.export
    if not _reads_onnx(recipe):
        return asked
    dynamic = asked.dynamic and toolchain.limits.dynamic
    opset = _nearest(asked.opset, toolchain.limits.opset) if _exportable(manifest) else asked.opset
    return replace(asked, opset=opset, dynamic=dynamic)


def fit_notes(target: Target, toolchain: Toolchain, asked: Export, fitted: Export) -> tuple[Finding, ...]:
    """Return in words what was changed for a target so that its compiler can take the model."""
    notes = []
    if fitted.opset != asked.opset:
        span = _span(toolchain.limits.opset)
        message = f"{target.name} is exported with opset {fitted.opset}: {toolchain.name} takes {span}"
        hint = f"every target has it with model.export.opset: {fitted.opset}"
        notes.append(Finding(id="opset-fitted", level="note", message=message, hint=hint))
    if fitted.dynamic != asked.dynamic:
        message = f"{target.name} is exported with fixed shapes: {toolchain.name} takes no others"
        hint = "every target has them with model.export.dynamic: false"
        notes.append(Finding(id="shapes-fitted", level="note", message=message, hint=hint))
    return tuple(notes)


def limit_faults(manifest: Manifest, target: Target, toolchain: Toolchain, recipe: Recipe) -> Iterator[Fault]:
    """Yield what a target asks of its toolchain that it cannot do and that is not changed by itself.

    Args:
        manifest: The manifest.
        target: The target.
        toolchain: Its toolchain.
        recipe: Its recipe.
    """
    limits, name, path = toolchain.limits, toolchain.name, f"targets.{target.name}"
    task = manifest.model.task
    if limits.tasks and task not in limits.tasks:
        text = f"{name} is not known to take task {task!r} (it takes {', '.join(limits.tasks)})"
        yield path, text, "leave the target out, or use another toolchain for it"
    opset = fitted_export(manifest, toolchain, recipe).opset
    if _reads_onnx(recipe) and not _inside(opset, limits.opset):
        nearest = _nearest(opset, limits.opset)
        text = f"{name} takes ONNX opset {_span(limits.opset)}, the export has {opset}"
        yield path, text, f"export the ONNX with opset {nearest} and set model.export.opset: {nearest}"
    if not _inside(target.batch, limits.batch):
        text = f"{name} takes batch {_span(limits.batch)}, the target has {target.batch}"
        yield f"{path}.batch", text, f"set {path}.batch: {_nearest(target.batch, limits.batch)}"


def needs_look(manifest: Manifest, toolchain: Toolchain) -> bool:
    """Say whether the ONNX itself has to be looked at before the compiler gets it."""
    limits = toolchain.limits
    open_opset = limits.opset != (1, None) and not _exportable(manifest)
    return bool(limits.refuse or limits.size_mb or open_opset)


def look_arguments(toolchain: Toolchain) -> list[str]:
    """Return the limits as the step that looks at an ONNX file takes them."""
    limits = toolchain.limits
    arguments = ["--toolchain", toolchain.name]
    if limits.opset != (1, None):
        arguments += ["--opset", str(limits.opset[0]), str(limits.opset[1] or 0)]
    arguments += ["--static"] if not limits.dynamic else []
    arguments += ["--refuse", *limits.refuse] if limits.refuse else []
    arguments += ["--refuse-hint", limits.refuse_hint] if limits.refuse_hint else []
    return [*arguments, *(["--size-mb", f"{limits.size_mb:g}"] if limits.size_mb else [])]


def _reads_onnx(recipe: Recipe) -> bool:
    reads = {source for step in recipe.steps for _, source in step.inputs}
    return not reads or bool(ONNX_SOURCES & reads)


def _exportable(manifest: Manifest) -> bool:
    given = manifest.model.weights
    return given is None or given.suffix == ".pt"


def _inside(value: int, span: tuple[int, int | None]) -> bool:
    return span[0] <= value and (span[1] is None or value <= span[1])


def _nearest(value: int, span: tuple[int, int | None]) -> int:
    low = max(value, span[0])
    return low if span[1] is None else min(low, span[1])


def _span(span: tuple[int, int | None]) -> str:
    return f"{span[0]} to {span[1]}" if span[1] is not None else f"{span[0]} and more"
