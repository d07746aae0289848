"""``edgebuild toolchain parse``: what a toolchain's rules find in something that a tool has printed.

Whoever adds a chip tries its rules on a recorded output here, before there is a board at hand.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.errors import StepError, UsageError
from edgebuild.results import finding_row
from edgebuild.run.session import look_here, search_path
from edgebuild.toolchain.device_output import metrics, read_output
from edgebuild.toolchain.device_version import device_release, version_mismatch
from edgebuild.toolchain.load import load_toolchain
from edgebuild.toolchain.options import suggestion
from edgebuild.verbs.layout import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.toolchain.device_output import DeviceTool
    from edgebuild.toolchain.load import Toolchain


@dataclass(frozen=True, kw_only=True, slots=True)
class ParseOptions:
    """What the user asked of ``toolchain parse``.

    Attributes:
        tool: Name of a tool whose output the toolchain has rules for.
        file: What it printed; ``-``: standard input.
        batch: Images per inference, for tools that count inferences.
    """

    name: str
    tool: str
    file: str
    batch: int
    templates: tuple[str, ...]
    json: bool


def parse(options: ParseOptions) -> int:
    """Print what is found, and which rules find nothing; several formats of one tool are no mistake.

    Raises:
        UsageError: There is no such toolchain, tool or file.
        StepError: No rule finds anything.
    """
    toolchain = load_toolchain(options.name, search_path(Path.cwd(), options.templates))
    tools = _tools(toolchain, options.tool)
    text = _text(options.file)
    found = [_document(tool, text, options.batch) for tool in tools]
    releases = _releases(toolchain, text)
    document = {"schema": 1, "toolchain": toolchain.name, "tools": found, "releases": releases}
    if options.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        lines = [line for one in found for line in _lines(one)]
        print("\n".join([*lines, *(_release_lines(releases) if releases else ())]))
    if not releases and not any(one["found"] for one in found):
        where = f"`device` in {toolchain.folder.name}/toolchain.yaml"
        raise StepError(f"{options.tool}: no rule finds anything in {len(text)} characters", hint=where)
    return 0


def _tools(toolchain: Toolchain, name: str) -> list[DeviceTool]:
    tools = [tool for tool in toolchain.device if tool.name == name]
    if not tools:
        known = list(dict.fromkeys(tool.name for tool in toolchain.device))
        raise UsageError(
            f"{toolchain.name} has no rules for the output of {name!r}{suggestion(name, known)}",
            hint=f"known: {', '.join(known) or 'none'}; `device` in toolchain.yaml has the rules",
        )
    return tools


def _text(file: str) -> str:
    if file == "-":
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error


def _document(tool: DeviceTool, text: str, batch: int) -> dict[str, Any]:
    readings = read_output(tool, text, batch=batch)
    evidence = {one.name: one.evidence for one in metrics(tool, readings)}
    return {
        "name": tool.name,
        "kind": tool.kind,
        "found": [
            {"name": one.name, "value": one.value, "unit": one.unit, "evidence": evidence.get(one.name)}
            for one in readings
        ],
        "unmatched": [
            rule.pattern for rule in tool.rules if not read_output(replace(tool, rules=(rule,)), text)
        ],
    }


def _releases(toolchain: Toolchain, text: str) -> dict[str, Any] | None:
    """Return the release that a device printed beside that of the toolkit here, or None."""
    rule = toolchain.device_version
    device = device_release(rule, text) if rule is not None else ""
    if rule is None or not device:
        return None
    toolkit = look_here().tool(toolchain, toolchain.tools[rule.tool]).version
    mismatch = version_mismatch(rule, toolkit, text)
    finding = finding_row(mismatch) if mismatch else None
    return {"device": device, "tool": rule.tool, "toolkit": toolkit or None, "finding": finding}


def _release_lines(found: Mapping[str, Any]) -> list[str]:
    toolkit, finding = found["toolkit"] or "not found", found["finding"]
    lines = [f"release on the device: {found['device']}; {found['tool']} here: {toolkit}"]
    return lines + ([f"  {finding['level']}: {finding['message']}; {finding['hint']}"] if finding else [])


def _lines(found: Mapping[str, Any]) -> list[str]:
    rows = []
    for one in found["found"]:
        value = one["value"] if isinstance(one["value"], str) else f"{one['value']:.10g}"
        what = f"metric, evidence {one['evidence']}" if one["evidence"] else "reading"
        rows.append((one["name"], value, one["unit"], what))
    return [
        f"{found['name']} ({found['kind']})",
        *table(rows, indent="  "),
        *(f"  no match: {pattern}" for pattern in found["unmatched"]),
    ]
