"""Whether what a target asks for fits its toolchain: recipe, options, limits, data, gates. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import Finding
from edgebuild.gates import METRICS, TIMED
from edgebuild.manifest.overrides import typed
from edgebuild.plan.finding_levels import finding_problems, rules_for
from edgebuild.plan.limits import batch_faults, fit_notes, fitted_export, limit_faults
from edgebuild.plan.tool_version import version_faults, version_notes
from edgebuild.suggest import did_you_mean, listed
from edgebuild.toolchain.load import resolve_options
from edgebuild.toolchain.templates import takes_extra_args

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.errors import Problem
    from edgebuild.manifest.values import Export, Manifest, Target
    from edgebuild.plan.tool_version import ToolVersion
    from edgebuild.toolchain.load import Measured, Recipe, Toolchain


CALIBRATED_SOURCES = frozenset({"calibration", "qdq", "qdq_w8a16", "qdq_naive"})
"""Sources of a recipe that need calibration images."""


def chosen_recipe(target: Target, toolchain: Toolchain) -> Recipe:
    """Return the recipe of a target: the one it names, else the toolchain's default."""
    return toolchain.recipes[target.recipe] if target.recipe else toolchain.default_recipe


def manifest_problems(
    manifest: Manifest,
    toolchains: Mapping[str, Toolchain],
    versions: Mapping[str, str],
    *,
    dataset_known: bool = True,
) -> Iterator[Problem]:
    """Yield what targets ask for that their toolchains do not have, of a manifest that has mistakes already.

    Args:
        manifest: The manifest, without its mistakes.
        toolchains: Those it names that there are.
        versions: ``toolchain/tool`` -> version found here.
        dataset_known: False: what is in its dataset is not known.
    """
    if all(target.toolchain in toolchains for target in manifest.targets):
        yield from finding_problems(manifest, toolchains)
    for target in manifest.targets:
        toolchain = toolchains.get(target.toolchain)
        if toolchain is not None:
            yield from target_problems(manifest, target, toolchain, versions, dataset_known=dataset_known)


def target_problems(
    manifest: Manifest,
    target: Target,
    toolchain: Toolchain,
    versions: Mapping[str, str] = {},
    *,
    dataset_known: bool = True,
) -> Iterator[Problem]:
    """Yield what a target asks for that its toolchain does not have; see :func:`manifest_problems`."""
    path = f"targets.{target.name}"
    if target.recipe and target.recipe not in toolchain.recipes:
        near = did_you_mean(target.recipe, toolchain.recipes)
        hint = f"{near} known: {', '.join(toolchain.recipes)}".lstrip()
        text = f"{toolchain.name} has no recipe {target.recipe!r}"
        yield _problem(manifest, f"{path}.recipe", text, hint)
        for place, text, hint in batch_faults(target, toolchain):
            yield _problem(manifest, place, text, hint)
        return
    recipe = chosen_recipe(target, toolchain)

    def where(name: str) -> tuple[str, int, int, str]:
        place = f"{path}.options.{name}" if name else f"{path}.options"
        at = manifest.problem(place, "")
        return at.file, at.line, at.column, place

    options, faults = resolve_options(toolchain, target.options, where, recipe=recipe)
    yield from map(_with_quotes, faults)
    yield from _rule_problems(manifest, target, toolchain, options)
    if target.extra_args and not takes_extra_args(toolchain, recipe):
        steps = " and ".join(toolchain.steps[entry.step].command.name for entry in recipe.steps)
        text = f"extra_args have no effect: {steps or f'recipe {recipe.name!r}'} does not take them"
        yield _problem(manifest, f"{path}.options.extra_args", text, "remove them")
    for place, text, hint in limit_faults(manifest, target, toolchain, recipe):
        yield _problem(manifest, place, text, hint)
    yield from _head_problems(manifest, target, toolchain, recipe)
    for option, text, hint in version_faults(target, toolchain, recipe, versions):
        yield _problem(manifest, f"{path}.options.{option}" if option else path, text, hint)
    if dataset_known:
        yield from _data_problems(manifest, target, toolchain, recipe)
    yield from _chain_problems(manifest, target, toolchain, recipe)


def _rule_problems(
    manifest: Manifest, target: Target, toolchain: Toolchain, options: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield the errors that options alone come to: no log has to be waited for."""
    levels = dict(target.findings)
    for rule in rules_for(toolchain, options):
        if not rule.pattern and levels.get(rule.id, rule.level) == "error":
            place = f"targets.{target.name}.options.{rule.options[-1][0]}"
            yield _problem(manifest, place, rule.message, rule.hint)


def chosen_head(target: Target, recipe: Recipe) -> str:
    """Return where the model ends that a target's recipe reads."""
    return target.head or recipe.head


def _head_problems(
    manifest: Manifest, target: Target, toolchain: Toolchain, recipe: Recipe
) -> Iterator[Problem]:
    if target.head and target.head not in recipe.heads:
        text = f"recipe {recipe.name!r} of {toolchain.name} does not take head {target.head!r}"
        yield _problem(manifest, f"targets.{target.name}.head", text, f"it takes: {', '.join(recipe.heads)}")
    head = chosen_head(target, recipe)
    if head != "full" and fitted_export(manifest, target, toolchain, recipe, head).dynamic:
        text = f"a {head} head needs a fixed image size"
        yield _problem(manifest, f"targets.{target.name}", text, "set model.export.dynamic to false")


def _data_problems(
    manifest: Manifest, target: Target, toolchain: Toolchain, recipe: Recipe
) -> Iterator[Problem]:
    path = f"targets.{target.name}"
    calibrates = bool(CALIBRATED_SOURCES & set(recipe.sources))
    if calibrates and manifest.dataset is None:
        yield _problem(
            manifest,
            path,
            f"recipe {recipe.name!r} needs calibration images",
            "add `dataset:` to the manifest",
        )
    if calibrates and manifest.dataset is not None and not manifest.dataset.calibration.images:
        text = f"recipe {recipe.name!r} needs calibration images, and the dataset has no train split"
        yield _problem(manifest, path, text, "say which images: dataset.calibration")
    need = toolchain.calibration
    if calibrates and need and manifest.dataset and manifest.dataset.calibration.images < need.minimum:
        count = manifest.dataset.calibration.images
        text = f"{toolchain.name} needs at least {need.minimum} calibration images, {count} are asked for"
        hint = f"raise it to {need.minimum} or more, or add images to the split"
        yield _problem(manifest, "dataset.calibration.images", text, hint)


def _chain_problems(
    manifest: Manifest, target: Target, toolchain: Toolchain, recipe: Recipe
) -> Iterator[Problem]:
    path, given = f"targets.{target.name}", manifest.model.weights
    if "weights" in recipe.sources and given is not None and given.suffix != ".pt":
        text = f"recipe {recipe.name!r} reads PyTorch weights, the model is given as {given.suffix}"
        yield _problem(manifest, path, text, "give `model.weights` as a .pt file")
    if {"qdq", "qdq_naive"} & {source for step in recipe.steps for _, source in step.inputs}:
        yield from _type_problems(manifest, target, toolchain)
    yield from _search_problems(manifest, target, toolchain, recipe)
    yield from _gate_problems(manifest, target, toolchain, recipe)


def target_notes(
    manifest: Manifest,
    target: Target,
    toolchain: Toolchain,
    fitted: Export,
    versions: Sequence[ToolVersion] = (),
) -> tuple[Finding, ...]:
    """Return what a person should know of a target before anything runs.

    Args:
        manifest: The manifest.
        target: The target.
        toolchain: Its toolchain.
        fitted: Its export.
        versions: The versions of tools that its commands are made for.
    """
    recipe = chosen_recipe(target, toolchain)
    head = chosen_head(target, recipe)
    changed = fit_notes(target, toolchain, recipe, manifest.model.export, fitted, head)
    assumed = version_notes(target, toolchain, versions)
    return (*changed, *assumed, *calibration_notes(manifest, target, toolchain))


def calibration_notes(manifest: Manifest, target: Target, toolchain: Toolchain) -> tuple[Finding, ...]:
    """Return whether a target calibrates on more images than its toolchain makes use of."""
    need, dataset = toolchain.calibration, manifest.dataset
    calibrates = bool(CALIBRATED_SOURCES & set(chosen_recipe(target, toolchain).sources))
    if not calibrates or dataset is None or need is None or need.useful_maximum is None:
        return ()
    count = dataset.calibration.images
    if count <= need.useful_maximum:
        return ()
    message = f"{target.name} calibrates on {count} images; {toolchain.name} gains nothing beyond "
    message += str(need.useful_maximum)
    hint = "lower dataset.calibration.images: more only take longer"
    return (Finding(id="calibration-many", level="note", message=message, hint=hint),)


def _search_problems(
    manifest: Manifest, target: Target, toolchain: Toolchain, recipe: Recipe
) -> Iterator[Problem]:
    """Yield why a search could not choose anything for a target."""
    asked = target.quantize.mixed_precision
    if asked is None:
        return
    place = f"targets.{target.name}.quantize.mixed_precision"
    here = manifest.positions.get(place)
    inherited = here is not None and here == manifest.positions.get("quantize.mixed_precision")
    told = any(toolchain.steps[entry.step].graph_files for entry in recipe.steps)
    used = {"qdq", "qdq_w8a16", *(["calibration"] if told else [])}
    if not used & set(recipe.sources) and not inherited:
        text = f"recipe {recipe.name!r} takes no choice of what stays float, so there is nothing to search"
        yield _problem(manifest, place, text, "remove mixed_precision, or choose an int8 recipe")
    task = manifest.model.task
    if asked.metric and task not in METRICS[asked.metric].tasks:
        text = f"{asked.metric} is no metric of the task {task}"
        yield _problem(manifest, f"{place}.metric", text, "leave it out: then it is the task's own")


def _type_problems(manifest: Manifest, target: Target, toolchain: Toolchain) -> Iterator[Problem]:
    """Yield the types of a QDQ model that the toolchain's compiler does not read."""
    settings = target.quantize
    for name, types in (("activation", toolchain.qdq.activation), ("weight", toolchain.qdq.weight)):
        given = getattr(settings, name)
        if given and types and given not in types:
            place = f"targets.{target.name}.quantize.{name}"
            text = f"{toolchain.name} reads QDQ models with {name} {' or '.join(types)} only, not {given}"
            place = place if place in manifest.positions else f"quantize.{name}"
            yield _problem(manifest, place, text, f"set quantize.{name} to {types[0]} for this target")


def _gate_problems(
    manifest: Manifest, target: Target, toolchain: Toolchain, recipe: Recipe
) -> Iterator[Problem]:
    """Yield the gates that nothing in this plan can ever satisfy."""
    possible = gate_metrics(manifest, toolchain, recipe)
    for gate in target.gates:
        name = gate.metric.partition("/")[0]
        evidence = possible.get(name)
        what = f"impossible gate: {gate.metric} of {toolchain.name}'s recipe {recipe.name!r}"
        hint = f"write {gate.metric}: null for this target"
        place = f"targets.{target.name}.acceptance.{gate.metric}"
        if evidence is None:
            text = f"{what} is measured nowhere"
            yield _problem(manifest, place, text, f"{hint}; it can have {listed(possible, most=20)}")
        elif gate.evidence not in {"", evidence}:
            text = f"{what} is measured with evidence {evidence!r}, the gate demands {gate.evidence}"
            yield _problem(manifest, place, text, f"{hint}, or demand {evidence}")
        elif gate.relative and METRICS[name].source == "benchmark" and evidence == "emulator":
            text = f"{what} is an estimate, and the float model is measured on this machine"
            yield _problem(manifest, place, text, f"{hint}, or give it a max or a min")


def gate_metrics(manifest: Manifest, toolchain: Toolchain, recipe: Recipe) -> dict[str, str]:
    """Return the metrics that a recipe's artifact can have a gate on -> where they are measured.

    Args:
        manifest: The manifest; without a dataset nothing is validated.
        toolchain: The toolchain, whose rules say what a compiler's estimate has.
        recipe: The recipe.
    """
    tested, timed = recipe.evaluate, recipe.benchmark
    found: dict[str, str] = {}
    for name, kind in METRICS.items():
        if kind.source == "validate" and tested and manifest.dataset and manifest.model.task in kind.tasks:
            found[name] = tested.evidence
        if kind.source == "benchmark" and timed and name in _timed_metrics(toolchain, timed):
            found[name] = timed.evidence
    return found | {"size_mb": "host"}


def _timed_metrics(toolchain: Toolchain, timed: Measured) -> tuple[str, ...]:
    """Return what a benchmark gives, or the estimate that stands in its place."""
    if not timed.estimate:
        return TIMED
    estimates = (tool for tool in toolchain.device if tool.kind == "estimate")
    return next(tool.finds for tool in estimates if tool.name == timed.estimate)


def _with_quotes(fault: Problem) -> Problem:
    """Return a problem with an option that is a text, with what to type where a shell took the quotes."""
    if not (fault.file.startswith("--set ") and fault.message.endswith(" is not a string")):
        return fault
    return replace(fault, hint=f"type: {typed(fault.file.removeprefix('--set '))}")


def _problem(manifest: Manifest, path: str, message: str, hint: str) -> Problem:
    return manifest.problem(path, message, hint=hint)
