"""The release of a toolkit against that of the runtime on a device: they may have to agree. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edgebuild.action import Finding
from edgebuild.versions import match_version, parse_release


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceVersion:
    """How a device says which runtime it has.

    Attributes:
        tool: The tool of the toolchain whose version is compared.
        pattern: Regular expression over the lines that a device prints; its groups are the version.
        same: How many leading numbers have to agree.
        hint: What to do when they do not.
    """

    tool: str
    pattern: str
    same: int = 2
    hint: str = ""


def device_release(rule: DeviceVersion, printed: str) -> str:
    """Return the version of the runtime that a device's output names, or nothing."""
    return match_version(rule.pattern, printed)


def version_mismatch(rule: DeviceVersion, toolkit: str, printed: str) -> Finding | None:
    """Return a finding when toolkit and device are known to have different releases.

    Args:
        rule: How to compare.
        toolkit: Version of the toolkit that makes the artifact; empty when it is not known.
        printed: What the device printed.
    """
    device = device_release(rule, printed)
    ours, theirs = parse_release(toolkit), parse_release(device)
    if ours is None or theirs is None:
        return None
    width = min(rule.same, len(ours), len(theirs))
    if ours[:width] == theirs[:width]:
        return None
    return Finding(
        id="version-mismatch",
        level="warning",
        message=f"{rule.tool} {toolkit} makes the artifact, and the device has {device}",
        hint=rule.hint or "bring both to one release: the device may refuse the artifact",
    )
