"""The published JSON Schema of the manifest: its defaults, and its errors in words a person can act on."""

from __future__ import annotations

import itertools
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from edgebuild.document.node import Node
    from edgebuild.errors import Problem

SCHEMA_FILE = Path(__file__).parent.parent / "schemas" / "manifest.schema.json"

_RESERVED = "not available in this version"

_HINTS = {
    "edgebuild": "add edgebuild: 1, the version of the format",
    "name": "add name: PRODUCT",
    "model": "add model: with weights or train",
    "data": "add data: FILE, a dataset YAML",
    "base": "add base: yolo11n.yaml, or a .pt file",
    "ssh": "add ssh: user@host",
}
"""What to say about a missing key."""

_VALUE_RULES = {"minimum", "maximum", "exclusiveMinimum", "multipleOf", "type", "pattern", "maxLength"}

_ELSEWHERE = {
    "target": "options of the toolchain go under options:",
    "train": "other Ultralytics arguments go under args:",
}
"""What to say about an unknown key that resembles no known one, by definition."""


@cache
def schema() -> Mapping[str, Any]:
    """Return the schema, read once."""
    document: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return document


def properties(definition: str) -> Mapping[str, Any]:
    """Return the properties of a definition, such as ``target``."""
    found: dict[str, Any] = schema()["$defs"][definition]["properties"]
    return found


def with_defaults(definition: str, node: Node | None) -> dict[str, Any]:
    """Return a mapping's plain values, with the schema's defaults where nothing is written."""
    values = {name: entry["default"] for name, entry in properties(definition).items() if "default" in entry}
    return values | (node.unwrap() if node and node.is_mapping else {})


def wants_text(path: Iterable[str]) -> bool:
    """Return whether a value at a path of the manifest is a text and nothing else (or null)."""
    entry: Any = schema()
    for name in path:
        entry = entry.get("properties", {}).get(name, entry.get("additionalProperties"))
        if not isinstance(entry, dict):
            return False
        entry = schema()["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry
    kinds = entry.get("type", ())
    return {kinds} == {"string"} if isinstance(kinds, str) else set(kinds) == {"string", "null"}


def quoting(text: str, *, file: str) -> str:
    """Return how to make a value a text, in a file or, inside a list or mapping, with ``--set``."""
    shell = ', and put "..." around the whole setting for the shell' if file.startswith("--set ") else ""
    return f"quote it: '{text}'{shell}"


def check(root: Node) -> list[Problem]:
    """Return what the schema finds wrong with a manifest, each at its own place."""
    validator = _validator()
    problems: dict[tuple[str, int, str, str], Problem] = {}
    for error in validator.iter_errors(root.unwrap()):
        for problem in _problems(root, error):
            # One mistake breaks several rules, such as a minimum and a multiple: the first says enough.
            rule = "value" if error.validator in _VALUE_RULES else problem.message
            problems.setdefault((problem.file, problem.line, problem.path, rule), problem)
    return list(problems.values())


def refused(root: Node) -> set[tuple[str, ...]]:
    """Return the path of every entry that the schema does not take; of a list it is the whole one's."""
    found: set[tuple[str, ...]] = set()
    for error in _validator().iter_errors(root.unwrap()):
        path = tuple(itertools.takewhile(lambda part: isinstance(part, str), error.absolute_path))
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            found |= {(*path, name) for name in _find(root, path).entries if name not in known}
        elif "propertyNames" in error.absolute_schema_path:
            found.add((*path, str(error.instance)))
        elif error.validator != "required":
            found.add(path)
    return found


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - its import costs more than all else here
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - likewise
    from jsonschema.validators import extend  # noqa: PLC0415 - likewise

    def pattern(_: Any, wanted: str, value: Any, __: Any) -> Iterator[Any]:
        # "$" also matches before a final line break, which no name may hold.
        if isinstance(value, str) and ("\n" in value or not re.search(wanted, value)):
            yield ValidationError("does not match")

    # To JSON Schema 4.0 is an integer; a batch of 4.0 is a mistake.
    strict = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    build: Any = extend
    return build(Draft202012Validator, {"pattern": pattern}, type_checker=strict)(schema())


def _problems(root: Node, error: Any) -> Iterator[Problem]:
    path = [str(part) for part in error.absolute_path]
    node = _find(root, error.absolute_path)
    dotted = ".".join(path)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for name in node.entries:
            if name not in known:
                yield _unknown_key(node, path, name, known)
    elif "propertyNames" in error.absolute_schema_path:
        yield _bad_name(node, path, error)
    elif error.validator == "required":
        yield from _missing(node, dotted, error)
    elif not node.trapped:
        message, hint = _words(node, error)
        yield node.problem(dotted, message, hint=hint)


def _find(root: Node, path: Any) -> Node:
    node = root
    for part in path:
        node = node.items[part] if isinstance(part, int) else node.entries[part]
    return node


def _unknown_key(node: Node, path: list[str], name: str, known: Mapping[str, Any]) -> Problem:
    kind = next((kind for kind in _ELSEWHERE if properties(kind) == known), "")
    hint = did_you_mean(name, known, otherwise=_ELSEWHERE.get(kind, f"known: {listed(known)}"))
    entry = node.entries[name]
    return entry.problem(".".join([*path, name]), "unknown key", hint=hint, at=entry.key)


def _bad_name(node: Node, path: list[str], error: Any) -> Problem:
    name = str(error.instance)
    entry = node.entries[name]
    if error.validator == "enum":
        return _unknown_key(node, path, name, dict.fromkeys(error.validator_value))
    rule = error.schema.get("x-words", "another spelling")
    message = f"{name!r} is no usable name" if error.validator == "pattern" else "the name is too long"
    return entry.problem(".".join([*path, name]), message, hint=f"use {rule}", at=entry.key)


def _missing(node: Node, dotted: str, error: Any) -> Iterator[Problem]:
    for name in error.validator_value:
        if name not in node.entries and f"'{name}' is a required" in error.message:
            choices = error.schema.get("properties", {}).get(name, {}).get("enum")
            hint = f"one of {listed(map(str, choices))}" if choices else _HINTS.get(name, "")
            yield node.problem(dotted, f"{name!r} is missing", hint=hint)


def _words(node: Node, error: Any) -> tuple[str, str]:
    wanted = error.validator_value
    if error.validator == "type":
        return _type_words(node, [wanted] if isinstance(wanted, str) else list(wanted), error)
    if error.validator == "enum":
        return _enum_words(node, [str(item) for item in wanted if item is not None])
    if error.validator == "const":
        return f"expected {wanted}, got {_shown(node)}", "this edgebuild reads version 1 of the format"
    if error.validator == "pattern":
        return f"{_shown(node)} is not allowed", f"use {error.schema.get('x-words', 'another spelling')}"
    if error.validator == "not":
        return _RESERVED, "remove it"
    words = _BOUNDS.get(str(error.validator))
    return (words(wanted, node), "") if words else (error.message, "")


_BOUNDS: dict[str, Callable[[Any, Node], str]] = {
    "minimum": lambda limit, node: f"must be at least {limit}, got {_shown(node)}",
    "maximum": lambda limit, node: f"must be at most {limit}, got {_shown(node)}",
    "exclusiveMinimum": lambda limit, node: f"must be greater than {limit}, got {_shown(node)}",
    "multipleOf": lambda step, node: f"must be a multiple of {step}, got {_shown(node)}",
    "minLength": lambda _, __: "must not be empty",
    "maxLength": lambda limit, _: f"must be at most {limit} characters long",
    "minItems": lambda limit, node: f"needs at least {limit} item(s), got {len(node.items)}",
    "maxItems": lambda limit, node: f"takes at most {limit} items, got {len(node.items)}",
    "minProperties": lambda _, __: "must not be empty",
}

_JSON_NAMES = {"object": "mapping", "array": "list"}


def _type_words(node: Node, wanted: list[str], error: Any) -> tuple[str, str]:
    names = [_JSON_NAMES.get(name, name) for name in wanted if name != "null" or len(wanted) == 1]
    message = f"expected {' or '.join(names)}, got {_kind(node)}"
    if "string" in wanted and isinstance(node.value, int | float):
        return message, quoting(node.text, file=node.place.file)
    if "max_ratio" in error.schema.get("properties", ()):
        return message, f"write {{min: {node.text}}} or {{max: {node.text}}}" if node.text else ""
    if isinstance(node.value, str) and not node.plain and re.fullmatch(r"[0-9.]+|true|false", node.text):
        return message, f"remove the quotes: {node.text}"
    return message, _shape_hint(node, wanted, error.schema)


def _shape_hint(node: Node, wanted: list[str], schema: Mapping[str, Any]) -> str:
    """Return what to write where something is no mapping, or a size is such as 640x480; empty: not known."""
    if "object" in wanted:
        named = "propertyNames" in schema
        key = "NAME" if named else next(iter(schema.get("properties", ())), "KEY")
        where = "without the dash" if node.items else "below it"
        return f"write {key}: ... {where}" + (", one for each" if named else "")
    size = re.fullmatch(r"(\d+)\s*[xX*,]\s*(\d+)", node.text) if "array" in wanted else None
    return f"write [{size[2]}, {size[1]}]: height, width" if size else ""


def _enum_words(node: Node, known: list[str]) -> tuple[str, str]:
    return f"{_shown(node)} is none of {listed(known)}", did_you_mean(node.text, known)


def _shown(node: Node) -> str:
    if node.is_mapping:
        return "a mapping"
    return "a list" if isinstance(node.value, tuple) else _scalar(node)


def _scalar(node: Node) -> str:
    if node.value is None:
        return "nothing"
    return repr(node.text) if isinstance(node.value, str) else node.text


def _kind(node: Node) -> str:
    if node.value is None:
        return "nothing"
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    name = names.get(type(node.value), "")
    return f"{name} {_scalar(node)}" if name else ("mapping" if node.is_mapping else "list")
