"""Actions of shell commands and what a run shares, for the tests of the core."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.action import Action, ActionInput, FileInput, Output, TreeInput
from edgebuild.cache.action_cache import ActionCache
from edgebuild.cache.journal import Journal
from edgebuild.cache.store import Store
from edgebuild.memo import Memo
from edgebuild.perform.action import perform
from edgebuild.perform.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgebuild.action import ActionResult, Input

PROCESSES = multiprocessing.get_context("fork")
"""Fork: a test's own functions need not be importable."""


@dataclass
class Recorder:
    """A listener that remembers what it was told."""

    events: list[tuple[str, str]] = field(default_factory=list)
    results: list[ActionResult] = field(default_factory=list)
    on_start: Callable[[Action], None] | None = None
    on_wait: Callable[[Action], None] | None = None

    def waiting(self, action: Action, why: str) -> None:
        """Remember a wait."""
        self.events.append((f"waiting: {why}", action.id))
        if self.on_wait is not None:
            self.on_wait(action)

    def started(self, action: Action) -> None:
        """Remember a start."""
        self.events.append(("started", action.id))
        if self.on_start is not None:
            self.on_start(action)

    def progressed(self, action: Action, text: str) -> None:
        """Remember a progress line."""
        self.events.append((f"progressed {text}", action.id))

    def finished(self, result: ActionResult) -> None:
        """Remember an end."""
        self.events.append(("finished", result.id))
        self.results.append(result)

    @property
    def ran(self) -> list[str]:
        """Ids of the actions whose process was started, in order."""
        return [name for event, name in self.events if event == "started"]


@dataclass
class Workbench:
    """A workspace, a store, and a fresh context per run, as a new command line would have it."""

    folder: Path
    listener: Recorder = field(default_factory=Recorder)
    identities: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": os.environ["PATH"]})
    machine: str = "test processor, 2 cores"

    def __post_init__(self) -> None:
        self.workspace.mkdir(parents=True, exist_ok=True)

    @property
    def workspace(self) -> Path:
        """The manifest's folder would be this."""
        return self.folder / "workspace"

    @property
    def root(self) -> Path:
        """The content store."""
        return self.folder / "store"

    def context(self, *, force: tuple[str, ...] = ()) -> Context:
        """Return what a new run would share."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.listener = Recorder()
        return Context(
            cache=ActionCache(Store(self.root)),
            memo=Memo(self.workspace / "files.memo"),
            journal=Journal(self.workspace / ".edgebuild" / "journal.jsonl"),
            identities=self.identities,
            environ=self.environ,
            machine=self.machine,
            folder=self.workspace / ".edgebuild" / "demo",
            workspace=self.workspace,
            listener=self.listener,
            force=frozenset(force),
        )

    def write(self, name: str, data: str | bytes) -> Path:
        """Write a file of the user's."""
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def file(self, name: str, role: str = "source") -> FileInput:
        """Return a file of the user's as an input."""
        return FileInput(role=role, name=Path(name).name, path=self.workspace / name)

    def tree(self, name: str, role: str = "data") -> TreeInput:
        """Return a folder of the user's as an input."""
        root = self.workspace / name
        files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
        return TreeInput(role=role, root=root, files=tuple(files))

    def blobs(self) -> list[Path]:
        """Return every blob in the store."""
        return sorted(p for p in (self.root / "blobs").rglob("*") if p.is_file())

    def records(self) -> list[Path]:
        """Return every record in the action cache."""
        return sorted((self.root / "actions").rglob("*.json"))


def shell(
    action_id: str,
    script: str,
    *inputs: Input,
    out: str | tuple[Output, ...] = "out.txt",
    **fields: Any,
) -> Action:
    """Return an action that runs a shell script, which has to leave ``out/out.txt``."""
    outputs = (Output(role="out", path=out),) if isinstance(out, str) else out
    return Action(
        id=action_id,
        step=action_id.rpartition("/")[2],
        argv=("sh", "-c", script),
        inputs=inputs,
        outputs=outputs,
        targets=("demo",),
        **fields,
    )


def python(action_id: str, script: str, *inputs: Input, **fields: Any) -> Action:
    """Return an action that runs a Python script, which has to leave ``out/out.txt``."""
    action = shell(action_id, script, *inputs, **fields)
    return Action(
        **{name: getattr(action, name) for name in Action.__dataclass_fields__ if name != "argv"},
        argv=("python", "-c", script),
    )


def leaves(context: Context, action_id: str, **outputs: str) -> ActionResult:
    """Return the result of an action that leaves a file with a text for every output role."""
    files = tuple((f"{role}.txt", text) for role, text in outputs.items())
    roles = tuple(Output(role=role, path=f"{role}.txt") for role in outputs)
    return perform(shell(action_id, "cp aux/* out", out=roles, files=files), {}, context)


def after(action: Action, role: str = "source", name: str = "source.txt") -> ActionInput:
    """Return another action's only output as an input."""
    return ActionInput(role=role, action=action.id, output="out", name=name)


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Wait until something holds; return whether it came to."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    """Return whether a process runs (a dead one that nobody has waited for does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def read_pid(path: Path) -> int:
    """Return the process number that a script wrote, waiting for it."""
    assert wait_until(lambda: path.exists() and path.read_text(encoding="utf-8").strip().isdigit())
    return int(path.read_text(encoding="utf-8"))


def rows(path: Path) -> Iterator[Any]:
    """Yield the rows of a JSON lines file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
