"""A flag that a template spells wrongly is refused by the stand-in for the vendor's tool.

For each step of each toolchain whose tools are played: a flag of the rendered command, one letter too
long, has to be refused as a flag, before anything else is looked at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.toolchain.load import load_toolchain
from tests.fakes.install import TOOLS
from tests.unit.vendor_bench import SEARCH, VendorBench, render_step

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: dict[str, dict[str, Any]] = {
    "ascend": {"soc_version": "Ascend310P3", "output_type": "FP32", "precision_mode_v2": "fp16"},
    "cambricon": {"network": "yolov5"},
    "axera": {"npu_mode": "NPU1"},
    "axelera": {},
    "hailo": {"hw_arch": "hailo8"},
    "tensorrt": {"workspace": 64},
    "sophgo": {},
    "qualcomm": {"dsp_arch": "v73"},
}
"""What makes the templates render as many flags as a usual target has, by toolchain."""

REFUSALS = re.compile(
    r"unrecognized arguments: |ignored explicit argument|the following arguments are required: "
    r"|unknown argument: |Unknown option: |unknown command line flag "
)


def steps() -> list[tuple[str, str, str]]:
    """Return toolchain, recipe and step of every command for a tool that is played, each step once."""
    found: dict[tuple[str, str], tuple[str, str, str]] = {}
    for name in OPTIONS:
        toolchain = load_toolchain(name, SEARCH)
        for recipe in toolchain.recipes.values():
            for entry in recipe.steps:
                step = toolchain.steps[entry.step]
                if any(toolchain.tools[tool].executable in TOOLS for tool in step.tools):
                    found.setdefault((name, entry.step), (name, recipe.name, entry.step))
    return list(found.values())


def command(name: str, recipe: str, step: str) -> list[str]:
    """Return the vendor's own words of a step, without a program of the folder that calls them."""
    known = load_toolchain(name, SEARCH).options
    options = {
        option: value
        for option, value in OPTIONS[name].items()
        if not known[option].recipes or recipe in known[option].recipes
    }
    words = list(render_step(name, recipe, step, **options).argv)
    return words[next(index for index, word in enumerate(words) if word in TOOLS) :]


STEPS = steps()


def test_every_played_tool_has_a_step() -> None:
    toolchains = {name: load_toolchain(name, SEARCH) for name in OPTIONS}
    played = {
        toolchains[name].tools[tool].executable
        for name, _, step in STEPS
        for tool in toolchains[name].steps[step].tools
    }
    assert played == set(TOOLS)


@pytest.mark.parametrize(("name", "recipe", "step"), STEPS)
def test_no_flag_of_a_template_may_be_spelled_wrongly(
    tmp_path: Path, name: str, recipe: str, step: str
) -> None:
    bench = VendorBench.bare(tmp_path, name)
    words = command(name, recipe, step)
    flags = [index for index, word in enumerate(words) if re.match(r"--?[a-zA-Z]", word)]
    assert flags
    index = flags[len(flags) // 2]
    flag, equals, value = words[index].partition("=")
    done = bench.run([*words[:index], f"{flag}s{equals}{value}", *words[index + 1 :]])
    assert done.returncode != 0
    assert REFUSALS.search(done.stdout), done.stdout
