"""Values of a ``toolchain.yaml`` that its schema lets through and that cannot be meant."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edgebuild.toolchain.options import check_value, frozen, parse_option
from edgebuild.toolchain.schema import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edgebuild.toolchain.schema import Path_

PACKAGE_MEMBERS = (
    "README.md",
    "REJECTED",
    "artifact",
    "calibration.json",
    "contents.json",
    "decode.py",
    "device.py",
    "golden.npz",
    "labels.txt",
    "metrics.json",
    "model.json",
    "quantize.json",
    "recipe.json",
    "shapes.py",
    "tools.json",
    "verdicts.json",
)
"""What edgebuild itself puts into packages."""


def value_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the values of a schema-valid document that cannot be meant."""
    yield from _range_faults(document.get("limits", {}))
    yield from _refused_value_faults(document)
    yield from _path_faults(document)
    yield from _pattern_faults(document)


def _range_faults(limits: Mapping[str, Any]) -> Iterator[Fault]:
    for key in ("opset", "batch"):
        span = limits.get(key, ())
        if len(span) > 1 and span[0] > span[1]:
            yield Fault(path=("limits", key), message=f"{span}: the least comes first, then the greatest")


def _refused_value_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the values that a rule names and that its option never has; the names are checked elsewhere."""
    rules: list[tuple[Path_, str, Sequence[Any]]] = []
    for name, recipe in document["recipes"].items():
        rules += [
            (("recipes", name, "refuse", o), o, values) for o, values in recipe.get("refuse", {}).items()
        ]
    for index, finding in enumerate(document.get("findings", ())):
        rules += [
            (("findings", index, "options", o), o, values) for o, values in finding.get("options", {}).items()
        ]
    for index, need in enumerate(document.get("requires", ())):
        rules.append((("requires", index, "values"), need.get("option", ""), need.get("values", ())))
    for path, name, values in rules:
        declared = document.get("options", {}).get(name)
        for index, value in enumerate(values if declared else ()):
            if wrong := check_value(parse_option(name, declared), frozen(value)):
                yield Fault(path=(*path, index), message=f"option {name!r} never has it: {wrong}")


def _path_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    for name, step in document.get("steps", {}).items():
        outputs = {
            ("steps", name, "outputs", role, "path"): one["path"] for role, one in step["outputs"].items()
        }
        yield from _overlaps(outputs.items())
        yield from _overlaps(
            [(("steps", name, "files", path), path) for path in step.get("files", {})], at_key=True
        )
    files = [(("package", "files", path), path) for path in document.get("package", {}).get("files", {})]
    yield from _overlaps(files, at_key=True)
    own = {member.casefold(): member for member in PACKAGE_MEMBERS}
    for place, path in files:
        if member := own.get(path.split("/")[0].casefold()):
            yield Fault(
                path=place, message=f"every package has its own {member}", at_key=True, hint="rename it"
            )


def _overlaps(paths: Iterable[tuple[Path_, str]], *, at_key: bool = False) -> Iterator[Fault]:
    """Yield the paths that are one of those before, below it, or above it."""
    seen: list[PurePosixPath] = []
    for place, text in paths:
        path = PurePosixPath(text)
        for other in seen:
            if path == other or path in other.parents or other in path.parents:
                words = "the same as" if path == other else "above" if path in other.parents else "below"
                yield Fault(path=place, message=f"{text!r} is {words} {str(other)!r}", at_key=at_key)
        seen.append(path)


def _pattern_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    versions = list(_version_patterns(document))
    for path, pattern in [*versions, *_patterns(document)]:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            yield Fault(path=path, message=f"not a regular expression: {error}")
            continue
        if not compiled.groups and (path, pattern) in versions:
            message = "has no group: what stands in (...) is the version"
            yield Fault(path=path, message=message, hint=r"such as 'version (\d+\.\d+)'")


def _version_patterns(document: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """Yield the patterns whose groups are a version."""
    for name, tool in document["tools"].items():
        if "regex" in tool.get("version", {}):
            yield ("tools", name, "version", "regex"), tool["version"]["regex"]
    for index, need in enumerate(document.get("environment", {}).get("system", ())):
        if "version" in need:
            yield ("environment", "system", index, "version", "regex"), need["version"]["regex"]
    if "device_version" in document:
        yield ("device_version", "pattern"), document["device_version"]["pattern"]


def _patterns(document: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    for index, finding in enumerate(document.get("findings", ())):
        yield ("findings", index, "pattern"), finding.get("pattern", "")
    for name, step in document.get("steps", {}).items():
        for key, rules in step.get("success", {}).items():
            yield from ((("steps", name, "success", key, i), rule) for i, rule in enumerate(rules))
        for role, output in step["outputs"].items():
            yield ("steps", name, "outputs", role, "matches"), output.get("matches", "")
    for name, option in document.get("options", {}).items():
        yield ("options", name, "pattern"), option.get("pattern", "")
        yield ("options", name, "items", "pattern"), option.get("items", {}).get("pattern", "")
    for kind, tools in document.get("device", {}).items():
        for name, rules in tools.items():
            yield from (
                (("device", kind, name, i, "pattern"), rule["pattern"]) for i, rule in enumerate(rules)
            )
