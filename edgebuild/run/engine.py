"""The only module that talks to doit: a plan becomes doit tasks, doit decides the order and runs them.

doit schedules and nothing else. A task never tells doit what it depends on in terms of files, and doit's
own state lives in memory for one run: whether an action is fresh is decided in
:mod:`edgebuild.perform.action`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.action import ActionResult, Outcome
from edgebuild.perform.action import perform
from edgebuild.perform.earlier import find_result, prepare
from edgebuild.process.execute import stopping
from edgebuild.search.run import STEP, perform_search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgebuild.action import Action
    from edgebuild.perform.context import Context


def run_actions(
    actions: Sequence[Action], context: Context, *, jobs: int = 1, keep_going: bool = False
) -> dict[str, ActionResult]:
    """Bring actions to their results, in an order that respects what they need.

    Args:
        actions: In plan order; everything an action needs must be among them.
        context: What the run shares.
        jobs: How many may run at once.
        keep_going: Go on with what does not depend on a failure.

    Returns:
        One result per action, in the given order; what was not started is marked skipped, with the reason.
    """
    results: dict[str, ActionResult] = {}
    rest = _look(actions, context, results)
    if rest:
        _schedule(rest, context, results, jobs=jobs, keep_going=keep_going)
    for action in actions:
        if action.id not in results:
            results[action.id] = _not_started(action, results)
            context.listener.finished(results[action.id])
    return {action.id: results[action.id] for action in actions}


def _look(actions: Sequence[Action], context: Context, results: dict[str, ActionResult]) -> list[Action]:
    """Take the results of all actions that are surely current; return the others.

    A look costs less than handing an action to another thread. Where there is any doubt or anything to say,
    the action is left to be performed.
    """
    rest: list[Action] = []
    for action in actions:
        found = None
        if all(name in results for name in action.needs) and not stopping():
            found = _current(action, {name: results[name] for name in action.needs}, context)
        if found is None:
            rest.append(action)
        else:
            results[action.id] = found
            context.listener.finished(found)
    return rest


def _current(action: Action, upstream: Mapping[str, ActionResult], context: Context) -> ActionResult | None:
    """Return the result of an action that is as it was left by the last run here, else None."""
    if action.id in context.force:
        return None
    try:
        prepared = prepare(action, upstream, context)
        if context.journal.last(action.id) != prepared.key:
            return None
        return find_result(action, prepared, context)
    except Exception:  # noqa: BLE001 - performing it meets the same, and says so
        return None


def _schedule(
    actions: list[Action], context: Context, results: dict[str, ActionResult], *, jobs: int, keep_going: bool
) -> None:
    from doit.control import TaskControl  # noqa: PLC0415 - a run with nothing to do needs no doit
    from doit.dependency import Dependency, JSONCodec, MD5Checker  # noqa: PLC0415
    from doit.runner import MThreadRunner, Runner  # noqa: PLC0415

    tasks = [_task(spec) for spec in doit_tasks(actions, context, results)]
    control = TaskControl(tasks)
    control.process(None)
    state = Dependency(_MemoryState, "", checker_cls=MD5Checker, codec_cls=JSONCodec)
    reporter = _SilentReporter()
    if jobs > 1:
        runner = MThreadRunner(state, reporter, continue_=keep_going, num_process=jobs)
    else:
        runner = Runner(state, reporter, continue_=keep_going)
    runner.run_all(control.task_dispatcher())


def doit_tasks(
    actions: Sequence[Action],
    context: Context,
    results: dict[str, ActionResult],
) -> Iterator[dict[str, Any]]:
    """Yield one doit task description per action; also what ``dodo.py`` gives to plain ``doit``.

    Args:
        actions: In plan order.
        context: What the run shares.
        results: Filled in as actions come to their results; what has one already is waited for by nobody.
    """
    for action in actions:
        yield {
            "name": action.id,
            "actions": [(_bring, [action, context, results])],
            "task_dep": [name for name in action.needs if name not in results],
            "doc": f"{action.step} for {', '.join(action.targets)}",
            "verbosity": 0,
            # Capturing would swap sys.stdout for the whole process, under every other thread's feet.
            "io": {"capture": False},
        }


def _bring(action: Action, context: Context, results: dict[str, ActionResult]) -> Any:
    """Perform one action as doit's action; tell doit in its own terms whether dependents may start."""
    from doit.exceptions import TaskFailed  # noqa: PLC0415 - a run with nothing to do needs no doit

    upstream = {name: results[name] for name in action.needs}
    bring = perform_search if action.step == STEP else perform
    results[action.id] = bring(action, upstream, context)
    if results[action.id].succeeded:
        return True
    return TaskFailed(f"{action.id} failed", report=False)


def _task(spec: dict[str, Any]) -> Any:
    from doit.task import dict_to_task  # noqa: PLC0415 - a run with nothing to do needs no doit

    return dict_to_task(spec)


def _not_started(action: Action, results: Mapping[str, ActionResult]) -> ActionResult:
    bad = next((n for n in action.needs if n in results and not results[n].succeeded), "")
    if stopping():
        why = "the run was stopped"
    elif bad:
        why = f"it needs {bad}, which {'failed' if results[bad].outcome is Outcome.FAILED else 'was skipped'}"
    else:
        why = "not started: another action failed (-k goes on with what does not depend on it)"
    return ActionResult(id=action.id, outcome=Outcome.SKIPPED, message=why)


class _MemoryState:
    """doit's state for one run, in memory: every task runs, so there is nothing to remember."""

    def __init__(self, name: str, codec: Any, module_name: str | None = None) -> None:
        del codec, module_name
        self.name = name
        self._data: dict[str, dict[str, Any]] = {}

    def dump(self) -> None:
        """Forget nothing, write nothing."""

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        """Remember a value of a task."""
        self._data.setdefault(task_id, {})[dependency] = value

    def get(self, task_id: str, dependency: str) -> Any:
        """Return a remembered value, or None."""
        return self._data.get(task_id, {}).get(dependency)

    def in_(self, task_id: str) -> bool:
        """Whether anything is remembered of a task."""
        return task_id in self._data

    def remove(self, task_id: str) -> None:
        """Forget a task."""
        self._data.pop(task_id, None)

    def remove_all(self) -> None:
        """Forget every task."""
        self._data.clear()


class _SilentReporter:
    """doit's reporter interface, saying nothing: the listener shows the run."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _say_nothing


def _say_nothing(*_: object, **__: object) -> None:
    return None
