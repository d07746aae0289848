"""The table of a toolchain's options in its README, made from what ``toolchain.yaml`` says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgebuild.toolchain.load import Toolchain
    from edgebuild.toolchain.options import Option

HEAD = "| Option | Values | Default | Meaning |\n|---|---|---|---|\n"


def with_options(text: str, toolchain: Toolchain) -> str:
    """Return a README with this table at the end of its section "Options", which may be new."""
    if not toolchain.options:
        return text
    table = HEAD + "".join(_row(option, toolchain) for option in toolchain.options.values())
    text = re.sub(re.escape(HEAD) + r"(\|.*\n)*\n?", "", text)
    if not re.search(r"^## Options$", text, re.MULTILINE):
        before = re.search(r"^## (On the device|Running it on the device|Limits)$", text, re.MULTILINE)
        assert before, "the README has no section to put the options before"
        return f"{text[: before.start()]}## Options\n\n{table}\n{text[before.start() :]}"
    start = text.index("## Options\n") + 1
    end = text.index("\n## ", start) + 1
    return f"{text[:end]}{table}\n{text[end:]}"


def _row(option: Option, toolchain: Toolchain) -> str:
    needing = [recipe.name for recipe in toolchain.recipes.values() if option.name in recipe.required_options]
    default = "" if option.default is None else f"`{json.dumps(option.default).strip(chr(34))}`"
    if option.name in toolchain.required_options:
        default = "required"
    elif needing:
        default = f"{default} required for {_words(needing)}".strip()
    only = f" Of {_words(option.recipes)} only." if option.recipes else ""
    meaning = " ".join(option.description.split()).replace("|", r"\|")
    return f"| `{option.name}` | {_values(option)} | {default} | {meaning}{only} |\n"


def _words(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _values(option: Option) -> str:
    if option.enum:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in option.enum)
    if option.type == "array":
        return f"list of: {_values(option.items)}" if option.items else "list"
    if option.type == "boolean":
        return "`true`, `false`"
    if option.pattern:
        return f"{option.type}, `{option.pattern}`".replace("|", r"\|")
    least, greatest = option.minimum, option.maximum
    if least is not None and greatest is not None:
        return f"{option.type}, {least:g} to {greatest:g}"
    bounds = [f"at least {least:g}"] if least is not None else []
    bounds += [f"at most {greatest:g}"] if greatest is not None else []
    return ", ".join([option.type, *bounds])
