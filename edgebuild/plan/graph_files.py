"""Files that depend on a model's graph: the steps that resolve ``keep_float`` and render them. Pure.

The names of layers are known only when the model is there. So such a file is not rendered with the plan, but
by a step of edgebuild's own between the model and the vendor's step, from the toolchain's own template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.action import Action, ActionInput, Output
from edgebuild.digest import canonical_json
from edgebuild.plan.own_step import FileRef, Ref, own_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.manifest.values import Quantize, Target
    from edgebuild.toolchain.load import StepTemplate

ROLE = "files"
"""Input role under which the vendor's step sees the rendered files."""


def graph_file_paths(step: StepTemplate) -> dict[str, str]:
    """Return where a vendor's step sees its late files, by the name that templates use."""
    return {file.path: f"in/{ROLE}/{file.path}" for file in step.graph_files}


def graph_file_input(target: Target, step: StepTemplate) -> tuple[ActionInput, ...]:
    """Return the rendered files as an input of the vendor's step."""
    if not step.graph_files:
        return ()
    return (ActionInput(role=ROLE, action=_files_id(target, step), output=ROLE),)


def graph_file_steps(
    target: Target,
    step: StepTemplate,
    settings: Quantize,
    refs: Mapping[str, Ref | FileRef],
    variables: Mapping[str, Any],
    choice: Ref | None = None,
) -> tuple[Action, ...]:
    """Return the steps that have to come before a vendor's step.

    Args:
        target: The target.
        step: The vendor's step.
        settings: What stays float.
        refs: What the vendor's step reads, by role.
        variables: What its templates see.
        choice: What a search found to keep float, in place of the settings; None: nothing was searched.
    """
    if not step.graph_files:
        return ()
    roles = tuple(dict.fromkeys(file.role for file in step.graph_files))
    nodes = {role: _nodes(target, step, role, (refs[role], choice), settings) for role in roles}
    return (*nodes.values(), _files(target, step, tuple(roles), variables))


def _nodes(
    target: Target,
    step: StepTemplate,
    role: str,
    refs: tuple[Ref | FileRef, Ref | None],
    settings: Quantize,
) -> Action:
    """Return the step that says which nodes of a model stay float; the refs are the model and a choice."""
    model, choice = refs
    kept = ["--choice", choice.path("choice")] if choice else ["--keep-float", *settings.keep_float]
    arguments = ["--model", model.path("model"), *kept]
    return own_step(
        f"{target.name}/{step.name}-{role}-nodes",
        "float-nodes",
        "float_nodes",
        [*arguments, "--output", "out/float_nodes.json"],
        target=target.name,
        inputs=(model.to("model"), *([choice.to("choice")] if choice else [])),
        outputs=(Output(role="nodes", path="float_nodes.json"),),
        origin=(
            ("--keep-float", f"targets.{target.name}.quantize.keep_float"),
            ("--keep-float", "quantize.keep_float"),
        ),
    )


def _files(
    target: Target, step: StepTemplate, roles: tuple[str, ...], variables: Mapping[str, Any]
) -> Action:
    """Return the step that renders the files."""
    arguments = ["--files", "aux/files.json", "--templates", "aux/templates"]
    for role in roles:
        arguments += ["--nodes", role, f"in/{role}/float_nodes.json"]
    known = {name: value for name, value in variables.items() if not callable(value)}
    rows = [
        {"path": file.path, "template": file.template.file, "role": file.role} for file in step.graph_files
    ]
    document = {"name": step.name, "uses": list(step.uses), "files": rows, "variables": known}
    texts = {file.template.file: file.template.text for file in step.graph_files}
    return own_step(
        _files_id(target, step),
        "graph-files",
        "graph_files",
        [*arguments, "--output", "out/files"],
        target=target.name,
        inputs=tuple(
            ActionInput(
                role=role,
                action=f"{target.name}/{step.name}-{role}-nodes",
                output="nodes",
                name="float_nodes.json",
            )
            for role in roles
        ),
        outputs=(Output(role=ROLE, path="files", tree=True),),
        files=(
            ("files.json", canonical_json(document)),
            *((f"templates/{name}", text) for name, text in texts.items()),
        ),
        origin=(("files.json", f"targets.{target.name}.options"),),
    )


def _files_id(target: Target, step: StepTemplate) -> str:
    return f"{target.name}/{step.name}-files"
