"""Typed options of a toolchain: what one may be, and what is wrong with a value. Pure.

An option is declared with the JSON Schema words ``type``, ``enum``, ``pattern``, ``minimum``, ``maximum``,
``items``, ``default`` and ``description``. They are checked here rather than by a general validator so that
a message can name the vendor's real values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgebuild.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of a toolchain.

    Attributes:
        type: ``string``, ``integer``, ``number``, ``boolean`` or ``array``.
        enum: The only values there are; empty: any of the type.
        pattern: Regular expression that a string must match as a whole, or empty.
        minimum: Least number, or None.
        maximum: Greatest number, or None.
        items: What each item of an array may be, or None.
        default: Value when none is given; None: then the option is absent from the templates.
        description: One line for people.
        hint: What to say to someone who gave a value that does not exist.
        recipes: Recipes it exists for; empty: all.
    """

    name: str
    type: str
    enum: tuple[Any, ...] = ()
    pattern: str = ""
    minimum: float | None = None
    maximum: float | None = None
    items: Option | None = None
    default: Any = field(default=None, hash=False)
    description: str = ""
    hint: str = ""
    recipes: tuple[str, ...] = ()


def parse_option(name: str, document: Mapping[str, Any]) -> Option:
    """Return an option from its declaration, which the toolchain schema has checked."""
    items = document.get("items")
    return Option(
        name=name,
        type=document["type"],
        enum=tuple(document.get("enum", ())),
        pattern=document.get("pattern", ""),
        minimum=document.get("minimum"),
        maximum=document.get("maximum"),
        items=parse_option(name, items) if items else None,
        default=frozen(document.get("default")),
        description=document.get("description", ""),
        hint=document.get("hint", ""),
        recipes=tuple(document.get("recipes", ())),
    )


def check_value(option: Option, value: Any) -> str:
    """Return what is wrong with a value, without its place, or an empty string."""
    if not _has_type(value, option.type):
        return f"{value!r} is not {_article(option.type)}"
    if option.type == "array":
        return next(filter(None, (_check_item(option, item) for item in value)), "")
    if option.enum and value not in option.enum:
        # A hint knows better than a similar spelling.
        near = "" if option.hint else suggestion(str(value), option.enum)
        return f"{value!r} does not exist; the values are {', '.join(map(str, option.enum))}{near}"
    if option.type == "string":
        return _check_pattern(option, value)
    return _check_bounds(option, value)


def suggestion(word: str, known: Iterable[Any]) -> str:
    """Return ``, did you mean 'x'?`` when a known word is near, else an empty string."""
    near = did_you_mean(word, map(str, known))
    return f", {near}" if near else ""


def frozen(value: Any) -> Any:
    """Return a value with its lists turned into tuples, so that it cannot change."""
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _has_type(value: Any, name: str) -> bool:
    # A bool is an int to Python; `batch: true` must not mean 1.
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _check_pattern(option: Option, value: str) -> str:
    if not option.pattern or re.fullmatch(option.pattern, value):
        return ""
    return f"{value!r} does not have the form {option.pattern}"


def _check_bounds(option: Option, value: float) -> str:
    if option.minimum is not None and value < option.minimum:
        return f"{value} is below the least value {option.minimum:g}"
    if option.maximum is not None and value > option.maximum:
        return f"{value} is above the greatest value {option.maximum:g}"
    return ""


def _check_item(option: Option, item: Any) -> str:
    return check_value(option.items, item) if option.items else ""


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "aio" else f"a {name}"
