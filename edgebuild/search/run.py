"""A search, start to end: its probes are performed as the actions they are, then the search itself.

The plan stays static: it holds the search as one action. What that action has to measure is known only while
it is under way, so its probes are made here, from what :mod:`edgebuild.search.explore` asks, and go through
the same door as every other action. They have keys: an interrupted search finds what it had measured, and one
for other limits finds what it shares with this one.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgebuild.action import ActionResult, Outcome
from edgebuild.digest import canonical_json
from edgebuild.errors import EdgebuildError
from edgebuild.perform.action import ended_by, perform
from edgebuild.perform.earlier import find_result, prepare
from edgebuild.plan import probes
from edgebuild.plan.candidates import FLOAT, Candidate, Latency, Metric, Noise
from edgebuild.plan.own_step import Ref
from edgebuild.process.execute import stopping
from edgebuild.search.explore import explore
from edgebuild.search.report import outcome_document
from edgebuild.search.results import Model, kept, last_search, limits, read, space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgebuild.action import Action
    from edgebuild.perform.context import Context
    from edgebuild.plan.candidates import Explored, Probe, Ranges, Space

STEP = "search"
"""Step name of a search action."""


class ProbeError(EdgebuildError):
    """A probe failed that a search cannot do without."""

    def __init__(self, result: ActionResult) -> None:
        super().__init__(result.message)
        self.result = result


def perform_search(action: Action, upstream: Mapping[str, ActionResult], context: Context) -> ActionResult:
    """Bring a search to its result: by an earlier one, or by measuring. Never raises, as ``perform``.

    Args:
        action: The search.
        upstream: Results of the actions it needs, all of them successful.
        context: What the run shares.
    """
    if stopping() or _found(action, upstream, context):
        return perform(action, upstream, context)
    context.listener.started(action)
    started = time.monotonic()
    try:
        document = _Search(action, upstream, context).run()
    except ProbeError as error:
        return _told(_failed(action, error.result), context)
    except Exception as error:  # noqa: BLE001 - a bug of ours must not look like a skipped action
        return _told(ended_by(error, action, context), context)
    late = {probes.PROBES_FILE: canonical_json(document)}
    shown = _Shown(action, context, since=started)
    return shown.timed(perform(action, upstream, replace(context, late=late, listener=shown)))


def _told(result: ActionResult, context: Context) -> ActionResult:
    context.listener.finished(result)
    return result


def _found(action: Action, upstream: Mapping[str, ActionResult], context: Context) -> bool:
    """Whether there is a result already, or no key to look for one with: perform says which."""
    if action.id in context.force:
        return False
    try:
        return find_result(action, prepare(action, upstream, context), context) is not None
    except (EdgebuildError, OSError):
        return True


def _failed(action: Action, probe: ActionResult) -> ActionResult:
    if probe.outcome is Outcome.SKIPPED:
        return ActionResult(id=action.id, outcome=Outcome.SKIPPED, message=probe.message)
    return replace(
        probe, id=action.id, outcome=Outcome.FAILED, key=None, message=f"{action.id}: {probe.message}"
    )


class _Shown:
    """A listener that knows a search under way: its probes are its progress."""

    def __init__(self, action: Action, context: Context, text: str = "", *, since: float = 0.0) -> None:
        self._action = action
        self._to = context.listener
        self._text = text
        self._since = since

    def waiting(self, action: Action, why: str) -> None:
        """Say that the search waits, whichever of its probes it is."""
        del action
        self._to.waiting(self._action, why)

    def started(self, action: Action) -> None:
        """Say that the search has come to this probe; it was itself started before."""
        if action.id != self._action.id:
            self._to.progressed(self._action, self._text)

    def progressed(self, action: Action, text: str) -> None:
        """Say nothing: how far a probe is, nobody needs to know."""

    def finished(self, result: ActionResult) -> None:
        """Tell of the search's end alone."""
        if result.id == self._action.id:
            self._to.finished(self.timed(result))

    def timed(self, result: ActionResult) -> ActionResult:
        """Return a search's result with the time of its probes in it."""
        return replace(result, seconds=time.monotonic() - self._since) if result.seconds else result


class _Search:
    """One search under way: results of its probes, and what they cost."""

    def __init__(self, action: Action, upstream: Mapping[str, ActionResult], context: Context) -> None:
        self._action = action
        self._context = context
        self._setup = probes.setup(action)
        self._results = dict(upstream)
        self._counts = {"run": 0, "found": 0}
        self._answered: dict[type[object], list[float]] = {}
        self._details: dict[tuple[str, ...], dict[str, Any]] = {}
        self._started = time.monotonic()
        self._todo = ""

    def run(self) -> dict[str, Any]:
        """Measure until the decisions are made; return the document that the search's own process reads.

        Raises:
            ProbeError: Something failed that a search cannot do without, or the run was stopped.
        """
        earlier = last_search(self._action, self._context)
        self._images = self._need(probes.slice_images(self._setup), "validation", "validation")
        document = read(self._context, self._results[self._need_blocks().action].artifact("blocks"))
        model = Model(document)
        self._model = model
        where = space(self._setup.settings, model, earlier)
        self._default = Candidate(keep=where.base, ranges=where.ranges)
        self._need(probes.ranges(self._setup, where.ranges), "ranges", "ranges.json")
        self._total = (sum(block.noise is None or block.moved for block in where.blocks),
                       limits(self._setup.settings).budget)  # fmt: skip
        found = self._explore(where)
        self._require_basis(found)
        taken = {"seconds": round(time.monotonic() - self._started, 1), **self._counts}
        made = outcome_document(found, where, self._setup.settings, model, self._details, taken, earlier)
        made["search"]["versions"] = {
            name: self._context.identities[name]
            for name in self._action.tools
            if name.startswith(("python", "distribution:"))
        }
        if found.choice is not None:
            measured = self._ranges(found.choice.candidate.ranges)
            made["ranges"] = read(self._context, self._results[measured.action].artifact("ranges"))
        return made

    def _explore(self, where: Space) -> Explored:
        """Answer until nothing more is asked."""
        asking = explore(where, limits(self._setup.settings))
        answer: float | None = None
        while True:
            try:
                probe = asking.send(answer)
            except StopIteration as end:
                found: Explored = end.value
                return found
            answer = self._answer(probe)

    def _need_blocks(self) -> Ref:
        return self._need(probes.blocks(self._setup), "blocks", "blocks.json")

    def _require_basis(self, found: Explored) -> None:
        """Insist on the two measurements that all others are compared with."""
        if found.reference is None or found.default is None:
            raise ProbeError(self._last_failure)

    def _answer(self, probe: Probe) -> float | None:
        """Measure what the search wants to know; None when it cannot be measured."""
        self._todo = self._progress(probe)
        clock = time.monotonic()
        try:
            if isinstance(probe, Noise):
                answer = self._noise(probe.block)
            elif isinstance(probe, Metric):
                answer = self._score(probe.candidate)
            else:
                answer = self._ratio(probe.keep)
        except ProbeError as error:
            if error.result.outcome is Outcome.SKIPPED:
                raise
            self._last_failure = error.result
            answer = None
        self._answered.setdefault(type(probe), []).append(time.monotonic() - clock)
        return answer

    def _noise(self, label: str) -> float:
        measured = self._ranges(self._default.ranges)
        nodes = self._model.nodes(label)
        keep = kept(self._default.keep, self._model)
        done = self._bring(probes.noise(self._setup, label, nodes, measured, keep))
        return float(read(self._context, done.artifact("noise"))["noise"])

    def _score(self, candidate: Candidate) -> float:
        artifact = self._setup.float_model if candidate == FLOAT else self._artifact(candidate)
        name = "float" if candidate == FLOAT else _name(candidate, self._default)
        done = self._bring(probes.score(self._setup, name, artifact, self._images))
        metrics = read(self._context, done.artifact("metrics"))["metrics"]
        wanted = self._setup.settings["metric"]
        return next(float(row["value"]) for row in metrics if row["name"] == wanted)

    def _ratio(self, keep: tuple[str, ...]) -> float:
        """Return a latency over the default's; how ranges were measured does not change it."""
        default = self._artifact(self._default)
        variants = {"default": default, "float": self._setup.float_model}
        if keep != FLOAT.keep:
            candidate = Candidate(keep=keep, ranges=self._default.ranges)
            variants = {"default": default, "candidate": self._artifact(candidate), **variants}
        done = self._bring(probes.race(self._setup, _parts(keep, self._default.keep), variants))
        found: dict[str, Any] = read(self._context, done.artifact("race"))
        self._details[keep] = found
        return float(found["ratio"]["float" if keep == FLOAT.keep else "candidate"])

    def _artifact(self, candidate: Candidate) -> Ref:
        measured = self._ranges(candidate.ranges)
        entries = kept(candidate.keep, self._model)
        action = probes.quantize(self._setup, _name(candidate, self._default), measured, entries)
        return self._need(action, "model", "model.onnx")

    def _ranges(self, how: Ranges) -> Ref:
        return self._need(probes.ranges(self._setup, how), "ranges", "ranges.json")

    def _need(self, action: Action, output: str, name: str) -> Ref:
        """Return an output of a probe, performed once in a search."""
        if action.id not in self._results:
            self._bring(action)
        return Ref(action=action.id, output=output, name=name)

    def _bring(self, action: Action) -> ActionResult:
        """Perform one probe.

        Raises:
            ProbeError: It failed, or the run was stopped.
        """
        forced = self._action.id in self._context.force
        context = replace(
            self._context,
            listener=_Shown(self._action, self._context, self._todo),
            force=frozenset({action.id}) if forced else frozenset[str](),
        )
        result = perform(action, {name: self._results[name] for name in action.needs}, context)
        if result.outcome in {Outcome.FAILED, Outcome.SKIPPED}:
            raise ProbeError(result)
        self._counts["run" if result.outcome is Outcome.RAN else "found"] += 1
        self._results[action.id] = result
        return result

    def _progress(self, probe: Probe) -> str:
        """Return how far the search is: probes done of about how many, and the time left."""
        done = {kind: len(times) for kind, times in self._answered.items()}
        noises, scores = self._total
        left = {
            Noise: max(0, noises - done.get(Noise, 0)),
            Metric: max(0, scores - done.get(Metric, 0)),
            Latency: max(0, (scores - done.get(Metric, 0)) * 2 // 3),
        }
        count = sum(done.values())
        spent = sum(sum(times) for times in self._answered.values())
        mean = spent / count if count else 0.0
        ahead = sum(
            number * (sum(self._answered[kind]) / done[kind] if done.get(kind) else mean)
            for kind, number in left.items()
        )
        about = f", about {_minutes(ahead)} left" if count > 2 else ""
        return f"{count}/{count + sum(left.values())} probes{about}: {_question(probe, self._default)}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _question(probe: Probe, default: Candidate) -> str:
    if isinstance(probe, Noise):
        return f"noise of {probe.block}"
    if isinstance(probe, Metric):
        return f"accuracy of {'float' if probe.candidate == FLOAT else _name(probe.candidate, default)}"
    return f"speed of {_parts(probe.keep, default.keep)}"


def _name(candidate: Candidate, default: Candidate) -> str:
    parts = _parts(candidate.keep, default.keep)
    return parts if candidate.ranges == default.ranges else f"{parts}, {candidate.ranges.name}"


def _parts(keep: Sequence[str], base: Sequence[str]) -> str:
    if tuple(keep) == FLOAT.keep:
        return "float"
    if tuple(keep) == tuple(base):
        return "default"
    return "+".join(keep)
