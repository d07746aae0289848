"""Version numbers as vendors write them, and ranges over them.

Only the leading release number counts: ``8.0.RC1``, ``9.2.0-beta.2`` and ``v2.26.1`` compare as 8.0, 9.2.0
and 2.26.1. A release candidate therefore counts as its release: vendors of compilers ship them as such.
"""

from __future__ import annotations

import re

Release = tuple[int, ...]
Comparison = tuple[str, Release]

_RELEASE = re.compile(r"[vV]?(\d+(?:\.\d+)*)")
_COMPARISON = re.compile(r"(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)")


def parse_release(text: str) -> Release | None:
    """Return the leading release number of a version text, or None when it does not start with one."""
    match = _RELEASE.match(text.strip())
    return tuple(int(part) for part in match.group(1).split(".")) if match else None


def match_version(regex: str, text: str) -> str:
    """Return the version that a regular expression finds in the lines of a text, or nothing.

    Its non-empty groups, joined by dots, are the version; without groups all that it matches.
    """
    match = re.search(regex, text, re.MULTILINE)
    if match is None:
        return ""
    groups = [group for group in match.groups() if group]
    return ".".join(groups) if match.groups() else match.group(0)


def parse_range(text: str) -> tuple[Comparison, ...]:
    """Return the comparisons of a range such as ``>=5.1,<10``; all of them must hold.

    Raises:
        ValueError: The text is not such a range; the message says what one looks like.
    """
    comparisons = []
    for part in text.split(","):
        match = _COMPARISON.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is not a comparison such as '>=5.1' or '<10'")
        comparisons.append((match.group(1), tuple(int(number) for number in match.group(2).split("."))))
    return tuple(comparisons)


def in_range(version: str, supported: str) -> bool | None:
    """Say whether a version lies in a range; an empty range holds everything.

    Returns:
        None when the version does not start with a number, so that nothing can be said.

    Raises:
        ValueError: The range is not one.
    """
    if not supported:
        return True
    release = parse_release(version)
    if release is None:
        return None
    return all(_holds(release, operator, bound) for operator, bound in parse_range(supported))


def _holds(release: Release, operator: str, bound: Release) -> bool:
    width = max(len(release), len(bound))
    left, right = _padded(release, width), _padded(bound, width)
    return {
        ">=": left >= right,
        "<=": left <= right,
        "==": left == right,
        "!=": left != right,
        ">": left > right,
        "<": left < right,
    }[operator]


def _padded(release: Release, width: int) -> Release:
    return release + (0,) * (width - len(release))
