"""``edgebuild doctor``: what is installed here, where it was looked for, and how to get what is not."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild import __version__
from edgebuild.environment.surroundings import kind_of, probe_in, surroundings
from edgebuild.errors import EdgebuildError
from edgebuild.identity import YOLO_EXTRA, distribution_version
from edgebuild.machine import this_family, this_processor
from edgebuild.plan.own_step import DISTRIBUTIONS
from edgebuild.run.session import cache_root, search_path
from edgebuild.toolchain.load import load_toolchain, toolchain_names

if TYPE_CHECKING:
    from edgebuild.environment.surroundings import Surroundings
    from edgebuild.toolchain.load import Tool, Toolchain

_SEARCHED = re.compile(r"on PATH \(.*\)$")

RAW_CHARACTERS = 2000
"""How much is shown of the text that a version was read from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorOptions:
    """What the user asked of ``doctor``."""

    templates: tuple[str, ...]
    json: bool


def doctor(options: DoctorOptions) -> int:
    """Print what is here; exit 0 whatever is missing, for nothing was asked to be built."""
    found = {
        "schema": 1,
        "edgebuild": __version__,
        "python": sys.version.split()[0],
        "processor": this_processor(),
        "cpu_family": this_family(),
        "cache": _cache(cache_root(os.environ)),
        "distributions": _distributions(),
        "toolchains": [_toolchain(name, options) for name in toolchain_names(_search(options))],
    }
    print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else _text(found))
    return 0


def _search(options: DoctorOptions) -> tuple[Path, ...]:
    return search_path(Path.cwd(), options.templates)


def _cache(root: Path) -> dict[str, Any]:
    place = next(path for path in (root, *root.parents) if path.exists())
    usage = shutil.disk_usage(place)
    return {"path": str(root), "writable": os.access(place, os.W_OK), "free_gb": round(usage.free / 1e9, 1)}


def _distributions() -> dict[str, str]:
    names = dict.fromkeys(name for group in DISTRIBUTIONS.values() for name in group)
    return {name.partition("|")[0]: distribution_version(name) for name in names}


def _toolchain(name: str, options: DoctorOptions) -> dict[str, Any]:
    try:
        toolchain = load_toolchain(name, _search(options))
    except EdgebuildError as error:
        return {"name": name, "title": "", "problem": str(error), "environment": None, "tools": []}
    place = surroundings(toolchain, os.environ, cache_root(os.environ))
    absent = place is not None and bool(place.problem)
    # Without its environment nothing of a toolchain can be found: that is said once.
    tools = [] if absent else [_tool(place, toolchain, tool) for tool in toolchain.tools.values()]
    environment = {"kind": kind_of(toolchain), **(_environment(place) if place else {})}
    return {
        "name": name,
        "title": toolchain.title,
        "problem": "",
        "usable": not absent and all(tool["usable"] for tool in tools),
        "environment": environment,
        "tools": tools,
    }


def _environment(place: Surroundings) -> dict[str, Any]:
    return {
        "usable": not place.problem,
        "identity": place.identity,
        "python": place.python,
        "problem": place.problem,
        "looked": list(place.how),
        "get": place.get,
    }


def _tool(place: Surroundings | None, toolchain: Toolchain, tool: Tool) -> dict[str, Any]:
    probed = probe_in(place, toolchain, tool, os.environ)
    return {
        "name": tool.name,
        "usable": probed.usable,
        "version": probed.version,
        "raw": probed.raw.strip()[:RAW_CHARACTERS],
        "supported": tool.supported,
        "problem": probed.problem,
        "looked": list(probed.how),
        "get": probed.get,
    }


def _text(found: dict[str, Any]) -> str:
    cache = found["cache"]
    lines = [
        f"edgebuild {found['edgebuild']}, Python {found['python']}",
        f"processor  {found['processor']} ({found['cpu_family']})",
        f"cache      {cache['path']}: {cache['free_gb']} GB free"
        + ("" if cache["writable"] else ", NOT WRITABLE"),
        "",
        "packages of the yolo extra",
    ]
    missing = False
    for name, version in found["distributions"].items():
        missing |= not version
        lines.append(f"  {'ok     ' if version else 'missing'} {name} {version}".rstrip())
    lines += [f"  get them: {YOLO_EXTRA}"] if missing else []
    usable = [toolchain["name"] for toolchain in found["toolchains"] if toolchain.get("usable")]
    lines += ["", f"PATH {os.environ.get('PATH', '')}"]
    count = f"{len(usable)} of {len(found['toolchains'])} toolchains can be used"
    lines += [f"{count}: {', '.join(usable) or 'none'}"]
    for toolchain in found["toolchains"]:
        lines += ["", f"{toolchain['name']}  {toolchain['title']}".rstrip()]
        lines += [f"  WRONG   {toolchain['problem']}"] if toolchain["problem"] else []
        lines += _environment_lines(toolchain["environment"] or {})
        for tool in toolchain["tools"]:
            lines += _tool_lines(tool)
    return "\n".join(lines)


def _environment_lines(found: dict[str, Any]) -> list[str]:
    if "usable" not in found:
        return []
    if found["usable"]:
        return [f"  ok      {found['kind']}: {found['identity']}"]
    tried = [f"            {line}" for line in found["looked"]]
    return [
        f"  missing {found['kind']}: {found['problem']}",
        *tried,
        f"            get it: {found['get']}",
    ]


def _tool_lines(tool: dict[str, Any]) -> list[str]:
    supported = f" (supported {tool['supported']})" if tool["supported"] else ""
    if tool["usable"]:
        return [f"  ok      {tool['name']} {tool['version']}{supported}"]
    # The whole PATH is in the JSON, and here once.
    tried = [f"            {_SEARCHED.sub('on PATH', line)}" for line in tool["looked"]]
    return [
        f"  missing {tool['name']}: {tool['problem']}{supported}",
        *tried,
        f"            get it: {tool['get']}",
    ]
