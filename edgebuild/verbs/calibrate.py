"""``edgebuild calibrate``: what the calibration images are, and what more of them buy."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.action import Outcome
from edgebuild.cache.uses import note_run
from edgebuild.errors import UsageError
from edgebuild.gates import main_metric
from edgebuild.plan.sweep import Sweep, combine
from edgebuild.process.worker import Workers
from edgebuild.report.words import SYMBOLS, metric_title
from edgebuild.results import finding_row
from edgebuild.run.console import open_display
from edgebuild.run.engine import run_actions
from edgebuild.run.outcome import worst
from edgebuild.run.session import Session, open_session
from edgebuild.suggest import did_you_mean
from edgebuild.verbs.signals import signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.action import ActionResult
    from edgebuild.perform.context import Context
    from edgebuild.plan.plan import TargetPlan

SCHEMA = 1

ENOUGH = 0.001
"""Accuracy within which fewer images count as good enough: a tenth of a point."""

SHOWN = ("map50_95_mask", "map50_95_pose", "map50_95", "map50", "top1", "top5")


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrateOptions:
    """What the user asked of ``calibrate``."""

    manifest: str
    overrides: tuple[str, ...]
    templates: tuple[str, ...]
    sweep: tuple[int, ...]
    targets: tuple[str, ...]
    jobs: int
    json: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What came of the actions.

    Attributes:
        sessions: One per count, by label.
        targets: Names of the targets that were validated; none without a sweep.
    """

    sessions: Mapping[str, Session]
    targets: tuple[str, ...]
    sweep: Sweep
    results: Mapping[str, ActionResult]
    context: Context

    def result(self, label: str, name: str) -> ActionResult:
        """Return the result of an action of one plan."""
        return self.results[self.sweep.names[label, name]]

    def document(self, label: str, name: str, role: str) -> dict[str, Any]:
        """Return a JSON output of an action; empty when it has none."""
        result = self.result(label, name)
        if not result.artifacts:
            return {}
        self.context.cache.store.require(result.artifact(role))
        path = self.context.cache.store.blob(result.artifact(role).digest)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


def calibrate(options: CalibrateOptions) -> int:
    """Make the calibration sets, validate with each where that was asked for, and print what came of it."""
    sessions = _sessions(options)
    with signals() as received:
        done = _perform(sessions, options)
    if received:
        return 128 + received[0]
    document = _document(done)
    print(json.dumps(document, indent=2, ensure_ascii=False) if options.json else _text(document))
    failures = [r.message for r in done.results.values() if r.outcome is Outcome.FAILED]
    for message in dict.fromkeys(failures):
        print(f"edgebuild: {message}", file=sys.stderr)
    codes = {int(result.exit_code) for result in done.results.values() if result.exit_code}
    return worst(codes)


def _sessions(options: CalibrateOptions) -> dict[str, Session]:
    """Open the manifest once per count.

    Raises:
        ManifestError: There are not that many images.
        UsageError: The manifest has no images to choose from, or nothing in it calibrates.
    """
    base = open_session(options.manifest, overrides=options.overrides, templates=options.templates)
    if not any(action.step == "calibrate" for action in base.plan.actions):
        hint = "give a target an INT8 recipe, such as: {toolchain: onnxruntime, recipe: int8}"
        raise UsageError(f"{options.manifest}: no target calibrates", hint=hint)
    dataset = base.manifest.dataset
    assert dataset is not None  # noqa: S101 - what calibrates has a dataset
    if not options.sweep:
        return {"": base}
    if dataset.calibration.sample == "list":
        hint = "give `dataset.calibration.images` as a number for that"
        raise UsageError("--sweep chooses images, and the manifest lists them", hint=hint)
    return {
        f"{count}-images": open_session(
            options.manifest,
            overrides=(*options.overrides, f"dataset.calibration.images={count}"),
            templates=options.templates,
        )
        for count in options.sweep
    }


def _perform(sessions: Mapping[str, Session], options: CalibrateOptions) -> Done:
    session = next(iter(sessions.values()))
    targets = _targets(session, options.targets) if options.sweep else ()
    wanted = ["calibrate"]
    wanted += [session.plan.baseline] if targets else []
    for name in targets:
        wanted += [session.plan.target(name).baseline, session.plan.target(name).validate]
    session.require_distributions()
    sweep = combine({label: one.plan for label, one in sessions.items()}, wanted)
    with (
        open_display(len(sweep.actions), quiet=options.json) as display,
        Workers(sweep.actions, session.folder / "worker"),
    ):
        context = session.context(display)
        context.cache.store.sweep()
        results = run_actions(sweep.actions, context, jobs=options.jobs, keep_going=True)
        note_run(context.cache.store.root, session.folder / "journal.jsonl", results.values())
    return Done(sessions=sessions, targets=targets, sweep=sweep, results=results, context=context)


def _targets(session: Session, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the targets to validate: those asked for, or all that calibrate and can be built here.

    Raises:
        UsageError: One does not exist, or does not calibrate, or none does.
        ToolchainMissingError: One that was asked for lacks its tools.
    """
    able = {target.name: target for target in session.plan.targets if _calibrates(session, target)}
    for name in asked:
        if name not in able:
            near = did_you_mean(name, tuple(able), otherwise=f"targets that do: {', '.join(able)}")
            raise UsageError(f"--target {name}: no target of that name calibrates and validates", hint=near)
    if asked:
        session.unavailable(asked)
        return tuple(dict.fromkeys(asked))
    left_out = session.unavailable(able, skip_all=True)
    for name, why in left_out.items():
        print(f"edgebuild: {name} is left out: {why}", file=sys.stderr)
    if not able.keys() - left_out.keys():
        raise UsageError(
            "no target that calibrates can be validated here", hint="`edgebuild doctor` says why"
        )
    return tuple(name for name in able if name not in left_out)


def _calibrates(session: Session, target: TargetPlan) -> bool:
    steps = {session.plan.action(name).step for name in target.actions}
    return bool(target.validate) and "calibrate" in steps


def _document(done: Done) -> dict[str, Any]:
    """Return everything as one JSON document."""
    first = next(iter(done.sessions.values()))
    label = next(iter(done.sessions))
    document: dict[str, Any] = {"schema": SCHEMA, "name": first.manifest.name}
    document["calibration"] = [_set(done, one) for one in done.sessions]
    if done.targets:
        document["baseline"] = done.document(label, first.plan.baseline, "metrics").get("metrics", [])
        document["targets"] = [
            {
                "name": name,
                "toolchain": first.plan.target(name).toolchain.name,
                "recipe": first.plan.target(name).recipe.name,
                **_own_baseline(done, label, first.plan.target(name)),
                "points": [_point(done, one, name) for one in done.sessions],
            }
            for name in done.targets
        ]
    return document


def _own_baseline(done: Done, label: str, target: TargetPlan) -> dict[str, Any]:
    """Return the figures of a target's own float model, if it has another head than the rest."""
    if target.baseline == next(iter(done.sessions.values())).plan.baseline:
        return {}
    return {"baseline": done.document(label, target.baseline, "metrics").get("metrics", [])}


def _set(done: Done, label: str) -> dict[str, Any]:
    """Return what a calibration set is made of."""
    selection = done.document(label, "calibrate", "selection")
    kept = ("settings", "available", "classes", "without_objects", "statistics")
    found: dict[str, Any] = {key: selection[key] for key in kept if key in selection}
    found["images"] = _images(done.sessions[label])
    return found | {"findings": [finding_row(one) for one in done.result(label, "calibrate").findings]}


def _images(session: Session) -> int:
    dataset = session.manifest.dataset
    assert dataset is not None  # noqa: S101 - what calibrates has a dataset
    return dataset.calibration.images


def _point(done: Done, label: str, target: str) -> dict[str, Any]:
    session = done.sessions[label]
    metrics = done.document(label, session.plan.target(target).validate, "metrics").get("metrics", [])
    return {"images": _images(session), "metrics": metrics}


def _text(document: Mapping[str, Any]) -> str:
    lines: list[str] = []
    if "targets" in document:
        for target in document["targets"]:
            lines += _sweep_lines(target, _values(target.get("baseline", document["baseline"])))
    else:
        lines += _set_lines(document["calibration"][0])
    several = len(document["calibration"]) > 1
    for one in document["calibration"]:
        where = f" ({one['images']} images)" if several else ""
        for row in one["findings"]:
            hint = f"; {row['hint']}" if row["hint"] else ""
            lines.append(f"{SYMBOLS[row['level']]} {row['id']}{where}: {row['message']}{hint}")
    return "\n".join(lines)


def _values(metrics: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {row["name"]: row["value"] for row in metrics}


def _sweep_lines(target: Mapping[str, Any], baseline: Mapping[str, float]) -> Iterator[str]:
    """Yield one target's table: a line per count, and how many images are enough."""
    names = [name for name in SHOWN if name in baseline]
    main = main_metric(baseline)
    heads = [metric_title(name) for name in names]
    width = max([11, *map(len, heads)])
    yield f"{target['name']} ({target['toolchain']} {target['recipe']})"
    yield "  ".join([f"{'images':>8}", *(f"{head:>{width}}" for head in heads), "against float"])
    yield "  ".join([f"{'float':>8}", *(f"{baseline[name]:>{width}.4f}" for name in names)])
    points = [(point["images"], _values(point["metrics"])) for point in target["points"]]
    for images, values in points:
        cells = [f"{values[name]:>{width}.4f}" if name in values else f"{'-':>{width}}" for name in names]
        gap = f"{values[main] - baseline[main]:+13.4f}" if main in values else "failed"
        yield "  ".join([f"{images:>8}", *cells, gap])
    scored = [(images, values[main]) for images, values in points if main in values]
    if len(scored) > 1:
        best = max(value for _, value in scored)
        images, _ = next(row for row in scored if row[1] >= best - ENOUGH)
        yield f"{images} images come within {ENOUGH} of the best of these in {metric_title(main)}"
    yield ""


def _set_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what one calibration set is made of."""
    if "settings" not in found:
        return
    settings = found["settings"]
    size = "x".join(map(str, settings["imgsz"]))
    how = f"{settings['sample']}, seed {settings['seed']}, {size}"
    yield f"{settings['images']} of {found['available']} images, {how}"
    width = max(len(row["name"]) for row in found["classes"])
    yield f"{'class':{width}}  {'images':>7}  {'objects':>7}"
    for row in found["classes"]:
        yield f"{row['name']:{width}}  {row['images']:>7}  {row['objects']:>7}"
    yield f"{'nothing':{width}}  {found['without_objects']:>7}"
    for name, row in found.get("statistics", {}).items():
        middle = f"mean {row['mean']:.2f}" if "mean" in row else f"median {row['median']}"
        yield f"{name}: {middle}, {row['min']:g} to {row['max']:g}"
