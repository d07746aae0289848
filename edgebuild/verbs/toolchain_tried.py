"""What came of one recipe of a toolchain that was tried: whether its outputs agree, and how that is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.amounts import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.toolchain.load import Recipe

CLOSE = {"fp32": 0.02, "fp16": 0.3}
"""How far outputs may deviate, by precision; of integer ones random weights prove nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What came of one recipe.

    Attributes:
        problem: Why it failed, or empty.
        size: Bytes of the artifact.
        seconds: Of the vendor's steps.
        agreement: Rows of the comparison with the float model; empty when nothing was run.
        judged: How far its outputs deviate says something: they do not of integers and random weights.
        findings: What the tools said.
    """

    recipe: str
    problem: str
    size: int
    seconds: float
    agreement: tuple[Mapping[str, Any], ...]
    judged: bool
    findings: tuple[str, ...]


def judged(recipe: Recipe) -> bool:
    """Say whether the values of a recipe's outputs are judged, and not only their shapes."""
    return recipe.precision in CLOSE


def disagreement(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what is wrong with an artifact's outputs, or nothing."""
    for row in rows:
        if row["shape"] != row["expected"]:
            return f"{row['name']} has shape {row['shape']}, the float model's has {row['expected']}"
        most = CLOSE.get(recipe.precision)
        if most is not None and row["deviation"] > most:
            limit = f"deviates by {row['deviation']:.2%}, at most {most:.0%} will do"
            return f"{row['name']} is not the float model's: {limit}"
    return ""


def row(one: Tried) -> dict[str, Any]:
    """Return what came of a recipe as a document."""
    return {
        "recipe": one.recipe,
        "ok": not one.problem,
        "problem": one.problem,
        "size": one.size,
        "seconds": one.seconds,
        "outputs": [dict(row) for row in one.agreement],
        "findings": list(one.findings),
    }


def lines(one: Tried) -> Iterator[str]:
    """Yield what came of a recipe in words."""
    if one.problem:
        yield f"FAILED  {one.recipe}: {one.problem}"
    else:
        ran = "runs here" if one.agreement else "cannot be run here"
        if one.judged:
            ran += "".join(f", {row['name']} deviates by {row['deviation']:.2%}" for row in one.agreement)
        made = f"{size_text(one.size)} in {one.seconds:g} s" if one.seconds else size_text(one.size)
        yield f"ok      {one.recipe}: {made}; {ran}"
    yield from (f"        {text}" for text in one.findings)
