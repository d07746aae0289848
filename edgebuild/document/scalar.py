"""What a plain (unquoted) YAML scalar means here, and which spellings are refused.

The reading is the core schema of YAML 1.2. A spelling that YAML 1.1 parsers read as something else is refused
instead of guessed: the same file must not mean two things in two programs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trap:
    """A refused spelling.

    Attributes:
        message: What is wrong with it.
        hint: What to write instead.
    """

    message: str
    hint: str


_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_SWITCHES = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_HEXADECIMAL = re.compile(r"0x[0-9A-Fa-f]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(\.[0-9_]*)?")
_OTHER_BASE = re.compile(r"[-+]?(0o[0-7_]+|0b[01_]+|[-+]0x[0-9A-Fa-f_]+)")
_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_OTHERS = (
    (_OTHER_BASE, "is a number only to some YAML parsers", "in decimal"),
    (_SEXAGESIMAL, "is a number of base 60 to some YAML parsers", ""),
    (_TIMESTAMP, "is a date to some YAML parsers", ""),
    (_NOT_FINITE, "is not a usable number", "as a finite number"),
)

LARGEST = 2**63
"""Integers beyond this have no portable meaning in JSON or in the compilers' flags."""


def resolve(text: str) -> Scalar | Trap:
    """Return the value of a plain scalar, or why it is refused."""
    if text in _WORDS:
        return _WORDS[text]
    if text.lower() in _SWITCHES:
        value = _SWITCHES[text.lower()]
        return Trap(
            message=f"{text!r} is {value} in YAML 1.1 and a string in YAML 1.2",
            hint=f"write {value}, or quote it: '{text}'",
        )
    if text[0] in "+-.0123456789":
        return _number(text)
    return text


def _number(text: str) -> Scalar | Trap:
    if trap := _number_trap(text):
        return trap
    if _INTEGER.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        # Longer texts are out of range anyway, and Python refuses to convert very long ones.
        value = int(text, 0) if len(text) < 25 else LARGEST
        if abs(value) >= LARGEST:
            return Trap(message="the number is too large", hint=_quote(text))
        return value
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            return Trap(message="the number is too large", hint=_quote(text))
        return number
    return text


def _number_trap(text: str) -> Trap | None:
    if _LEADING_ZERO.fullmatch(text):
        plain = text.lstrip("+-").lstrip("0_") or "0"
        return Trap(
            message=f"{text} is octal to some YAML parsers and decimal to others",
            hint=f"write {'0' + plain if plain.startswith('.') else plain}, or quote it: '{text}'",
        )
    if _UNDERSCORES.fullmatch(text):
        return Trap(
            message=f"{text} is a number to some YAML parsers and a string to others",
            hint=f"write {text.replace('_', '')}, or quote it: '{text}'",
        )
    for pattern, message, instead in _OTHERS:
        if pattern.fullmatch(text):
            return Trap(message=f"{text} {message}", hint=_quote(text, instead))
    return None


def _quote(text: str, instead: str = "") -> str:
    return f"write it {instead}, or quote it: '{text}'" if instead else f"quote it: '{text}'"
