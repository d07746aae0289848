"""Make and remove the Python environments of toolchains; the one place that lets pip fetch anything."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import sys
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgebuild.amounts import counted
from edgebuild.cache.store import remove_tree, store_error
from edgebuild.environment.store import MARKER, Installed, home, pythons, read
from edgebuild.errors import StoreError, ToolchainMissingError
from edgebuild.lock import held
from edgebuild.process.execute import StartError, capture, execute
from edgebuild.process.log import log_tail
from edgebuild.process.orphans import kill_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgebuild.environment.store import Interpreter
    from edgebuild.toolchain.environment import Environment

NOT_INHERITED = frozenset(
    {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_TARGET", "PIP_USER"}
)
"""Variables that would make pip look at, or write to, another environment."""

_STEP = re.compile(r"(Collecting|Downloading|Building|Installing|Preparing|Successfully)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is to be installed.

    Attributes:
        toolchain: Whose it is.
        environment: What it declares.
        root: The cache.
        again: Make it anew although it is there.
    """

    toolchain: str
    environment: Environment
    root: Path
    again: bool = False


def install(
    order: Order, environ: Mapping[str, str], progress: Callable[[str], None]
) -> tuple[Installed, bool]:
    """Make a toolchain's Python environment, unless it is there.

    Of two that run at once the second waits and finds it made. One that is killed leaves a folder without
    its marker, which counts as absent and is replaced by the next.

    Args:
        order: What to install.
        environ: The caller's environment: pip's own configuration decides which index is asked.
        progress: Called with a line that says how far it is.

    Returns:
        The environment, and whether it was made now.

    Raises:
        ToolchainMissingError: No suitable Python is here, or pip failed; nothing usable is left.
        StoreError: The cache cannot be written.
    """
    python = _working_python(order, environ)
    if python is None:
        raise ToolchainMissingError(
            f"{order.toolchain} needs a Python {order.environment.python}, and none is on PATH",
            hint="install one, such as python3.11 with its venv module, and run this again",
        )
    folder = home(order.root) / order.environment.digest(python.version)
    try:
        with held(folder.with_suffix(".lock")):
            found = None if order.again else read(folder)
            if found:
                return _noted(found, order.toolchain), False
            return _make(order, python, folder, environ, progress), True
    except OSError as error:
        raise store_error(error, folder) from error


def remove(found: Installed, toolchain: str) -> bool:
    """Take an environment from a toolchain; it goes when no other toolchain asked for it too.

    Returns:
        Whether it went.

    Raises:
        StoreError: It cannot be removed.
    """
    try:
        with held(found.folder.with_suffix(".lock")):
            others = tuple(name for name in found.toolchains if name != toolchain)
            if others:
                _write_marker(replace(found, toolchains=others))
                return False
            (found.folder / MARKER).unlink(missing_ok=True)
            remove_tree(found.folder)
            found.folder.with_suffix(".log").unlink(missing_ok=True)
            found.folder.with_suffix(".lock").unlink(missing_ok=True)
            return True
    except OSError as error:
        raise StoreError(f"{found.folder}: cannot be removed: {error.strerror}") from error


def _working_python(order: Order, environ: Mapping[str, str]) -> Interpreter | None:
    """Return the first Python that fits and can be started: a version manager's placeholder cannot."""
    for one in pythons(order.environment.python, environ):
        if one.executable == sys.executable:
            return one
        with contextlib.suppress(StartError, TimeoutError):
            if capture([one.executable, "-I", "-c", "import venv"], env=environ, timeout=60).exit_code == 0:
                return one
    return None


def _make(
    order: Order,
    python: Interpreter,
    folder: Path,
    environ: Mapping[str, str],
    progress: Callable[[str], None],
) -> Installed:
    started = time.monotonic()
    if folder.exists():
        kill_inside(folder)  # an install that was killed may have left pip going
        (folder / MARKER).unlink(missing_ok=True)
        remove_tree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.with_suffix(".log").write_text(f"# {order.toolchain}\n", encoding="utf-8")
    try:
        for what, argv in _calls(order.environment, python, folder):
            progress(what)
            _call(order, argv, folder, environ, progress)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_tree(folder)
        raise
    made = Installed(
        folder=folder,
        toolchains=(order.toolchain,),
        python=python.version,
        size=_size(folder),
        seconds=round(time.monotonic() - started, 1),
        installed=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )
    _write_marker(made)
    return made


def _calls(environment: Environment, python: Interpreter, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield what is done, in words and as a command; a command is made when the one before it has ended."""
    # Scripts name their interpreter by its full path, so an environment is made where it stays.
    # Our own pip serves them all, so that none needs one; where we have none, each gets its own.
    own = find_spec("pip") is not None
    bare = ["--without-pip"] if own else []
    yield f"Python {python.version}", [python.executable, "-I", "-m", "venv", *bare, str(folder)]
    target = str(folder / "bin" / "python")
    call = [sys.executable, "-I", "-m", "pip", "--python", target] if own else [target, "-I", "-m", "pip"]
    for index, group in enumerate(environment.requirements):
        file = folder / f"requirements-{index}.txt"
        file.write_text("".join(f"{line}\n" for line in group.lines), encoding="utf-8")
        pip = [*call, "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        pip += ["--no-deps"] if group.no_deps else []
        alone = ", without what they depend on" if group.no_deps else ""
        yield f"{counted(len(group.lines), 'requirement')}{alone}", [*pip, "--requirement", str(file)]


def _call(
    order: Order,
    argv: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    progress: Callable[[str], None],
) -> None:
    def on_line(line: str) -> None:
        if _STEP.match(line.strip()):
            progress(f"  {line.strip().partition(' (from ')[0][:100]}")

    log = folder.with_suffix(".log")
    env = {name: value for name, value in environ.items() if name not in NOT_INHERITED}
    try:
        done = execute(
            argv, cwd=folder if folder.is_dir() else folder.parent, env=env, log=log, on_line=on_line
        )
    except StartError as error:
        raise ToolchainMissingError(f"{order.toolchain}: {error}") from error
    if done.exit_code:
        how = "was stopped" if done.interrupted else f"failed with exit code {done.exit_code}"
        raise ToolchainMissingError(
            f"{order.toolchain}: installing its environment {how}; nothing of it was kept",
            hint=f"log: {log}\n{log_tail(log, 8)}",
        )


def _noted(found: Installed, toolchain: str) -> Installed:
    """Note that one more toolchain asked for an environment."""
    if toolchain in found.toolchains:
        return found
    found = replace(found, toolchains=tuple(sorted({*found.toolchains, toolchain})))
    _write_marker(found)
    return found


def _write_marker(made: Installed) -> None:
    document = {
        "schema": 1,
        "toolchains": list(made.toolchains),
        "python": made.python,
        "size": made.size,
        "seconds": made.seconds,
        "installed": made.installed,
    }
    temporary = made.folder / f"{MARKER}.{os.getpid()}"
    temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    temporary.replace(made.folder / MARKER)


def _size(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            total += os.lstat(f"{place}/{name}").st_size
    return total
