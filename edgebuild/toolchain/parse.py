"""From a checked ``toolchain.yaml`` to values: every default is filled in here, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.action import LogRule, Output, Success
from edgebuild.toolchain.device_output import DEVICE_KINDS, DeviceTool, OutputRule
from edgebuild.toolchain.device_version import DeviceVersion
from edgebuild.toolchain.environment import Environment, SystemNeed, parse_requirements
from edgebuild.toolchain.options import frozen, parse_option
from edgebuild.toolchain.templates import read_template
from edgebuild.toolchain.tools import Tool, VersionProbe
from edgebuild.toolchain.values import (
    CalibrationNeed,
    GraphFile,
    Limits,
    Measured,
    QdqNeed,
    Recipe,
    RecipeStep,
    Requirement,
    StepTemplate,
    Template,
    Toolchain,
    Trial,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def parse_toolchain(folder: Path, document: Mapping[str, Any]) -> Toolchain:
    """Return the toolchain of a checked document, with the text of every template it names.

    Args:
        folder: The toolchain's folder.
        document: Its ``toolchain.yaml``; the schema and the consistency checks hold.
    """
    need = document.get("calibration")
    package = document.get("package", {})
    return Toolchain(
        name=folder.name,
        folder=folder,
        title=document["title"],
        links=tuple(document["links"]),
        tools={name: _tool(name, tool) for name, tool in document["tools"].items()},
        env_pass=tuple(document.get("environment", {}).get("pass", ())),
        options={name: parse_option(name, item) for name, item in document.get("options", {}).items()},
        required_options=tuple(document.get("required_options", ())),
        exclusive=tuple(tuple(group) for group in document.get("exclusive", ())),
        limits=_limits(document.get("limits", {})),
        calibration=_calibration(need) if need else None,
        recipes={
            name: _recipe(name, recipe, document.get("head", "full"))
            for name, recipe in document["recipes"].items()
        },
        steps={name: _step(folder, name, step) for name, step in document.get("steps", {}).items()},
        findings=tuple(_finding(finding) for finding in document.get("findings", ())),
        requires=tuple(_requirement(entry) for entry in document.get("requires", ())),
        package_files=tuple(
            (path, _template(folder, file)) for path, file in package.get("files", {}).items()
        ),
        package_readme=_template(folder, package["readme"]) if "readme" in package else None,
        qdq=_qdq(document.get("qdq", {})),
        device=tuple(_device_tools(document.get("device", {}))),
        environment=_environment(folder, document.get("environment", {})),
        trial=_trial(document.get("test", {})),
        device_version=DeviceVersion(**document["device_version"]) if "device_version" in document else None,
    )


def _trial(document: Mapping[str, Any]) -> Trial:
    imgsz = document.get("imgsz", 320)
    height, width = imgsz if isinstance(imgsz, list) else (imgsz, imgsz)
    return Trial(options=frozen(document.get("options", {})), imgsz=(height, width))


def _environment(folder: Path, document: Mapping[str, Any]) -> Environment:
    file = document.get("requirements")
    script = document.get("activate", ())
    return Environment(
        requirements=parse_requirements((folder / file).read_text(encoding="utf-8"))[0] if file else (),
        python=document.get("python", ""),
        system=tuple(_system_need(entry) for entry in document.get("system", ())),
        activate=(script,) if isinstance(script, str) else tuple(script),
        image=document.get("image", ""),
        engine=document.get("engine", "auto"),
        locate=tuple(document.get("locate", ())),
    )


def _system_need(document: Mapping[str, Any]) -> SystemNeed:
    tool = _tool(document["name"], document) if "executable" in document else None
    get = " ".join(document["get"].split())
    return SystemNeed(name=document["name"], tool=tool, files=tuple(document.get("file", ())), get=get)


def _device_tools(document: Mapping[str, Any]) -> Iterator[DeviceTool]:
    for kind in DEVICE_KINDS:
        for name, rules in document.get(kind, {}).items():
            yield DeviceTool(name=name, kind=kind, rules=tuple(_output_rule(rule) for rule in rules))


def _output_rule(document: Mapping[str, Any]) -> OutputRule:
    flags = document.get("flags", {})
    return OutputRule(
        pattern=document["pattern"],
        unit=document.get("unit", ""),
        take=document.get("take", "first"),
        flags=tuple((int(bit), word) for bit, word in flags.items()),
    )


def _qdq(document: Mapping[str, Any]) -> QdqNeed:
    return QdqNeed(
        style=document.get("style", "compact"),
        activation=tuple(document.get("activation", ())),
        weight=tuple(document.get("weight", ())),
    )


def _finding(document: Mapping[str, Any]) -> LogRule:
    options = tuple((name, frozen(values)) for name, values in document.get("options", {}).items())
    return LogRule(**{"pattern": "", **document, "options": options})


def _requirement(document: Mapping[str, Any]) -> Requirement:
    return Requirement(
        tool=document["tool"],
        versions=document["versions"],
        recipes=tuple(document.get("recipes", ())),
        option=document.get("option", ""),
        values=frozen(document.get("values", [])),
        hint=document.get("hint", ""),
    )


def _tool(name: str, document: Mapping[str, Any]) -> Tool:
    version = document.get("version")
    probe = version and VersionProbe(
        files=tuple(version.get("file", ())),
        command=tuple(version.get("command", ())),
        distribution=version.get("distribution", ""),
        regex=version.get("regex", ""),
    )
    return Tool(
        name=name,
        executable=document.get("executable", ""),
        version=probe,
        supported=document.get("supported", ""),
        get=" ".join(document["get"].split()),
        known=tuple(document.get("known", ())),
    )


def _limits(document: Mapping[str, Any]) -> Limits:
    tasks = tuple(document.get("tasks", ()))
    dynamic = document.get("dynamic", False)
    operators = document.get("operators", {})
    return Limits(
        opset=_bounds(document.get("opset")),
        batch=_bounds(document.get("batch")),
        dynamic=dynamic,
        end2end=document.get("end2end", True),
        tasks=tasks,
        refuse=tuple(operators.get("refuse", ())),
        refuse_hint=operators.get("hint", ""),
        size_mb=document.get("size_mb"),
    )


def _bounds(span: Sequence[int] | None) -> tuple[int, int | None]:
    if not span:
        return (1, None)
    return (span[0], span[1] if len(span) > 1 else None)


def _calibration(document: Mapping[str, Any]) -> CalibrationNeed:
    return CalibrationNeed(
        format=document["format"],
        minimum=document.get("minimum", 1),
        useful_maximum=document.get("useful_maximum"),
    )


def _recipe(name: str, document: Mapping[str, Any], head: Mapping[str, Any] | str) -> Recipe:
    artifact = document["artifact"]
    ends, allowed = _head(document.get("head", head))
    return Recipe(
        name=name,
        title=document["title"],
        default=document.get("default", False),
        precision=document["precision"],
        steps=tuple(
            RecipeStep(step=entry["step"], inputs=tuple(entry["inputs"].items()))
            for entry in document.get("steps", ())
        ),
        artifact=artifact,
        evaluate=_measured(document["evaluate"], artifact),
        benchmark=_measured(document.get("benchmark", "none"), artifact),
        required_options=tuple(document.get("required_options", ())),
        refuse=tuple((option, frozen(values)) for option, values in document.get("refuse", {}).items()),
        head=ends,
        heads=allowed,
    )


def _head(document: Mapping[str, Any] | str) -> tuple[Any, tuple[Any, ...]]:
    """Return the head of a recipe and what a target may choose; the first is always among the second."""
    if isinstance(document, str):
        return document, (document,)
    return document["default"], tuple(dict.fromkeys((document["default"], *document["allow"])))


def _measured(document: Mapping[str, Any] | str, artifact: str) -> Measured | None:
    if isinstance(document, str):
        return None
    return Measured(
        artifact=document.get("artifact", artifact),
        evidence=document.get("evidence", "emulator"),
        runtime=document.get("runtime", ""),
        estimate=document.get("estimate", ""),
    )


def _step(folder: Path, name: str, document: Mapping[str, Any]) -> StepTemplate:
    success = document.get("success", {})
    files = document.get("files", {})
    return StepTemplate(
        name=name,
        command=_template(folder, document["command"]),
        tools=tuple(document["tools"]),
        uses=tuple(document.get("uses", ())),
        files=tuple((path, _template(folder, file)) for path, file in files.items() if isinstance(file, str)),
        graph_files=tuple(
            GraphFile(path=path, template=_template(folder, file["template"]), role=file["graph"])
            for path, file in files.items()
            if not isinstance(file, str)
        ),
        outputs=tuple(_output(role, output) for role, output in document["outputs"].items()),
        success=Success(
            log_has=tuple(success.get("log_has", ())), log_lacks=tuple(success.get("log_lacks", ()))
        ),
        timeout=document.get("timeout"),
        retries=document.get("retries", 0),
        env=tuple(sorted(document.get("env", {}).items())),
    )


def _output(role: str, document: Mapping[str, Any]) -> Output:
    return Output(role=role, **{**document, "holds": tuple(document.get("holds", ()))})


def _template(folder: Path, file: str) -> Template:
    return read_template(folder / file)
