"""HTML and SVG from small pure functions; whatever is not markup already is escaped, so none is forgotten."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Attribute = str | float | bool | None

VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """Text that is markup already; only the functions of this module make it from parts."""

    __slots__ = ()


def el(name: str, /, *children: object, **attributes: Attribute) -> Markup:
    """Return one element.

    Args:
        name: Tag name.
        children: Markup as it is, iterables in order, None as nothing, anything else escaped.
        attributes: None and False leave the attribute out, True writes it without a value. A trailing
            underscore is dropped and others become hyphens, so ``class_`` and ``aria_label`` can be written.
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    """Return the children one after the other, as in :func:`el`."""
    return Markup("".join(_child(child) for child in children))


def raw(text: str) -> Markup:
    """Take a text of our own, such as a style sheet, as markup."""
    return Markup(text)


def fixed(value: float) -> str:
    """Return a coordinate in pixels, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = fixed(value) if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(text)}"'


def _child(child: object) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return html.escape(str(child))
    return join(child)  # type: ignore[arg-type]  # what is left is an iterable of children
