"""``edgebuild toolchain test``: does a toolchain's template fit the tool that is installed here?

A small model goes through the ordinary plan with the real tool. What comes out is checked as in every run,
run through the toolchain's own runtime where it has one, and compared with the float model.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.action import ActionResult, Outcome
from edgebuild.cache.store import remove_tree
from edgebuild.digest import canonical_json
from edgebuild.errors import StepError, ToolchainMissingError
from edgebuild.plan.commands import script
from edgebuild.plan.trial import NAME, chosen_recipes, overrides, trial_manifest
from edgebuild.process.own import capture_step
from edgebuild.run.console import open_display
from edgebuild.run.engine import run_actions
from edgebuild.run.session import look_here, open_session, search_path
from edgebuild.toolchain.load import load_toolchain
from edgebuild.verbs.signals import signals
from edgebuild.verbs.toolchain_bundle import (
    folder_texts,
    log_texts,
    machine_text,
    package_texts,
    rendered_texts,
    tool_texts,
    write_bundle,
)
from edgebuild.verbs.toolchain_tried import Tried, disagreement, judged, lines, row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.action import Action
    from edgebuild.cache.store import Store
    from edgebuild.plan.plan import TargetPlan
    from edgebuild.run.session import Session
    from edgebuild.toolchain.load import Recipe, Toolchain


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialOptions:
    """What the user asked of ``toolchain test``.

    Attributes:
        recipes: Names; empty: the default one. ``all`` means every one.
        settings: ``NAME=VALUE`` options.
        keep: Folder to keep everything in, or empty.
    """

    name: str
    recipes: tuple[str, ...]
    settings: tuple[str, ...]
    keep: str
    templates: tuple[str, ...]
    json: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where results are, for a comparison.

    Attributes:
        folder: Of the whole trial.
        store: Holds the bytes.
        baseline: Id of the float model's validation.
    """

    folder: Path
    store: Store
    baseline: str


def test(options: TrialOptions) -> int:
    """Try a toolchain and print what came of it; 0 when every recipe did as it should.

    Raises:
        UsageError: There is no such toolchain, recipe or option, or an option needs a value.
        ToolchainMissingError: A tool is not here.
    """
    search = search_path(Path.cwd(), options.templates)
    toolchain = load_toolchain(options.name, search)
    recipes = chosen_recipes(toolchain, options.recipes)
    settings = overrides(toolchain, recipes, options.settings)
    given = {text.partition("=")[0] for text in options.settings}
    manifest = trial_manifest(toolchain, recipes, given)
    _require(toolchain, recipes)
    with _folder(options.keep) as folder:
        (folder / "manifest.yaml").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        _make_sample(folder, manifest, toolchain)
        templates = tuple(str(one) for one in search)
        session = open_session(str(folder / "manifest.yaml"), overrides=settings, templates=templates)
        session.require_distributions()
        with signals() as received:
            results, store = _run(session, quiet=options.json)
        if received:  # nothing can be said of a toolchain that was not let finish
            return 128 + received[0]
        tried = [
            _judge(target, results, Place(folder=folder, store=store, baseline=session.plan.baseline))
            for target in session.plan.targets
        ]
        bundle = ""
        if options.keep or any(one.problem for one in tried):
            where = folder if options.keep else Path.cwd()
            bundle = str(where / f"{toolchain.name}-toolchain-test.zip")
            rendered = _rendered(session, results, Place(folder=folder, store=store, baseline=""))
            write_bundle(Path(bundle), _texts(session, toolchain, tried) | rendered, os.environ)
    _print(session, toolchain, tried, bundle, as_json=options.json)
    return 3 if any(one.problem for one in tried) else 0


@contextlib.contextmanager
def _folder(keep: str) -> Iterator[Path]:
    """Give a folder to work in: a new one that goes, or one that stays."""
    if keep:
        folder = Path(keep).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    folder = Path(tempfile.mkdtemp(prefix="edgebuild-test-"))
    try:
        yield folder
    finally:
        remove_tree(folder)


def _make_sample(folder: Path, manifest: Mapping[str, Any], toolchain: Toolchain) -> None:
    height, width = toolchain.trial.imgsz
    print(f"{toolchain.name}: making a small model and images", file=sys.stderr, flush=True)
    arguments = ["--folder", str(folder), "--task", manifest["model"]["task"]]
    arguments += ["--imgsz", str(height), str(width)]
    arguments += ["--images", str(manifest["dataset"]["calibration"]["images"])]
    done = capture_step("sample", arguments, folder=folder)
    if done.exit_code == ToolchainMissingError.exit_code:
        raise ToolchainMissingError(done.text.strip().splitlines()[-1].removeprefix("error: "))
    if done.exit_code:
        raise StepError("the sample model cannot be made", hint="\n".join(done.text.splitlines()[-8:]))


def _require(toolchain: Toolchain, recipes: Sequence[Recipe]) -> None:
    """Check that the tools are here. One outside the supported range is tried all the same."""
    lookup = look_here()
    place = lookup.place(toolchain)
    if place is not None and place.problem:
        raise ToolchainMissingError(place.problem, hint=f"get it: {place.get}")
    steps = {entry.step for recipe in recipes for entry in recipe.steps}
    named = [name for step in steps for name in toolchain.steps[step].tools] or list(toolchain.tools)
    found = [lookup.tool(toolchain, toolchain.tools[name]) for name in dict.fromkeys(named)]
    absent = [f"{one.problem}\n    get it: {one.get}" for one in found if not one.found]
    if absent:
        raise ToolchainMissingError("\n".join(absent), hint="`edgebuild doctor` shows what was looked for")
    for one in found:
        if not one.in_range:
            print(f"edgebuild: warning: {one.problem}; trying it all the same", file=sys.stderr)


def _run(session: Session, *, quiet: bool) -> tuple[dict[str, ActionResult], Store]:
    """Run what makes the artifacts, and what runs them; the tools are started in any case."""
    plan = session.plan
    own = {target.name: {entry.step for entry in target.recipe.steps} for target in plan.targets}
    vendor = {f"{name}/{step}" for name, steps in own.items() for step in steps}
    wanted = {target.artifact.action for target in plan.targets} | vendor
    if run_too := {target.validate for target in plan.targets if _runs(target)}:
        wanted |= {*run_too, plan.baseline}
    needed = plan.with_needs(wanted)
    actions = [action for action in plan.actions if action.id in needed]
    with open_display(len(actions), quiet=quiet) as display:
        context = session.context(display, force=frozenset(vendor))
        return run_actions(actions, context, keep_going=True), context.cache.store


def _runs(target: TargetPlan) -> bool:
    """Whether the artifact itself can be run here, so that there is something to compare."""
    measured = target.recipe.evaluate
    return bool(target.validate and measured and measured.evidence != "proxy")


def _judge(target: TargetPlan, results: Mapping[str, ActionResult], place: Place) -> Tried:
    mine = [results[name] for name in target.actions if name in results]
    steps = [results[f"{target.name}/{entry.step}"] for entry in target.recipe.steps]
    failed = next((one for one in mine if one.outcome is Outcome.FAILED), None)
    stopped = next((one for one in mine if one.outcome is Outcome.SKIPPED), None)
    rows: tuple[Mapping[str, Any], ...] = ()
    problem, size = "", 0
    if failed or stopped:
        # The log is told as the bundle has it: the folder it was written to goes.
        problem = (failed or stopped or mine[0]).message.replace(f".edgebuild/{NAME}/logs/", "logs/")
    else:
        size = results[target.artifact.action].artifact(target.artifact.output).size
        if _runs(target):
            rows = _agreement(target, results, place)
            problem = disagreement(target.recipe, rows)
    return Tried(
        recipe=target.name,
        problem=problem,
        size=size,
        seconds=round(sum(step.seconds for step in steps), 1),
        agreement=rows,
        judged=judged(target.recipe),
        findings=tuple(f"{found.id}: {found.message}" for one in steps for found in one.findings),
    )


def _agreement(
    target: TargetPlan, results: Mapping[str, ActionResult], place: Place
) -> tuple[Mapping[str, Any], ...]:
    """Compare what the artifact and the float model make of one image."""
    folder = place.folder / "compare" / target.name
    files = []
    for name, action in (("reference", place.baseline), ("other", target.validate)):
        place.store.materialise(results[action].artifact("golden"), folder / f"{name}.npz")
        files += [f"--{name}", str(folder / f"{name}.npz")]
    output = folder / "agreement.json"
    done = capture_step("agreement", [*files, "--output", str(output)], folder=folder)
    if done.exit_code:
        raise StepError("the outputs cannot be compared", hint="\n".join(done.text.splitlines()[-5:]))
    return tuple(json.loads(output.read_text(encoding="utf-8"))["outputs"])


def _texts(session: Session, toolchain: Toolchain, tried: Sequence[Tried]) -> dict[str, str]:
    """Return what goes into the bundle."""
    actions: list[Action] = list(session.plan.actions)
    files = {f"aux/{a.id.replace('/', '.')}/{path}": text for a in actions for path, text in a.files}
    rows = [row(one) for one in tried]
    return {
        **files,
        "commands.sh": script(session.plan, actions),
        "machine.txt": machine_text(toolchain, os.environ),
        "manifest.yaml": Path(session.manifest.file).read_text(encoding="utf-8"),
        "result.json": canonical_json({"schema": 1, "toolchain": toolchain.name, "recipes": rows}),
        **dict(tool_texts(session.installed.probed, session.installed.surroundings)),
        **dict(package_texts(toolchain, os.environ)),
        **dict(folder_texts(toolchain)),
        **dict(log_texts(session.folder / "logs")),
    }


def _rendered(session: Session, results: Mapping[str, ActionResult], place: Place) -> dict[str, str]:
    """Return the files that were rendered in the run, when the graph was known."""
    folder = place.folder / "rendered"
    for action in session.plan.actions:
        done = results.get(action.id)
        if action.step == "graph-files" and done is not None and done.artifacts:
            place.store.materialise(done.artifact("files"), folder / action.id.replace("/", "."))
    return dict(rendered_texts(folder))


def _print(
    session: Session, toolchain: Toolchain, tried: Sequence[Tried], bundle: str, *, as_json: bool
) -> None:
    tools = [probed for name, probed in session.installed.probed.items() if not name.endswith("/environment")]
    if as_json:
        versions = {probed.name: probed.version for probed in tools}
        document = {"schema": 1, "toolchain": toolchain.name, "tools": versions, "bundle": bundle}
        print(json.dumps(document | {"recipes": [row(one) for one in tried]}, indent=2))
        return
    names = [f"{one.name.rpartition('/')[2]} {one.version}".rstrip() for one in tools]
    print(f"{toolchain.name}: {', '.join(names)}")
    for one in tried:
        print("\n".join(lines(one)))
    if bundle:
        print(f"{bundle}: commands, versions and logs, to attach to a report; look through it first")
