"""The schema of ``toolchain.yaml``: what is wrong with a document by it, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.toolchain.options import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something wrong with a document.

    Attributes:
        path: Keys and indexes that lead to the value.
        message: What is wrong.
        hint: What to do next, or empty.
        at_key: The key is meant rather than its value.
    """

    path: Path_
    message: str
    hint: str = ""
    at_key: bool = False


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``toolchain.yaml``."""
    path = Path(__file__).parent.parent / "schemas" / "toolchain.schema.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - its import costs more than all else here

    return Draft202012Validator(schema())


def schema_faults(document: Any) -> list[Fault]:
    """Return where a document departs from the schema."""
    return [fault for error in _validator().iter_errors(document) for fault in _faults(error)]


def known_words(names: Iterable[str]) -> str:
    """Return a hint that lists what there is."""
    return f"known: {', '.join(names) or 'none'}"


def _faults(error: Any) -> Iterator[Fault]:
    path, rule, found = tuple(error.absolute_path), error.validator, error.instance
    if rule == "additionalProperties":
        known = tuple(error.schema.get("properties", {}))
        for key in found:
            if key not in known:
                message = f"unknown key {key!r}{suggestion(str(key), known)}"
                yield Fault(path=(*path, key), message=message, hint=known_words(known), at_key=True)
    elif rule in {"oneOf", "anyOf"}:
        # What is wrong inside the alternative that was meant says more than "matches none".
        unknown = [child for child in error.context or () if child.validator == "additionalProperties"]
        deeper = [child for child in error.context or () if len(child.absolute_path) > len(path)]
        inner = next(iter([*unknown, *deeper]), None)
        yield from _faults(inner) if inner else [Fault(path=path, message=_alternatives(error))]
    else:
        yield Fault(path=path, message=_words(error))


def _words(error: Any) -> str:
    """Return a message in the words of a manifest's errors."""
    rule, wanted, found = error.validator, error.validator_value, error.instance
    if rule == "enum":
        near = suggestion(str(found), wanted)
        return f"{found!r} is none of {', '.join(map(str, wanted))}{near}"
    if rule == "pattern":
        return f"{found!r} is not allowed; use {error.schema.get('x-words', f'what matches {wanted}')}"
    if rule == "type":
        names = [wanted] if isinstance(wanted, str) else wanted
        return f"expected {' or '.join(_NAMES.get(name, name) for name in names)}, got {found!r}"
    if rule == "const":
        return f"expected {wanted}, got {found!r}"
    if rule == "required":
        missing = next((name for name in wanted if name not in found), "")
        return f"{missing!r} is missing"
    return str(error.message)


_NAMES = {"object": "mapping", "array": "list"}
"""What YAML calls the types of JSON."""


def _alternatives(error: Any) -> str:
    named = [" and ".join(way["required"]) for way in error.validator_value if "required" in way]
    return f"needs one of: {'; '.join(named)}" if named else error.message
