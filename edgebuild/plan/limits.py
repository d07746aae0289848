"""What a compiler can take, against what a manifest asks for: what is wrong, and what is changed. Pure.

A toolchain's ``limits`` are checked before anything runs, all together, with what to change. Three things are
changed for a target without asking, and said so in a note: the opset of its export and the head, where the
weights can be exported anew, and open dimensions, which its batch and the image size fix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgebuild.action import Finding
from edgebuild.opsets import QUANTIZE_OPSET, least_opset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgebuild.manifest.values import Export, Manifest, Target
    from edgebuild.toolchain.load import Recipe, Toolchain

ONNX_SOURCES = frozenset({"onnx", "fp16", "dynamic", "qdq", "qdq_w8a16", "qdq_naive"})
"""Sources of a recipe that are ONNX files."""

SELECTION = "TopK"
"""The ONNX operator by which a head that selects its boxes itself is known."""

SELECTION_HINT = "export the ONNX with the head whose overlapping boxes are suppressed, or use `head: cut`"

Fault = tuple[str, str, str]
"""Path in the manifest, what does not fit, what to write there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpsetSpan:
    """The opsets that will do for a target.

    Attributes:
        span: Least and greatest, both included; None: no greatest is known.
        who: What needs them, as the subject of a sentence.
    """

    span: tuple[int, int | None]
    who: str


def opset_span(target: Target, toolchain: Toolchain, recipe: Recipe) -> OpsetSpan:
    """Return the opsets that a target's compiler takes and that our own quantization can work with.

    Args:
        target: The target.
        toolchain: Its toolchain.
        recipe: Its recipe.
    """
    low, high = toolchain.limits.opset
    settings = target.quantize
    searched = settings.mixed_precision is not None and "calibration" in recipe.sources
    own, why = own_least(
        recipe, per_channel=settings.per_channel, activation=settings.activation, searched=searched
    )
    if own > low:
        return OpsetSpan(span=(own, high), who=why)
    return OpsetSpan(span=(low, high), who=f"{toolchain.name} takes")


def own_least(
    recipe: Recipe, *, per_channel: bool = True, activation: str = "", searched: bool = False
) -> tuple[int, str]:
    """Return the least opset of the ONNX files that are quantized here for a recipe, and what needs it.

    Args:
        recipe: The recipe.
        per_channel: Weights have one scale per output channel.
        activation: Type of the activations, or empty.
        searched: A search quantizes for a vendor's own quantizer.
    """
    sources = set(recipe.sources)
    if sources & {"qdq", "qdq_naive"} or searched:
        least = least_opset(per_channel=per_channel, activation=activation)
        how = " per channel (quantize.per_channel)" if least > QUANTIZE_OPSET else ""
        return least, f"quantizing{how} takes"
    return (QUANTIZE_OPSET, "quantizing takes") if sources & {"qdq_w8a16", "dynamic"} else (1, "")


def fitted_export(
    manifest: Manifest, target: Target, toolchain: Toolchain, recipe: Recipe, head: str = "full"
) -> Export:
    """Return the export settings for a target: the manifest's, as far as its compiler can take them.

    Args:
        manifest: The manifest.
        target: The target.
        toolchain: Its toolchain.
        recipe: The target's recipe.
        head: Where the model ends that the target reads.
    """
    asked = manifest.model.export
    if _exportable(manifest) and not _takes_selection(toolchain, head):
        asked = replace(asked, end2end=False)
    if not _reads_onnx(recipe):
        return asked
    dynamic = asked.dynamic and toolchain.limits.dynamic
    span = opset_span(target, toolchain, recipe).span
    opset = _nearest(asked.opset, span) if _exportable(manifest) else asked.opset
    return replace(asked, opset=opset, dynamic=dynamic)


def _takes_selection(toolchain: Toolchain, head: str) -> bool:
    """Say whether a head that selects its boxes itself suits a target.

    A cut model ends before the selection. A normalised head cannot have one: it returns class numbers.
    """
    return head == "cut" or (head == "full" and toolchain.limits.end2end)


def fit_notes(
    target: Target, toolchain: Toolchain, recipe: Recipe, asked: Export, fitted: Export, head: str = "full"
) -> tuple[Finding, ...]:
    """Return in words what was changed for a target so that its compiler can take the model."""
    notes = []
    if fitted.end2end != asked.end2end:
        why = "a normalised head" if head == "normalised" else toolchain.name
        message = f"{target.name} is exported with the head whose overlapping boxes are suppressed: "
        message += f"{why} cannot select boxes"
        hint = "it is compared with the float model of that head; every target has it with "
        hint += "model.export.end2end: false"
        notes.append(Finding(id="head-fitted", level="note", message=message, hint=hint))
    if fitted.opset != asked.opset:
        need = opset_span(target, toolchain, recipe)
        message = f"{target.name} is exported with opset {fitted.opset}: {need.who} {_span(need.span)}"
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
    need = opset_span(target, toolchain, recipe)
    opset = fitted_export(manifest, target, toolchain, recipe).opset
    if _reads_onnx(recipe) and not _inside(opset, need.span):
        nearest = _nearest(opset, need.span)
        text = f"{need.who} ONNX opset {_span(need.span)}, the export has {opset}"
        yield path, text, f"export the ONNX with opset {nearest} and set model.export.opset: {nearest}"
    yield from _selection_faults(manifest, target, toolchain, recipe)
    yield from batch_faults(target, toolchain)


def batch_faults(target: Target, toolchain: Toolchain) -> Iterator[Fault]:
    """Yield that a toolchain does not take a target's batch, whatever the recipe."""
    span, place = toolchain.limits.batch, f"targets.{target.name}.batch"
    if not _inside(target.batch, span):
        text = f"{toolchain.name} takes batch {_span(span)}, the target has {target.batch}"
        yield place, text, f"set {place}: {_nearest(target.batch, span)}"


def _selection_faults(
    manifest: Manifest, target: Target, toolchain: Toolchain, recipe: Recipe
) -> Iterator[Fault]:
    """Yield that an ONNX file has a head that a target cannot have; it cannot be exported anew."""
    head = target.head or recipe.head
    if not manifest.model.export.end2end or _exportable(manifest) or _takes_selection(toolchain, head):
        return
    text = f"{toolchain.name} takes no head that selects its boxes itself (model.export.end2end)"
    if head == "normalised":
        text = "a normalised head cannot be made of one that selects its boxes itself (model.export.end2end)"
    cut = f"set targets.{target.name}.head: cut, or " if "cut" in recipe.heads else ""
    yield f"targets.{target.name}", text, f"{cut}give model.weights as a .pt file, which has both heads"


def needs_look(manifest: Manifest, toolchain: Toolchain) -> bool:
    """Say whether the ONNX itself has to be looked at before the compiler gets it."""
    limits = toolchain.limits
    unknown = (limits.opset != (1, None) or not limits.end2end) and not _exportable(manifest)
    return bool(limits.refuse or limits.size_mb or unknown)


def look_arguments(toolchain: Toolchain) -> list[str]:
    """Return the limits as the step that looks at an ONNX file takes them."""
    limits = toolchain.limits
    arguments = ["--toolchain", toolchain.name]
    if limits.opset != (1, None):
        arguments += ["--opset", str(limits.opset[0]), str(limits.opset[1] or 0)]
    arguments += ["--static"] if not limits.dynamic else []
    selecting = () if limits.end2end or SELECTION in limits.refuse else (SELECTION,)
    refused = (*limits.refuse, *selecting)
    hint = limits.refuse_hint or (SELECTION_HINT if selecting else "")
    arguments += ["--refuse", *refused] if refused else []
    arguments += ["--refuse-hint", hint] if hint else []
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
    if span[1] is None:
        return f"{span[0]} and more"
    return f"{span[0]} to {span[1]}" if span[0] != span[1] else f"{span[0]} only"
