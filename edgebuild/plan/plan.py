"""The plan: every action of a manifest as a value, in an order they can run in. Pure.

It reads no file, starts nothing and asks no clock: the manifest lists the dataset, the toolchains bring
their templates' text. So a plan can be printed, compared and tested without running anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgebuild import __version__
from edgebuild.errors import ManifestError
from edgebuild.plan import measure
from edgebuild.plan.chain import weights
from edgebuild.plan.finding_levels import finding_problems, refused_notes, rejecting
from edgebuild.plan.fit import chosen_head, chosen_recipe, target_notes, target_problems
from edgebuild.plan.own_step import FileRef, Ref
from edgebuild.plan.reference import reference
from edgebuild.plan.source import Sources
from edgebuild.plan.tool_version import tool_versions
from edgebuild.plan.vendor import late_steps, package_files, vendor_step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgebuild.action import Action, Finding
    from edgebuild.errors import Problem
    from edgebuild.manifest.values import Manifest, Target
    from edgebuild.plan.tool_version import ToolVersion
    from edgebuild.toolchain.load import Recipe, Toolchain

STEP_ORDER = (
    "train", "export", "head", "calibrate", "calibration", "preprocess", "ranges", "search", "quantize",
    "limits", "float-nodes", "graph-files", "compile",
    "validate", "detections", "benchmark", "compare", "verdict", "package",
)  # fmt: skip
"""The chain in words, for ``--until`` and for people; a vendor's own steps count as ``compile``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetPlan:
    """What one target needs and leaves.

    Attributes:
        toolchain: Its toolchain.
        recipe: The chosen recipe.
        artifact: What is shipped.
        validate: Id of its validation, or empty when nothing of it can be evaluated.
        detections: Id of its pictures, or empty.
        benchmark: Id of its benchmark here, or empty.
        compare: Id of its comparison with the float model, block by block, or empty.
        baseline: Id of the validation of the float model that it is compared with, or empty.
        baseline_detections: Id of that model's pictures, or empty.
        search: Id of the search that chose its float nodes, or empty.
        verdict: Id of its verdict.
        package: Id of its package, or empty for a target that is only compared with.
        actions: Ids of everything it needs, in plan order.
        versions: Versions of tools that its commands are made for.
        notes: What was changed for it so that its compiler can take the model.
    """

    name: str
    toolchain: Toolchain
    recipe: Recipe
    artifact: Ref
    validate: str
    detections: str
    benchmark: str
    compare: str
    baseline: str
    baseline_detections: str
    search: str
    verdict: str
    package: str
    actions: tuple[str, ...]
    versions: tuple[ToolVersion, ...] = ()
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All actions of a manifest, static and ordered: an action comes after everything it needs.

    Attributes:
        baseline: Id of the float model's validation, or empty.
        baseline_detections: Id of the float model's pictures, or empty.
    """

    manifest: Manifest
    actions: tuple[Action, ...]
    targets: tuple[TargetPlan, ...]
    baseline: str
    baseline_detections: str
    _actions: Mapping[str, Action] = field(init=False, repr=False, compare=False)
    _targets: Mapping[str, TargetPlan] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index what is looked up by name: once per action and target, a search would be quadratic."""
        object.__setattr__(self, "_actions", {action.id: action for action in self.actions})
        object.__setattr__(self, "_targets", {target.name: target for target in self.targets})

    def action(self, action_id: str) -> Action:
        """Return an action by its id.

        Raises:
            KeyError: There is none.
        """
        return self._actions[action_id]

    def with_needs(self, ids: Iterable[str]) -> set[str]:
        """Return the ids of some actions and of all that they need."""
        return _with_needs(self._actions, ids)

    def target(self, name: str) -> TargetPlan:
        """Return a target's plan by its name.

        Raises:
            KeyError: There is none.
        """
        return self._targets[name]


def make_plan(
    manifest: Manifest,
    toolchains: Mapping[str, Toolchain],
    *,
    cpu: str,
    versions: Mapping[str, str] | None = None,
) -> Plan:
    """Compile a manifest into actions.

    Args:
        manifest: The manifest.
        toolchains: Every toolchain it names, by name.
        cpu: This machine's CPU family, for targets that name none.
        versions: ``toolchain/tool`` -> version found here, for tools whose version chooses arguments; for
            one that is missing the newest known version that fits is assumed.

    Raises:
        ManifestError: Targets ask for what their toolchain does not have; all problems at once.
    """
    draft = _Draft(manifest, cpu, versions or {})
    problems: list[Problem] = [*finding_problems(manifest, toolchains)]
    for target in manifest.targets:
        found = list(target_problems(manifest, target, toolchains[target.toolchain], versions or {}))
        problems += found
        if not found:
            draft.add_target(target, toolchains[target.toolchain])
    plan = draft.finish()
    problems += refused_notes(manifest, {target.name: target.notes for target in plan.targets})
    if problems:
        raise ManifestError(problems)
    return plan


class _Draft:
    """A plan being written; equal actions of several targets become one."""

    def __init__(self, manifest: Manifest, cpu: str, versions: Mapping[str, str]) -> None:
        self._manifest = manifest
        self._cpu = cpu
        self._versions = versions
        self._actions: dict[str, Action] = {}
        self._order: dict[str, int] = {}
        self._targets: list[TargetPlan] = []

    def finish(self) -> Plan:
        """Return the plan."""
        return Plan(
            manifest=self._manifest,
            actions=tuple(self._actions.values()),
            targets=tuple(self._targets),
            baseline=_chosen("baseline", (target.baseline for target in self._targets)),
            baseline_detections=_chosen(
                "baseline-detections", (target.baseline_detections for target in self._targets)
            ),
        )

    def add_target(self, target: Target, toolchain: Toolchain) -> None:
        """Write down everything one target needs."""
        recipe = chosen_recipe(target, toolchain)
        head = chosen_head(target, recipe)
        source = Sources(self.add, self._manifest, target, toolchain, self._cpu, recipe=recipe, head=head)
        versions = tool_versions(target, toolchain, recipe, self._versions)
        for step in recipe.steps:
            for own in late_steps(
                self._manifest, target, toolchain, recipe, step, source.read, versions, source.choice
            ):
                self.add(own)
            made = vendor_step(self._manifest, target, toolchain, recipe, step, source.read, versions)
            source.add_step(made)
        artifact = source.get(recipe.artifact)
        measured = self._measure(target, toolchain, recipe, source)
        float_model = reference(self.add, self._manifest, target, source)
        measured["verdict"] |= float_model.gates
        made_by = [artifact.action, *(ref.action for ref in measured["verdict"].values())]
        heard = rejecting((self._actions[name] for name in self._closure(made_by)), dict(target.findings))
        verdict = self.add(measure.verdict(target, artifact, measured["verdict"], heard))
        package = ""
        if target.ship:
            more = package_files(self._manifest, target, toolchain, recipe, artifact, versions)
            package = self._package(target, toolchain, recipe, source, artifact, measured, more=dict(more))
        pictures = measured["pictures"]
        self._targets.append(
            TargetPlan(
                name=target.name,
                toolchain=toolchain,
                recipe=recipe,
                artifact=artifact,
                validate=_id(measured["verdict"].get("metrics")),
                detections=_id(pictures.get("detections")),
                benchmark=_id(measured["verdict"].get("benchmark")),
                compare=_id(pictures.get("comparison")),
                baseline=float_model.validate,
                baseline_detections=float_model.detections,
                search=source.searched,
                verdict=verdict,
                package=package,
                actions=self._closure([package or verdict, *map(_id, pictures.values()), artifact.action]),
                versions=versions,
                notes=target_notes(self._manifest, target, toolchain, source.export, versions),
            )
        )

    def add(self, action: Action) -> str:
        """Write an action down, or note that an equal one serves this target too; return its id."""
        known = self._actions.get(action.id)
        if known is None:
            self._actions[action.id] = action
            self._order[action.id] = len(self._order)
        elif known == action:
            targets = tuple(dict.fromkeys((*known.targets, *action.targets)))
            self._actions[action.id] = replace(known, targets=targets)
        else:
            raise AssertionError(f"two different actions are called {action.id}")
        return action.id

    def _measure(
        self, target: Target, toolchain: Toolchain, recipe: Recipe, source: Sources
    ) -> dict[str, dict[str, Ref]]:
        """Write down the measurements of a target; return what the verdict and the report read."""
        verdict: dict[str, Ref] = {}
        pictures: dict[str, Ref] = {}
        manifest = self._manifest
        if recipe.evaluate is not None and manifest.dataset is not None:
            tested = source.get(recipe.evaluate.artifact)
            subject = measure.subject_of(toolchain, recipe.evaluate, tested, source.info())
            done = self.add(measure.validate(manifest, f"{target.name}/validate", target.name, subject))
            verdict["metrics"] = Ref(action=done, output="metrics", name="metrics.json")
            done = self.add(measure.detections(manifest, f"{target.name}/detections", target.name, subject))
            pictures["detections"] = Ref(action=done, output="detections", name="detections.json")
            quantize = self._actions[tested.action]
            if manifest.compare and measure.is_comparable(quantize):
                done = self.add(measure.compare(quantize, target.name))
                pictures["comparison"] = Ref(action=done, output="comparison", name="comparison.json")
        if recipe.benchmark is not None:
            timed, info = source.get(recipe.benchmark.artifact), source.info()
            done = self.add(measure.timing(target, toolchain, recipe.benchmark, timed, info))
            verdict["benchmark"] = Ref(action=done, output="benchmark", name="benchmark.json")
        return {"verdict": verdict, "pictures": pictures}

    def _package(  # noqa: PLR0913 - a package has this many parts
        self,
        target: Target,
        toolchain: Toolchain,
        recipe: Recipe,
        source: Sources,
        artifact: Ref,
        measured: dict[str, dict[str, Ref]],
        *,
        more: dict[str, str],
    ) -> str:
        inputs: dict[str, Ref | FileRef] = {"artifact": artifact, "info": source.info()}
        inputs["weights"] = weights(self._manifest)
        verdict = Ref(action=f"{target.name}/verdict", output="verdict", name="verdict.json")
        metrics = measured["verdict"].get("metrics")
        if metrics is not None:
            inputs["metrics"] = metrics
            inputs["golden"] = Ref(action=metrics.action, output="golden", name="golden.npz")
        inputs["verdict"] = verdict
        if "calibrate" in source.used:
            inputs["calibration"] = Ref(action="calibrate", output="selection", name="calibration.json")
        if artifact.action.partition("@")[0] == "quantize":
            inputs["quantize"] = Ref(action=artifact.action, output="report", name="quantize.json")
        upstream = [self._actions[name] for name in self._closure([verdict.action])]
        made = [a for a in upstream if a.step not in {"validate", "detections", "benchmark", "verdict"}]
        spec = {
            "edgebuild": __version__,
            "name": self._manifest.name,
            "target": target.name,
            "version": self._manifest.package.version,
            "toolchain": toolchain.name,
            "recipe": recipe.name,
            "precision": recipe.precision,
            "batch": target.batch,
            "imgsz": list(self._manifest.model.imgsz),
            "options": dict(target.options),
            "commands": {a.id: list(a.argv) for a in made},
            "files": {a.id: dict(a.files) for a in made if a.files},
        }
        spec |= {"readme": more.pop("")} if "" in more else {}
        tools = tuple(dict.fromkeys(tool for a in made for tool in a.tools))
        return self.add(measure.package(self._manifest, target, spec, inputs, tools, more))

    def _closure(self, roots: list[str]) -> tuple[str, ...]:
        wanted = _with_needs(self._actions, filter(None, roots))
        return tuple(sorted(wanted, key=self._order.__getitem__))


def _with_needs(actions: Mapping[str, Action], ids: Iterable[str]) -> set[str]:
    wanted: set[str] = set()
    todo = list(ids)
    while todo:
        action_id = todo.pop()
        if action_id not in wanted:
            wanted.add(action_id)
            todo += actions[action_id].needs
    return wanted


def _chosen(first: str, ids: Iterable[str]) -> str:
    """Return the float model's id of a plan: as the manifest says, unless every target has another head."""
    found = list(filter(None, ids))
    return first if first in found else next(iter(found), "")


def _id(ref: Ref | None) -> str:
    return ref.action if ref else ""
