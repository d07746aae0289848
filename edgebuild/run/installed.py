"""What is here of everything that a plan uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgebuild.environment.probe import Probed, identity
from edgebuild.identity import own_identities
from edgebuild.toolchain.environment import ENVIRONMENT_TOOL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.environment.lookup import Lookup
    from edgebuild.environment.surroundings import Surroundings
    from edgebuild.plan.plan import Plan, TargetPlan
    from edgebuild.toolchain.load import Toolchain


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """What is here of everything the plan's actions use.

    Attributes:
        probed: Vendors' tools, by ``toolchain/tool``.
        identities: Identity per tool name of the plan; empty for what is missing.
        distributions: Python distributions that edgebuild's own steps need and that are missing.
        surroundings: Where the processes of toolchains with an environment of their own run.
    """

    probed: Mapping[str, Probed]
    identities: Mapping[str, str]
    distributions: tuple[str, ...]
    surroundings: Mapping[str, Surroundings] = field(default_factory=dict)

    def problems(self, target: TargetPlan) -> tuple[Probed, ...]:
        """Return the tools of a target that cannot be used; without its environment, that alone."""
        place = self.surroundings.get(target.toolchain.name)
        if place is not None and place.problem:
            return (place.probed,)
        return tuple(self.probed[name] for name in needed_tools(target) if not self.probed[name].usable)


def found_versions(toolchains: Mapping[str, Toolchain], lookup: Lookup) -> dict[str, str]:
    """Return ``toolchain/tool`` -> version here, of the tools whose version chooses arguments."""
    probed = [
        lookup.tool(one, tool) for one in toolchains.values() for tool in one.tools.values() if tool.known
    ]
    return {found.name: found.version for found in probed if found.found and found.version}


def look(plan: Plan, lookup: Lookup) -> Installed:
    """Look at what is installed of everything a plan uses; starts only version commands."""
    probed: dict[str, Probed] = {}
    places: dict[str, Surroundings] = {}
    for target in plan.targets:
        toolchain = target.toolchain
        place = lookup.place(toolchain)
        if place is not None:
            places[toolchain.name] = place
            probed[place.probed.name] = place.probed
        for name in needed_tools(target):
            if name not in probed and not (place and place.problem):
                probed[name] = lookup.tool(toolchain, toolchain.tools[name.partition("/")[2]])
    names = dict.fromkeys(tool for action in plan.actions for tool in action.tools)
    own, missing = own_identities(names)
    vendors = {name: identity(found) if found.found else "" for name, found in probed.items()}
    vendors |= {f"{ENVIRONMENT_TOOL}{name}": place.identity for name, place in places.items()}
    return Installed(
        probed=probed,
        identities={name: own.get(name, vendors.get(name, "")) for name in names},
        distributions=missing,
        surroundings=places,
    )


def needed_tools(target: TargetPlan) -> tuple[str, ...]:
    """Return ``toolchain/tool`` for every tool that a target's recipe uses."""
    toolchain = target.toolchain
    named = [name for entry in target.recipe.steps for name in toolchain.steps[entry.step].tools]
    return tuple(f"{toolchain.name}/{name}" for name in dict.fromkeys(named or toolchain.tools))
