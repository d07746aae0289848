"""Which version of a vendor's tool the commands are made for: the one found here, else a known one. Pure.

A plan must not depend on the machine behind anybody's back. So what was found is given to the planner,
what a target takes for granted stands in its plan, and the identity of the tool is in every key anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.action import Finding
from edgebuild.toolchain.load import resolve_options
from edgebuild.versions import in_range, parse_release

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from edgebuild.manifest.values import Target
    from edgebuild.toolchain.load import Recipe, Requirement, Tool, Toolchain


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolVersion:
    """The version that a target's commands are written for.

    Attributes:
        tool: Name of the tool within its toolchain.
        text: The version, such as ``10.3.0``.
        assumed: The tool is not here, or does not say its version.
    """

    tool: str
    text: str
    assumed: bool

    def variables(self) -> dict[str, Any]:
        """Return what templates see: the text, and the first two numbers of the release."""
        release = (*(parse_release(self.text) or (0,)), 0, 0)
        return {"version": self.text, "major": release[0], "minor": release[1]}


def tool_versions(
    target: Target, toolchain: Toolchain, recipe: Recipe, found: Mapping[str, str]
) -> tuple[ToolVersion, ...]:
    """Return the version of every tool that the toolchain's templates ask for.

    Args:
        target: The target.
        toolchain: Its toolchain.
        recipe: Its recipe.
        found: ``toolchain/tool`` -> version that was found here; what is missing is not here.
    """
    needs = tuple(_needs(target, toolchain, recipe))
    return tuple(_version(toolchain, tool, needs, found) for tool in toolchain.tools.values() if tool.known)


def version_faults(
    target: Target, toolchain: Toolchain, recipe: Recipe, found: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield option (or an empty string), fault and hint where the tool found here is too old or too new."""
    needs = tuple(_needs(target, toolchain, recipe))
    for chosen in tool_versions(target, toolchain, recipe, found):
        for need in needs:
            if need.tool == chosen.tool and in_range(chosen.text, need.versions) is False:
                what = f"{need.option} {target.options.get(need.option)!r}" if need.option else recipe.name
                kind = "" if need.option else "recipe "
                seen = f"{chosen.tool} {chosen.text} is {'assumed' if chosen.assumed else 'here'}"
                text = f"{kind}{what} needs {chosen.tool} {need.versions}, {seen}"
                yield need.option, text, need.hint


def version_notes(
    target: Target, toolchain: Toolchain, versions: Iterable[ToolVersion]
) -> tuple[Finding, ...]:
    """Return what a target takes for granted of tools that are not here, or do not say their version."""
    return tuple(
        Finding(
            id="version-assumed",
            level="note",
            message=f"{target.name}: the commands are for {toolchain.name}/{chosen.tool} {chosen.text}",
            hint="no version of it was found here",
        )
        for chosen in versions
        if chosen.assumed
    )


def _version(
    toolchain: Toolchain, tool: Tool, needs: tuple[Requirement, ...], found: Mapping[str, str]
) -> ToolVersion:
    here = found.get(f"{toolchain.name}/{tool.name}", "")
    if parse_release(here):
        return ToolVersion(tool=tool.name, text=here, assumed=False)
    ranges = [need.versions for need in needs if need.tool == tool.name]
    fitting = (known for known in tool.known if all(in_range(known, span) for span in ranges))
    return ToolVersion(tool=tool.name, text=next(fitting, tool.known[0]), assumed=True)


def _needs(target: Target, toolchain: Toolchain, recipe: Recipe) -> Iterator[Requirement]:
    """Yield the toolchain's requirements that concern this target."""
    options, _ = resolve_options(toolchain, target.options, lambda name: ("", 0, 0, name), recipe=recipe)
    for need in toolchain.requires:
        if need.recipes and recipe.name not in need.recipes:
            continue
        if need.option and options.get(need.option) not in need.values:
            continue
        yield need
