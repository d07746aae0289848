"""A toolchain's step for one target: render its templates into an action. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgebuild.action import Action, TreeInput
from edgebuild.errors import ManifestError, Problem
from edgebuild.lint import beginning
from edgebuild.plan.finding_levels import rejecting_patterns, rules_for
from edgebuild.plan.fit import chosen_head
from edgebuild.plan.graph_files import graph_file_input, graph_file_paths, graph_file_steps
from edgebuild.plan.quantization import without_decode
from edgebuild.render import file_lookup, render_argv, render_text
from edgebuild.toolchain.environment import ENVIRONMENT_TOOL
from edgebuild.toolchain.load import resolve_options
from edgebuild.toolchain.templates import program_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgebuild.action import Input
    from edgebuild.manifest.values import Manifest, Target
    from edgebuild.plan.own_step import FileRef, Ref
    from edgebuild.plan.tool_version import ToolVersion
    from edgebuild.toolchain.load import Recipe, RecipeStep, StepTemplate, Toolchain

INPUT_NAME = "images"
"""Name of the input tensor; the export step gives every model this one."""


def vendor_step(  # noqa: PLR0913, PLR0917 - an action has this many sides
    manifest: Manifest,
    target: Target,
    toolchain: Toolchain,
    recipe: Recipe,
    entry: RecipeStep,
    get: Callable[[str], Ref | FileRef],
    versions: Sequence[ToolVersion] = (),
) -> Action:
    """Return one vendor step as an action.

    Args:
        manifest: The manifest.
        target: The target.
        toolchain: Its toolchain.
        recipe: The chosen recipe.
        entry: The step within the recipe.
        get: Source name -> what to read.
        versions: Versions that the commands are made for.

    Raises:
        ManifestError: A template uses a variable that does not exist.
    """
    step = toolchain.steps[entry.step]
    refs = {role: get(source) for role, source in entry.inputs}
    variables = _step_variables(manifest, target, toolchain, recipe, step, refs, versions)
    argv = render_argv(step.command.text, step.command.name, variables)
    _refuse_other_programs(toolchain, step, argv)
    files = [(name, render_text(text.text, text.name, variables)) for name, text in step.files]
    inputs: tuple[Input, ...] = tuple(ref.to(role) for role, ref in refs.items())
    inputs = (*inputs, *graph_file_input(target, step))
    if step.uses:
        inputs = (*inputs, TreeInput(role="toolchain", root=toolchain.folder, files=tuple(sorted(step.uses))))
    own = (f"{ENVIRONMENT_TOOL}{toolchain.name}",) if toolchain.environment.own else ()
    rules = rules_for(toolchain, variables["options"])
    return Action(
        id=f"{target.name}/{entry.step}",
        step=entry.step,
        argv=argv,
        env=step.env,
        env_pass=toolchain.env_pass,
        env_locate=toolchain.environment.locate,
        environment=toolchain.name if own else "",
        inputs=inputs,
        outputs=step.outputs,
        files=tuple((name, text) for name, text in files if text.strip()),
        tools=(*(f"{toolchain.name}/{name}" for name in step.tools), *own),
        success=step.success,
        findings=rules,
        rejects=rejecting_patterns(rules, dict(target.findings)),
        timeout=target.timeout or step.timeout,
        retries=step.retries,
        targets=(target.name,),
        origin=tuple(
            (word, f"targets.{target.name}.options.{name}")
            for name in toolchain.options
            for word in (f"--{name}", f"--{name.replace('_', '-')}", f"-{name}")
        ),
    )


def _refuse_other_programs(toolchain: Toolchain, step: StepTemplate, argv: Sequence[str]) -> None:
    """Refuse a command that starts what is no tool of its step; loading found what no value decides.

    A program of the folder's own takes what it starts after `--`.
    """
    declared = {name: tool.executable for name, tool in toolchain.tools.items()}
    started = argv[argv.index("--") + 1 :] if "--" in argv else ()
    for word in (argv[0], *(word for word in started if word in declared.values())):
        if fault := program_fault(step.name, word, step.tools, declared):
            line, column = beginning(step.command.text)
            problem = Problem(
                file=step.command.name, line=line, column=column, message=fault[0], hint=fault[1]
            )
            raise ManifestError([problem])


def late_steps(  # noqa: PLR0913, PLR0917 - as many sides as the step itself
    manifest: Manifest,
    target: Target,
    toolchain: Toolchain,
    recipe: Recipe,
    entry: RecipeStep,
    get: Callable[[str], Ref | FileRef],
    versions: Sequence[ToolVersion] = (),
    choice: Callable[[], Ref | None] = lambda: None,
) -> tuple[Action, ...]:
    """Return the steps that render what depends on a graph; they come before the vendor's step.

    The arguments are those of :func:`vendor_step`; ``choice`` returns what a search found to keep float.
    """
    step = toolchain.steps[entry.step]
    if not step.graph_files:
        return ()
    refs = {role: get(source) for role, source in entry.inputs}
    variables = _step_variables(manifest, target, toolchain, recipe, step, refs, versions)
    settings = without_decode(target.quantize) if chosen_head(target, recipe) == "cut" else target.quantize
    return graph_file_steps(target, step, settings, refs, variables, choice())


def package_files(
    manifest: Manifest,
    target: Target,
    toolchain: Toolchain,
    recipe: Recipe,
    artifact: Ref,
    versions: Sequence[ToolVersion] = (),
) -> tuple[tuple[str, str], ...]:
    """Return what a toolchain adds to packages: path and text of each file; an empty path is the readme's.

    One that renders blank is left out: not every recipe needs each.

    Args:
        manifest: The manifest.
        target: The target.
        toolchain: Its toolchain.
        recipe: The chosen recipe.
        artifact: What is shipped.
        versions: Versions that the commands are made for.

    Raises:
        ManifestError: A template uses a variable that does not exist.
    """
    variables = _variables(manifest, target, toolchain, recipe, {})
    variables["tools"] = {chosen.tool: chosen.variables() for chosen in versions}
    variables["artifact"] = f"artifact/{artifact.name}"
    variables["threads"] = target.benchmark.threads
    readme = [("", toolchain.package_readme)] if toolchain.package_readme else []
    texts = [
        (path, render_text(template.text, template.name, variables))
        for path, template in (*readme, *toolchain.package_files)
    ]
    return tuple((path, text) for path, text in texts if text.strip())


def _step_variables(  # noqa: PLR0913, PLR0917 - everything that a step's templates can name
    manifest: Manifest,
    target: Target,
    toolchain: Toolchain,
    recipe: Recipe,
    step: StepTemplate,
    refs: Mapping[str, Ref | FileRef],
    versions: Sequence[ToolVersion],
) -> dict[str, Any]:
    return _variables(manifest, target, toolchain, recipe, refs) | {
        "tools": {chosen.tool: chosen.variables() for chosen in versions},
        "outputs": {output.role: f"out/{output.path}" for output in step.outputs},
        "toolchain_file": file_lookup(step.uses),
        "aux": {name: f"aux/{name}" for name, _ in step.files} | graph_file_paths(step),
    }


def _variables(
    manifest: Manifest,
    target: Target,
    toolchain: Toolchain,
    recipe: Recipe,
    refs: Mapping[str, Ref | FileRef],
) -> dict[str, Any]:
    options, _ = resolve_options(toolchain, target.options, lambda name: ("", 0, 0, name), recipe=recipe)
    height, width = manifest.model.imgsz
    dataset = manifest.dataset
    return {
        "inputs": {role: ref.path(role) for role, ref in refs.items()},
        "options": dict(options),
        "extra_args": list(target.extra_args),
        "target": target.name,
        "recipe": recipe.name,
        "precision": recipe.precision,
        "batch": target.batch,
        "imgsz": [height, width],
        "input_shape": [target.batch, 3, height, width],
        "model": {
            "input": INPUT_NAME,
            "task": manifest.model.task,
            "classes": len(dataset.names) if dataset else 0,
        },
        "quantize": asdict(target.quantize),
        "calibration": {"images": dataset.calibration.images if dataset else 0},
    }
