from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.errors import UsageError
from edgebuild.plan.trial import chosen_recipes, overrides, trial_manifest
from edgebuild.toolchain.load import load_toolchain
from tests.unit.environments import BODY, write_toolchain

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.toolchain.load import Toolchain

OPTIONS = """
options:
  chip: {type: string, enum: [a1, a2], description: The chip.}
  soc: {type: string, pattern: 'Soc[0-9]+', description: The very chip., hint: it is printed on it}
  level: {type: integer, default: 1, recipes: [int8], description: How hard.}
required_options: [chip]
test: {options: {soc: Soc7}, imgsz: [64, 96]}
calibration: {format: npy, minimum: 20}
limits: {tasks: [segment, detect], batch: [2, 4]}
"""

INT8 = """
  int8:
    title: Acme INT8
    precision: int8
    default: true
    required_options: [soc]
    steps:
      - step: compile
        inputs: {model: onnx}
    artifact: compile.model
    evaluate: none
steps:"""


@pytest.fixture
def chain(tmp_path: Path) -> Toolchain:
    return load(tmp_path, OPTIONS)


def load(folder: Path, options: str) -> Toolchain:
    body = BODY.replace("\nsteps:", INT8).replace("recipes:\n", options + "recipes:\n", 1)
    return load_toolchain("acme", (write_toolchain(folder, "", body=body),))


def test_the_default_recipe_is_tried_unless_others_are_named(chain: Toolchain) -> None:
    assert [recipe.name for recipe in chosen_recipes(chain, [])] == ["int8"]
    assert [recipe.name for recipe in chosen_recipes(chain, ["fp32"])] == ["fp32"]
    assert [recipe.name for recipe in chosen_recipes(chain, ["all"])] == ["fp32", "int8"]
    with pytest.raises(UsageError, match="no recipe 'int9', did you mean"):
        chosen_recipes(chain, ["int9"])


def test_the_manifest_asks_for_what_the_toolchain_can_take(chain: Toolchain) -> None:
    manifest = trial_manifest(chain, chosen_recipes(chain, ["all"]), ())
    assert manifest["model"] == {"weights": "weights.pt", "task": "segment", "imgsz": [64, 96]}
    assert manifest["dataset"]["calibration"]["images"] == 20
    assert manifest["targets"]["int8"]["options"] == {"soc": "Soc7", "chip": "a1"}
    assert {target["batch"] for target in manifest["targets"].values()} == {2}
    assert not any(target["ship"] for target in manifest["targets"].values())


def test_an_option_without_a_value_to_guess_has_to_be_given(tmp_path: Path) -> None:
    chain = load(tmp_path, OPTIONS.replace("options: {soc: Soc7}, ", ""))
    recipes = chosen_recipes(chain, [])
    with pytest.raises(UsageError, match=r"acme needs a value for soc: The very chip\.") as raised:
        trial_manifest(chain, recipes, ())
    assert raised.value.hint == "`--option soc=VALUE`; it is printed on it"
    assert "soc" not in trial_manifest(chain, recipes, {"soc"})["targets"]["int8"]["options"]


def test_an_option_is_set_where_a_recipe_has_it(chain: Toolchain) -> None:
    recipes = chosen_recipes(chain, ["all"])
    assert overrides(chain, recipes, ["level=3"]) == ("targets.int8.options.level=3",)
    assert len(overrides(chain, recipes, ["chip=a2"])) == 2
    for wrong, said in (
        ("speed=1", "no option 'speed'"),
        ("level", "expected NAME=VALUE"),
        ("level=high", "--option level=high: 'high' is not an integer"),
        ("chip=a3", "'a3' does not exist; the values are a1, a2"),
    ):
        with pytest.raises(UsageError, match=said):
            overrides(chain, recipes, [wrong])
    with pytest.raises(UsageError, match="recipe fp32 has no option 'level'"):
        overrides(chain, chosen_recipes(chain, ["fp32"]), ["level=3"])
