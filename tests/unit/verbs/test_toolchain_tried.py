from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.verbs.toolchain_tried import Tried, disagreement, judged, lines, row
from tests.unit.environments import acme

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.toolchain.load import Recipe

ROW = {"name": "output_0", "expected": [1, 6], "shape": [1, 6], "deviation": 0.25, "max_abs": 3.0}

TRIED = Tried(
    recipe="fp16", problem="", size=2_000_000, seconds=1.5, agreement=(ROW,), judged=True, findings=("a: b",)
)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return acme(tmp_path, "").default_recipe


@pytest.mark.parametrize(
    ("precision", "changes", "said"),
    [
        ("fp16", {}, ""),
        ("fp16", {"deviation": 1.4}, "is not the float model's: deviates by 140.00%, at most 30% will do"),
        ("fp32", {}, "deviates by 25.00%, at most 2% will do"),
        ("int8", {"deviation": 1.4}, ""),
        ("int8", {"shape": [6, 1]}, "has shape [6, 1], the float model's has [1, 6]"),
    ],
)
def test_values_count_of_float_recipes_and_shapes_of_all(
    recipe: Recipe, precision: Any, changes: dict[str, Any], said: str
) -> None:
    one = replace(recipe, precision=precision)
    text = disagreement(one, [ROW | changes])
    assert said in text
    assert bool(said) == bool(text)
    assert judged(one) == (precision != "int8")


def test_a_recipe_is_told_with_what_was_run_and_found() -> None:
    assert list(lines(TRIED)) == [
        "ok      fp16: 2.0 MB in 1.5 s; runs here, output_0 deviates by 25.00%",
        "        a: b",
    ]
    assert next(lines(replace(TRIED, judged=False, seconds=0.0))) == "ok      fp16: 2.0 MB; runs here"
    assert next(lines(replace(TRIED, agreement=()))).endswith("; cannot be run here")
    assert next(lines(replace(TRIED, problem="no"))) == "FAILED  fp16: no"
    assert row(TRIED)["outputs"] == [ROW]
