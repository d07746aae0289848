"""The process of an action: its environment, its log, further attempts, and what to say when it fails."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import sys
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild import protocol
from edgebuild.action import ActionResult, FileInput, Outcome, TreeInput
from edgebuild.cache.store import make_folder
from edgebuild.environment.container import new_name
from edgebuild.errors import (
    EdgebuildError,
    StepError,
    StepTimeoutError,
    StoreError,
    ToolchainMissingError,
)
from edgebuild.perform.collect import find, read_log, said_findings
from edgebuild.process.engine import NO_PROGRAM, engine_failure
from edgebuild.process.execute import StartError, execute
from edgebuild.process.log import log_tail
from edgebuild.process.own import own_variables
from edgebuild.process.worker import NotServedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgebuild.action import Action, Finding
    from edgebuild.environment.surroundings import Surroundings
    from edgebuild.process.values import Execution, Start
    from edgebuild.process.worker import Workers

TEMPORARY = "tmp"
"""A process's home and temporary directory, in its scratch directory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempted:
    """The attempt that succeeded.

    Attributes:
        seconds: Its wall time.
        said: Where its own output starts in the log, in bytes.
    """

    seconds: float
    said: int


def attempt(  # noqa: PLR0913 - a process has this many sides
    action: Action,
    *,
    scratch: Path,
    log: Path,
    environ: Mapping[str, str],
    lay_out: Callable[[], None],
    progress: Callable[[str], None],
    workers: Workers | None = None,
    surroundings: Surroundings | None = None,
) -> Attempted:
    """Run an action's process, again when the toolchain is known to need it.

    Args:
        action: The action.
        scratch: Its directory.
        log: Its log; started anew.
        environ: The caller's environment.
        lay_out: Makes the scratch directory what it has to be before an attempt.
        progress: Called with what one of our own steps says of how far it is.
        workers: What may serve our own steps in place of a plain process; it changes nothing but the time.
        surroundings: Where the process, or a runtime file of a step of ours, runs; None: as edgebuild does.

    Raises:
        StepError: The last attempt failed.
        ToolchainMissingError: The process cannot be started, or a package is missing.
    """
    start = partial(
        _start, scratch=scratch, log=log, environ=environ, progress=progress, surroundings=surroundings
    )
    make_folder(log.parent)
    log.write_text(f"# {action.id}\n# {shlex.join(action.argv)}\n", encoding="utf-8", errors="replace")
    for left in reversed(range(action.retries + 1)):
        lay_out()
        served = workers.starter(action) if workers else None
        if served:
            _note(log, "in a worker, which has the packages loaded")
        said = log.stat().st_size
        try:
            execution = start(action, served)
        except NotServedError as why:
            _note(log, f"not in a worker after all ({why}): a process of its own")
            lay_out()
            said = log.stat().st_size
            execution = start(action)
        ended = execution.timed_out or execution.interrupted
        if execution.exit_code == 0 and not ended:
            return Attempted(seconds=execution.seconds, said=said)
        if ended or not left:
            raise _of_engine(action, execution, log, surroundings) or failure(action, execution, log)
        _note(log, f"{_how(execution)}: trying again")
    raise AssertionError("unreachable: the last attempt returns or raises")


def _note(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8", errors="replace") as stream:
        stream.write(f"# {text}\n")


def _start(  # noqa: PLR0913 - likewise
    action: Action,
    served: Start | None = None,
    *,
    scratch: Path,
    log: Path,
    environ: Mapping[str, str],
    progress: Callable[[str], None],
    surroundings: Surroundings | None,
) -> Execution:
    def on_line(line: str) -> None:
        if line.startswith(protocol.PROGRESS_PREFIX):
            progress(line.removeprefix(protocol.PROGRESS_PREFIX))

    container = surroundings.container if surroundings is not None else None
    name = new_name() if container is not None else ""
    (scratch / TEMPORARY).mkdir(exist_ok=True)
    argv, env = command(action, scratch, environ, surroundings, container=name)
    place = scratch
    if container is not None and not action.program:
        argv = container.argv(argv, scratch=scratch, env=env, name=name, timeout=action.timeout)
        env = dict(environ)  # the engine's own; what the step gets is in its arguments
        place = Path("/")  # what works in the scratch directory is killed with it, and the engine cleans up
    try:
        return execute(
            argv,
            cwd=place,
            env=env,
            log=log,
            timeout=action.timeout,
            on_line=on_line if action.program else None,
            start=served,
        )
    except StartError as error:
        hint = "`edgebuild doctor` shows what was looked for and how to get it"
        raise ToolchainMissingError(f"{action.id}: {error}", hint=hint) from error
    finally:
        if container is not None:
            container.remove(name, environ)


def command(
    action: Action,
    scratch: Path,
    environ: Mapping[str, str],
    surroundings: Surroundings | None,
    *,
    container: str = "",
) -> tuple[list[str], dict[str, str]]:
    """Return the argv and the environment that an action's process gets.

    A vendor's step runs in the toolchain's environment. A step of ours stays in edgebuild's own and is told
    where the toolchain's runtime file has to run: in a container of that name, when it is one.
    """
    env = environment(action, scratch, environ)
    python = sys.executable
    if surroundings is not None and action.program:
        passed, limit = _passed(action, environ), action.timeout
        where = surroundings.for_runtime(
            env, passed=passed, environ=environ, scratch=scratch, container=container, timeout=limit
        )
        env |= {protocol.RUNTIME_VARIABLE: where}
    elif surroundings is not None:
        python = surroundings.python or python
        env = surroundings.applied(env) | dict(action.env)
    return [python, *action.argv[1:]] if action.argv[0] == "python" else list(action.argv), env


def environment(action: Action, scratch: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of an action's process.

    It starts from nothing: a home and a temporary directory inside the scratch directory (the caller makes
    it), fixed locale, time zone and hash seed; then what the action declares. ``PATH`` is the caller's, and
    not in the key: which tool it finds is, through the tool's identity.
    """
    temporary = scratch / TEMPORARY
    env = {
        "PATH": environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": "315532800",
        "PYTHONHASHSEED": "0",
        "NO_COLOR": "1",
    }
    if not action.program:  # what a toolchain lets through is for its runtime file, not for us
        env |= _passed(action, environ)
    else:
        env |= own_variables(temporary)
    return env | dict(action.env)


def _passed(action: Action, environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in (*action.env_locate, *action.env_pass) if name in environ}


def failure(action: Action, execution: Execution, log: Path) -> EdgebuildError:
    """Return the error for a process that did not succeed."""
    if execution.interrupted:
        return StepError(f"{action.id}: stopped; nothing of it was kept")
    if execution.timed_out:
        return StepTimeoutError(
            f"{action.id}: killed after its limit of {action.timeout:g} s",
            hint="raise `timeout:` of the target if the tool needs longer",
        )
    said = _own_words(action, log)
    if action.program and execution.exit_code == protocol.EXIT_MISSING:
        return ToolchainMissingError(f"{action.id}: {said or 'a package is missing'}")
    full = os.strerror(errno.ENOSPC)
    if full in (said or log_tail(log)):
        # The step names the file it was writing; the disk below it is what the user can do something about.
        hint = "free some space, or set EDGEBUILD_CACHE to a larger disk; finished steps are kept"
        return StoreError(f"{action.id}: {full.lower()} while it ran: {said or _how(execution)}", hint=hint)
    if said:
        return StepError(f"{action.id}: {said}")
    text = f"{action.id}: {shlex.join(action.argv[:3])} ...: {_how(execution)}"
    return StepError(text, hint=log_tail(log))


def failed(action: Action, error: EdgebuildError, log: Path | None = None, place: str = "") -> ActionResult:
    """Return the result of a failure, with what the toolchain's rules find in the log.

    Args:
        action: The action.
        error: What went wrong.
        log: The log of this very run, if its process got so far; it need not exist.
        place: The log's path as people see it.
    """
    findings: tuple[Finding, ...] = ()
    if log is not None and log.exists():
        said = read_log(log)
        findings = find(action.findings, said)
        known = [f"{finding.message}\n  {finding.hint}" for finding in findings if finding.hint]
        findings += said_findings(said) if action.program else ()
        error.hint = "\n".join(filter(None, [*known, f"log: {place}", error.hint]))
    else:
        place = ""
    return ActionResult(
        id=action.id,
        outcome=Outcome.FAILED,
        findings=findings,
        message=str(error),
        log=place,
        exit_code=error.exit_code,
    )


def crashed(action: Action, bug: Exception, log: Path, place: str) -> ActionResult:
    """Return the result of an action in which edgebuild itself failed; the traceback goes to the log."""
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8", errors="replace") as stream:
        stream.write("".join(traceback.format_exception(bug)))
    error = EdgebuildError(f"{action.id}: internal error: {type(bug).__name__}: {bug}")
    return failed(action, error, log, place)


def _of_engine(
    action: Action, execution: Execution, log: Path, surroundings: Surroundings | None
) -> EdgebuildError | None:
    """Return the error when no container could be started, which says nothing about the step."""
    container = surroundings.container if surroundings is not None else None
    if container is None or action.program:
        return None
    words = engine_failure(execution.exit_code, log_tail(log))
    if not words:
        return None
    text = f"{action.id}: {container.name} cannot run the image {container.image}: {words}"
    if execution.exit_code == NO_PROGRAM:
        return ToolchainMissingError(text, hint=f"the image has to hold {action.argv[0]}")
    return ToolchainMissingError(text, hint=f"see that `{container.name} info` works")


def _how(execution: Execution) -> str:
    if execution.exit_code >= 0:
        return f"exit code {execution.exit_code}"
    name = f"signal {-execution.exit_code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-execution.exit_code).name
    return f"killed by {name}" + (" (is there enough memory?)" if name == "SIGKILL" else "")


def _own_words(action: Action, log: Path) -> str:
    """Return the error line of one of our own steps."""
    if not action.program:
        return ""
    lines = [line for line in log_tail(log, 40).splitlines() if line.startswith(protocol.ERROR_PREFIX)]
    return _with_own_paths(action, lines[-1].removeprefix(protocol.ERROR_PREFIX)) if lines else ""


def _with_own_paths(action: Action, text: str) -> str:
    """Name the user's files as the user knows them: a step sees them below ``in/``."""
    for item in action.inputs:
        if isinstance(item, FileInput):
            text = text.replace(f"in/{item.role}/{item.name}", _shown(item.path))
        elif isinstance(item, TreeInput):
            text = text.replace(f"in/{item.role}/", f"{_shown(item.root)}/")
    return text


def _shown(path: Path) -> str:
    folder = Path.cwd()
    return os.path.relpath(path, folder) if path.is_relative_to(folder) else str(path)
