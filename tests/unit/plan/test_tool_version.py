from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.errors import ManifestError
from edgebuild.plan.commands import script
from edgebuild.plan.tool_version import ToolVersion, tool_versions
from tests.unit.plans import plan, target, toolchain

if TYPE_CHECKING:
    from edgebuild.manifest.values import Target


def chosen(one: Target, **found: str) -> list[tuple[str, bool]]:
    chain = toolchain(one.toolchain)
    recipe = chain.recipes[one.recipe] if one.recipe else chain.default_recipe
    versions = tool_versions(one, chain, recipe, {f"tensorrt/{name}": text for name, text in found.items()})
    return [(version.text, version.assumed) for version in versions]


def engine(recipe: str, **options: object) -> Target:
    return target("engine", toolchain="tensorrt", recipe=recipe, options=options)


def test_the_version_that_is_here_decides() -> None:
    assert chosen(engine("int8"), trtexec="10.3.0") == [("10.3.0", False)]


@pytest.mark.parametrize("here", ["", "unknown"])
def test_without_one_the_newest_that_can_do_it_is_assumed(here: str) -> None:
    found = {"trtexec": here} if here else {}
    assert chosen(engine("int8"), **found) == [("11.4", True)]
    assert chosen(engine("fp16"), **found) == [("10.3", True)]
    assert chosen(engine("fp16", dla_core=0), **found) == [("10.3", True)]
    assert chosen(target("h", toolchain="hailo", options={"hw_arch": "hailo8"})) == [("3.0", True)]
    assert chosen(target("h", toolchain="hailo", options={"hw_arch": "hailo15h"})) == [("5.0", True)]


def test_a_toolchain_that_does_not_ask_has_none() -> None:
    assert chosen(target("pi")) == []


def test_templates_see_text_and_numbers() -> None:
    version = ToolVersion(tool="trtexec", text="10.16.1.11", assumed=False)
    assert version.variables() == {"version": "10.16.1.11", "major": 10, "minor": 16}
    assert ToolVersion(tool="x", text="5", assumed=True).variables()["minor"] == 0


def test_another_version_is_another_command() -> None:
    ten, eleven = (
        plan(engine("int8"), versions={"tensorrt/trtexec": version}).action("engine/compile").argv
        for version in ("10.3.0", "11.4.1")
    )
    assert set(ten) - set(eleven) == {"--fp16", "--int8"}


@pytest.mark.parametrize(
    ("one", "version", "message"),
    [
        (engine("fp16"), "11.4.1", "recipe fp16 needs trtexec <11, trtexec 11.4.1 is here"),
        (engine("autocast"), "10.3.0", "recipe autocast needs trtexec >=11, trtexec 10.3.0 is here"),
        (engine("fp16", dla_core=1), "10.9.0", "dla_core 1 needs trtexec <10.8, trtexec 10.9.0 is here"),
    ],
)
def test_what_the_version_here_cannot_do_is_refused(one: Target, version: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        plan(one, versions={"tensorrt/trtexec": version})
    (problem,) = caught.value.problems
    assert problem.message == message
    assert problem.hint


def test_printed_commands_say_what_they_take_for_granted() -> None:
    made = plan(engine("int8"))
    note = "# tensorrt/trtexec is not here: this is for version 11.4"
    assert note in script(made, [made.action("engine/compile")])
    assert note not in script(made, [made.action("export")])
    (noted,) = made.target("engine").notes
    assert (noted.id, noted.message) == (
        "version-assumed",
        "engine: the commands are for tensorrt/trtexec 11.4",
    )
    here = plan(engine("int8"), versions={"tensorrt/trtexec": "11.4.1"})
    assert "is not here" not in script(here, here.actions)
    assert here.target("engine").notes == ()
