"""Quantization settings filled in for a CPU family, and the short name of a variant. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edgebuild.digest import canonical_json, digest_document, short

if TYPE_CHECKING:
    from edgebuild.manifest.values import Quantize
    from edgebuild.toolchain.values import QdqNeed

TYPES = {"x86-vnni": ("u8", "s8", False), "x86": ("u8", "s8", True), "arm64": ("s8", "s8", False)}
"""Activation type, weight type and reduced range per CPU family.

x86 multiplies unsigned by signed bytes, and signed activations fall off its fast path (docs/quantization.md);
without VNNI its 16-bit sums can overflow, so weights keep to 7 bits. Arm's dot product takes signed bytes.
"""

DEFAULT_KEEP = ("decode", "last")
DEFAULT_METHOD: Final = "percentile"
"""A few outliers decide the range of minmax; docs/quantization.md has what that costs."""

DEFAULT_PERCENTILE = 99.999


def resolve_types(settings: Quantize, cpu: str) -> Quantize:
    """Return the settings with every type and the method decided.

    Args:
        settings: As the manifest gives them.
        cpu: CPU family the artifact is for; an unknown one is taken for plain x86, which is safe everywhere.
    """
    activation, weight, reduce_range = TYPES.get(cpu, TYPES["x86"])
    return replace(
        settings,
        method=settings.method or DEFAULT_METHOD,
        activation=settings.activation or activation,
        weight=settings.weight or weight,
        reduce_range=reduce_range if settings.reduce_range is None else settings.reduce_range,
    )


def resolve_for(settings: Quantize, cpu: str, need: QdqNeed) -> Quantize:
    """Return the settings with every type decided for a compiler that does not read every type.

    Args:
        settings: As the manifest gives them; what they leave open becomes something the compiler reads.
        cpu: CPU family that decides what neither says.
        need: What the compiler reads.
    """
    chosen = resolve_types(settings, cpu)
    if not need.activation and not need.weight:
        return chosen
    activation = settings.activation or next(iter(need.activation), chosen.activation)
    weight = settings.weight or next(iter(need.weight), chosen.weight)
    return replace(chosen, activation=activation, weight=weight, reduce_range=bool(settings.reduce_range))


def without_decode(settings: Quantize) -> Quantize:
    """Return the settings for a model that ends before its decoding: nothing of that group is left."""
    return replace(settings, keep_float=tuple(name for name in settings.keep_float if name != "decode"))


def wide_activations(settings: Quantize) -> Quantize:
    """Return the settings with 16-bit activations, signed where the 8-bit ones were."""
    return replace(settings, activation=f"{settings.activation[:1]}16", reduce_range=False)


def float16_label(settings: Quantize, *, batch: int, head: str) -> str:
    """Return ``@...`` for what sets a half-precision model apart from the default one."""
    parts = _model_parts(batch, head)
    if settings.keep_float != _default_keep(head):
        parts.append(_kept(settings.keep_float))
    return f"@{'-'.join(parts)}" if parts else ""


def dynamic_label(settings: Quantize, *, batch: int, head: str) -> str:
    """Return ``@dynamic...`` for a model whose activations are quantized as it runs."""
    parts = ["dynamic", *_model_parts(batch, head)]
    parts += ["r"] if settings.reduce_range else []
    parts += [] if settings.per_channel else ["per-tensor"]
    if settings.keep_float != _default_keep(head):
        parts.append(_kept(settings.keep_float))
    return f"@{'-'.join(parts)}"


def type_arguments(settings: Quantize, *, pairs: bool) -> list[str]:
    """Return what the quantize step is told of types; ``pairs``: with float weights and biases."""
    arguments = ["--activation", settings.activation, "--weight", settings.weight]
    arguments += ["--per-channel"] if settings.per_channel else []
    arguments += ["--reduce-range"] if settings.reduce_range else []
    return [*arguments, *(["--pairs"] if pairs else [])]


def variant_label(
    settings: Quantize,
    *,
    batch: int,
    naive: bool = False,
    ranges_only: bool = False,
    pairs: bool = False,
    head: str = "full",
) -> str:
    """Return ``@...`` for what differs from the defaults, or an empty string when nothing does.

    Args:
        settings: With every type decided.
        batch: Batch of the export.
        naive: The variant that quantizes everything.
        ranges_only: Only what the measurement of ranges depends on.
        pairs: The style with float weights and biases.
        head: Where the model ends.
    """
    parts = _model_parts(batch, head)
    if settings.method == DEFAULT_METHOD:
        usual = settings.percentile == DEFAULT_PERCENTILE
        parts += [] if usual else [f"p{canonical_json(settings.percentile)}"]
    else:
        parts.append(settings.method)
    if not ranges_only:
        types = f"{settings.activation}{settings.weight}" + ("r" if settings.reduce_range else "")
        parts += [types] if types != "u8s8" else []
        parts += [] if settings.per_channel else ["per-tensor"]
        parts += ["pairs"] if pairs else []
        if naive:
            parts.append("naive")
        elif settings.keep_float != _default_keep(head):
            parts.append(_kept(settings.keep_float))
    return f"@{'-'.join(parts)}" if parts else ""


def _model_parts(batch: int, head: str) -> list[str]:
    return [*([] if batch == 1 else [f"b{batch}"]), *([] if head == "full" else [head])]


def _default_keep(head: str) -> tuple[str, ...]:
    return tuple(name for name in DEFAULT_KEEP if head != "cut" or name != "decode")


def _kept(names: tuple[str, ...]) -> str:
    if not names:
        return "no-float"
    plain = all(name.isalnum() and name.isascii() for name in names) and len(names) <= 4
    return f"float-{'+'.join(names) if plain else short(digest_document(list(names)), 8)}"
