"""What can be wrong with a ``toolchain.yaml`` beyond its syntax: the schema, names that must agree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edgebuild.toolchain.device_output import UNIT_GROUP, is_text, known_names
from edgebuild.toolchain.options import check_value, parse_option, suggestion
from edgebuild.toolchain.schema import Fault, known_words
from edgebuild.toolchain.value_checks import value_faults
from edgebuild.versions import parse_range

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from edgebuild.toolchain.schema import Path_

COMMON_ARTIFACTS = ("onnx", "fp16", "dynamic", "qdq", "qdq_w8a16", "qdq_naive")
"""What of the common chain can be shipped and evaluated: ONNX files, float and quantized."""

COMMON = (*COMMON_ARTIFACTS, "info", "weights", "calibration")
"""What the common chain offers to steps."""

RESERVED_STEPS = ("benchmark", "compare", "detections", "package", "search", "validate", "verdict")
"""Steps that every target has, or that are told by their name."""

RESERVED_ROLES = ("toolchain", "files")
"""Input roles that edgebuild gives out itself: the toolchain's own files, and those rendered late."""


def consistency_faults(document: Mapping[str, Any], files: Collection[str]) -> list[Fault]:
    """Return the names in a schema-valid document that do not agree with each other.

    Args:
        document: The parsed ``toolchain.yaml``.
        files: Names of the files in the toolchain's folder.
    """
    return [
        *_missing_files(document, files),
        *_tool_faults(document),
        *_option_faults(document),
        *_recipe_faults(document),
        *_step_faults(document),
        *value_faults(document),
        *_device_faults(document),
        *_environment_faults(document.get("environment", {})),
    ]


def _missing_files(document: Mapping[str, Any], files: Collection[str]) -> Iterator[Fault]:
    named: list[tuple[Path_, str]] = []
    for name, step in document.get("steps", {}).items():
        named.append((("steps", name, "command"), step["command"]))
        named += [(("steps", name, "uses", i), file) for i, file in enumerate(step.get("uses", ()))]
        for key, file in step.get("files", {}).items():
            named.append((("steps", name, "files", key), file if isinstance(file, str) else file["template"]))
    for name, recipe in document["recipes"].items():
        for key in ("evaluate", "benchmark"):
            runtime = _mapping(recipe.get(key)).get("runtime")
            named += [(("recipes", name, key, "runtime"), runtime)] if runtime else []
    package = document.get("package", {})
    named += [(("package", "files", path), file) for path, file in package.get("files", {}).items()]
    named += [(("package", "readme"), package["readme"])] if "readme" in package else []
    requirements = document.get("environment", {}).get("requirements")
    named += [(("environment", "requirements"), requirements)] if requirements else []
    for path, file in named:
        if file not in files:
            yield Fault(
                path=path, message=f"no file {file!r} in the toolchain's folder{suggestion(file, files)}"
            )


def _tool_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    for name, tool in document["tools"].items():
        if "supported" in tool:
            try:
                parse_range(tool["supported"])
            except ValueError as error:
                yield Fault(path=("tools", name, "supported"), message=str(error))
        if "supported" in tool and "version" not in tool:
            yield Fault(path=("tools", name, "supported"), message="a range needs a version to compare")
        if "command" in tool.get("version", {}) and "executable" not in tool:
            yield Fault(path=("tools", name, "version", "command"), message="needs an executable to call")


def _option_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    options = document.get("options", {})
    for name, declared in options.items():
        if "default" in declared and (
            wrong := check_value(parse_option(name, declared), declared["default"])
        ):
            yield Fault(path=("options", name, "default"), message=wrong)
        yield from _unknown(
            ("options", name, "recipes"), declared.get("recipes", ()), document["recipes"], "recipe"
        )
    for index, finding in enumerate(document.get("findings", ())):
        yield from _unknown(("findings", index, "options"), finding.get("options", {}), options, "option")
    yield from _unknown(("required_options",), document.get("required_options", ()), options, "option")
    rule = document.get("device_version", {})
    tools = [name for name, tool in document["tools"].items() if "version" in tool]
    yield from _unknown(
        ("device_version", "tool"), [rule["tool"]] if rule else [], tools, "tool with a version"
    )
    for name, value in document.get("test", {}).get("options", {}).items():
        yield from _unknown(("test", "options", name), [name], options, "option")
        if name in options and (wrong := check_value(parse_option(name, options[name]), value)):
            yield Fault(path=("test", "options", name), message=wrong)
    for index, need in enumerate(document.get("requires", ())):
        yield from _requirement_faults(("requires", index), need, document)
    for index, group in enumerate(document.get("exclusive", ())):
        yield from _unknown(("exclusive", index), group, options, "option")


def _requirement_faults(
    place: Path_, need: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[Fault]:
    tools = [name for name, tool in document["tools"].items() if "known" in tool]
    yield from _unknown((*place, "tool"), [need["tool"]], tools, "tool with `known` versions")
    yield from _unknown((*place, "recipes"), need.get("recipes", ()), document["recipes"], "recipe")
    if "option" in need:
        yield from _unknown((*place, "option"), [need["option"]], document.get("options", {}), "option")
    try:
        parse_range(need["versions"])
    except ValueError as error:
        yield Fault(path=(*place, "versions"), message=str(error))


def _recipe_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    recipes = document["recipes"]
    defaults = [name for name, recipe in recipes.items() if recipe.get("default")]
    if len(defaults) > 1 or (not defaults and len(recipes) > 1):
        yield Fault(path=("recipes",), message="exactly one recipe must have `default: true`")
    options = document.get("options", {})
    for name, recipe in recipes.items():
        place = ("recipes", name)
        yield from _chain_faults(place, recipe, document)
        yield from _unknown(
            (*place, "required_options"), recipe.get("required_options", ()), options, "option"
        )
        yield from _unknown((*place, "refuse"), recipe.get("refuse", {}), options, "option")


def _chain_faults(place: Path_, recipe: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Fault]:
    steps = document.get("steps", {})
    made: list[str] = []
    done: set[str] = set()
    for index, entry in enumerate(recipe.get("steps", ())):
        here: Path_ = (*place, "steps", index)
        name = entry["step"]
        yield from _unknown((*here, "step"), [name], steps, "step")
        if name in done:
            yield Fault(path=(*here, "step"), message=f"step {name!r} appears twice in the recipe")
        for role, source in entry["inputs"].items():
            yield from _unknown((*here, "inputs", role), [source], [*COMMON, *made], "source")
            if role in RESERVED_ROLES:
                yield Fault(path=(*here, "inputs", role), message=f"the role {role!r} is edgebuild's own")
            if source == "calibration" and "calibration" not in document:
                yield Fault(path=(*here, "inputs", role), message="the toolchain declares no `calibration`")
        yield from _graph_faults(name, entry["inputs"], steps)
        done.add(name)
        made += [f"{name}.{output}" for output in steps.get(name, {}).get("outputs", {})]
    known = [*COMMON_ARTIFACTS, *made]
    yield from _unknown((*place, "artifact"), [recipe["artifact"]], known, "artifact")
    for key in ("evaluate", "benchmark"):
        if artifact := _mapping(recipe.get(key)).get("artifact"):
            yield from _unknown((*place, key, "artifact"), [artifact], known, "artifact")
    if reader := _mapping(recipe.get("benchmark")).get("estimate"):
        tools = document.get("device", {}).get("estimate", {})
        yield from _unknown((*place, "benchmark", "estimate"), [reader], tools, "tool of device.estimate")


def _graph_faults(name: str, sources: Mapping[str, str], steps: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the rendered files that depend on a graph which a recipe does not give to the step."""
    for path, file in steps.get(name, {}).get("files", {}).items():
        if isinstance(file, str):
            continue
        place, role = ("steps", name, "files", path, "graph"), file["graph"]
        yield from _unknown(place, [role], sources, "input role")
        if role in sources and not _is_onnx(sources[role], steps):
            message = f"the input {role!r} is {sources[role]!r}, which is no ONNX file"
            yield Fault(path=place, message=message, hint="a graph is read from an .onnx file")


def _is_onnx(source: str, steps: Mapping[str, Any]) -> bool:
    step, _, output = source.partition(".")
    made = steps.get(step, {}).get("outputs", {}).get(output, {})
    return source in COMMON_ARTIFACTS or str(made.get("path", "")).endswith(".onnx")


def _step_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    used = {entry["step"] for recipe in document["recipes"].values() for entry in recipe.get("steps", ())}
    for name, step in document.get("steps", {}).items():
        if name in RESERVED_STEPS:
            yield Fault(
                path=("steps", name), message="edgebuild has a step of this name itself", at_key=True,
                hint="call it by what the vendor's tool is called",
            )  # fmt: skip
        yield from _unknown(("steps", name, "tools"), step["tools"], document["tools"], "tool")
        if name not in used:
            yield Fault(path=("steps", name), message="no recipe uses this step")
        for role, output in step["outputs"].items():
            wrong = {"magic", "matches"} if output.get("tree") else {"holds"}
            for key in sorted(wrong & output.keys()):
                what = "a file's" if output.get("tree") else "a directory's (`tree: true`)"
                yield Fault(path=("steps", name, "outputs", role, key), message=f"it is {what} rule")


def _environment_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    kinds = [key for key in ("requirements", "activate", "image") if key in document]
    for key in kinds[1:]:
        yield Fault(path=("environment", key), message=f"{kinds[0]} and {key} exclude each other")
    for key, need in (("python", "requirements"), ("engine", "image")):
        if key in document and need not in document:
            yield Fault(path=("environment", key), message=f"{key} needs `{need}`")
    if both := sorted({*document.get("pass", ())} & {*document.get("locate", ())}):
        yield Fault(path=("environment", "locate"), message=f"{', '.join(both)} is in `pass` as well")
    ranges: list[tuple[Path_, str]] = [(("python",), document.get("python", ""))]
    for index, need in enumerate(document.get("system", ())):
        ranges.append((("system", index, "supported"), need.get("supported", "")))
        if "supported" in need and "version" not in need:
            place = ("environment", "system", index, "supported")
            yield Fault(path=place, message="a range needs a version to compare")
    for path, text in ranges:
        try:
            _ = parse_range(text) if text else ()
        except ValueError as error:
            yield Fault(path=("environment", *path), message=str(error))


def _device_rules(document: Mapping[str, Any]) -> list[tuple[Path_, Mapping[str, Any]]]:
    return [
        (("device", kind, name, index, "pattern"), rule)
        for kind, tools in document.get("device", {}).items()
        for name, rules in tools.items()
        for index, rule in enumerate(rules)
    ]


def _device_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the rules for a device's tools that find nothing, or something that has no name here."""
    for path, rule in _device_rules(document):
        try:
            groups = list(re.compile(rule["pattern"]).groupindex)
        except re.error:
            continue  # said with the other patterns
        if not set(groups) - {UNIT_GROUP}:
            yield Fault(path=path, message="has no named group: (?P<latency_ms_p50>...) says what it finds")
        yield from _unknown(path, groups, sorted(known_names()), "metric or reading")
        texts = [name for name in groups if is_text(name) or rule.get("flags")]
        if rule.get("take") == "mean" and texts:
            yield Fault(path=(*path[:-1], "take"), message=f"{texts[0]} is a text, which has no mean")


def _unknown(path: Path_, names: Iterable[str], known: Collection[str], what: str) -> Iterator[Fault]:
    for name in names:
        if name not in known:
            message = f"there is no {what} {name!r}{suggestion(name, known)}"
            yield Fault(path=path, message=message, hint=known_words(known))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
