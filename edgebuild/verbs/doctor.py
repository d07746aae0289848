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
from edgebuild.environment.surroundings import kind_of
from edgebuild.errors import EdgebuildError
from edgebuild.identity import YOLO_EXTRA, distribution_version
from edgebuild.machine import this_family, this_processor
from edgebuild.plan.own_step import DISTRIBUTIONS
from edgebuild.run.session import cache_root, look_here, search_path
from edgebuild.toolchain.load import load_toolchain, toolchain_names
from edgebuild.verbs.layout import entry, terminal_width

if TYPE_CHECKING:
    from edgebuild.environment.probe import Probed
    from edgebuild.environment.surroundings import Surroundings
    from edgebuild.toolchain.load import Tool

_SEARCHED = re.compile(r"on PATH \(.*\)$")

_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]+")

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
    lookup = look_here()
    place = lookup.place(toolchain)
    absent = place is not None and bool(place.problem)
    # Without its environment nothing of a toolchain can be found: that is said once.
    tools = [] if absent else [_tool(tool, lookup.tool(toolchain, tool)) for tool in toolchain.tools.values()]
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


def _tool(tool: Tool, probed: Probed) -> dict[str, Any]:
    return {
        "name": tool.name,
        "usable": probed.usable,
        "version": probed.version,
        "raw": probed.raw.strip()[:RAW_CHARACTERS],
        "supported": tool.supported,
        "problem": probed.problem,
        "notes": [finding.message for finding in probed.findings],
        "looked": list(probed.how),
        "get": probed.get,
    }


def _text(found: dict[str, Any]) -> str:
    cache, width = found["cache"], terminal_width()
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
        # Of several distributions that would do, the version names the one that is here.
        what = version if version.startswith(f"{name} ") else f"{name} {version}".rstrip()
        lines.append(f"  {'ok     ' if version else 'missing'} {what}")
    lines += [f"  get them: {YOLO_EXTRA}"] if missing else []
    usable = [toolchain["name"] for toolchain in found["toolchains"] if toolchain.get("usable")]
    lines += ["", f"PATH {os.environ.get('PATH', '')}"]
    count = f"{len(usable)} of {len(found['toolchains'])} toolchains can be used"
    lines += [f"{count}: {', '.join(usable) or 'none'}"]
    for toolchain in found["toolchains"]:
        lines += ["", f"{toolchain['name']}  {toolchain['title']}".rstrip()]
        lines += [f"  WRONG   {toolchain['problem']}"] if toolchain["problem"] else []
        lines += _environment_lines(toolchain["environment"] or {}, width)
        said = ""
        for tool in toolchain["tools"]:
            lines += _tool_lines(tool, width, said=said)
            said = "" if tool["usable"] else tool["get"]
    return "\n".join(lines)


def _environment_lines(found: dict[str, Any], width: int) -> list[str]:
    if "usable" not in found:
        return []
    if found["usable"]:
        # The whole digest is in the JSON.
        identity = _DIGEST.sub(r"\1", found["identity"])
        return [f"  ok      {found['kind']}: {identity}"]
    return [
        f"  missing {found['kind']}: {found['problem']}",
        *(f"            {line}" for line in found["looked"]),
        *entry("            get it: ", found["get"], width=width),
    ]


def _tool_lines(tool: dict[str, Any], width: int, *, said: str) -> list[str]:
    """Return what is known of a tool, and how to get it unless that was ``said`` of the one before."""
    supported = f" (supported {tool['supported']})" if tool["supported"] else ""
    if tool["usable"]:
        if tool["version"]:
            notes = [f"            {line}" for line in tool["notes"]]
            return [f"  ok      {tool['name']} {tool['version']}{supported}", *notes]
        looked = [f"            {line}" for line in tool["looked"] if supported]
        return [f"  ok      {tool['name']} of unknown version{supported}", *looked]
    # The whole PATH is in the JSON, and here once; that a tool is not on it is the problem itself.
    tried = [_SEARCHED.sub("on PATH", line) for line in tool["looked"]]
    if tried == [f"looked for {tool['problem'].partition(' ')[0]} on PATH"]:
        tried = []
    return [
        f"  missing {tool['name']}: {tool['problem']}{supported}",
        *(f"            {line}" for line in tried),
        *(entry("            get it: ", tool["get"], width=width) if tool["get"] != said else []),
    ]
