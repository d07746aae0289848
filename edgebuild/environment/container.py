"""Steps in a container: podman or docker, an image that is here already, no network.

The action's directory is mounted at ``/work`` with its inputs read-only, so the relative paths of a rendered
command hold there too. :mod:`edgebuild.environment.image` finds the image.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgebuild.digest import digest_document
from edgebuild.environment.probe import Probed, judged
from edgebuild.process.engine import engine_failure
from edgebuild.process.execute import StartError, capture
from edgebuild.versions import match_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.toolchain.tools import Tool

WORK = "/work"
"""Where a container sees the action's directory."""

READ_ONLY = ("in", "aux")
"""What of it a container cannot write to."""

SECONDS = 120.0
"""How long an engine may take to answer a question."""

SHARED_MEMORY = "1g"
"""Limit of a container's ``/dev/shm``: engines give 64 MB, too little for what loads data in processes."""


_PYTHON = 'exec python3 -c "$0" "$@"'
"""By a shell, which says in its own words that there is no Python: the engine's are for its own failures."""


class EngineError(Exception):
    """An engine could not start a container, in its own words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """An image and what runs it.

    Attributes:
        engine: Path of podman or docker.
        kind: Which of them it is, whatever its name.
        image: As the toolchain, or the user, names it.
        digest: By which the engine knows the image, 64 hexadecimal digits.
        content: Digest of what is in it: equal for equal images, whoever built them and whatever runs them.
        memo: Folder in which answers about images are remembered: an image never changes.
    """

    engine: str
    kind: Literal["podman", "docker", "docker-rootless"]
    image: str
    digest: str
    content: str
    memo: Path

    @property
    def podman(self) -> bool:
        """Whether the engine is podman, which needs no daemon."""
        return self.kind == "podman"

    @property
    def name(self) -> str:
        """What the engine is called."""
        return Path(self.engine).name

    def argv(
        self, argv: Sequence[str], *, scratch: Path, env: Mapping[str, str], name: str, timeout: float | None
    ) -> list[str]:
        """Return the command that runs another one in a container.

        Args:
            argv: What to run there.
            scratch: The action's directory.
            env: Its environment, with paths as they are outside; PATH is the image's own.
            name: The container's name, to remove it by.
            timeout: Seconds after which the engine itself ends it, should nobody be left to do so.
        """
        mounts = [_mount(scratch)]
        mounts += [_mount(scratch, part, "readonly") for part in READ_ONLY if (scratch / part).is_dir()]
        found = [*self._begin(name, timeout), *mounts, *_variables(env, scratch)]
        return [*found, f"--entrypoint={argv[0]}", self.digest, *argv[1:]]

    def python_argv(
        self, *, scratch: Path, env: Mapping[str, str], name: str, timeout: float | None
    ) -> list[str]:
        """Return the command that starts a Python of the image, but for its arguments: for a runtime file.

        It sees the step's inputs, read-only, and its temporary directory, where the socket is through which
        it answers; it cannot write what the step leaves behind. Arguments are as for :meth:`argv`.
        """
        mounts = [_mount(scratch, "in", "readonly"), _mount(scratch, "tmp")]
        found = [*self._begin(name, timeout), *mounts, *_variables(env, scratch)]
        return [*found, "--entrypoint=python3", self.digest]

    def ask(self, argv: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str]:
        """Run a short command in a container that sees nothing of ours; return exit code and output.

        Raises:
            EngineError: No container could be started.
        """
        name = new_name()
        command = [*self._run(), f"--name={name}", f"--entrypoint={argv[0]}", self.digest, *argv[1:]]
        try:
            done = capture(command, env=environ, timeout=SECONDS)
        except StartError as error:
            raise EngineError(str(error)) from error
        except TimeoutError as error:
            self.remove(name, environ)
            raise EngineError(f"{argv[0]} in it did not end within {SECONDS:g} s") from error
        if words := engine_failure(done.exit_code, done.text):
            raise EngineError(words)
        return done.exit_code, done.text

    def remove(self, name: str, environ: Mapping[str, str]) -> None:
        """Make sure that a container is gone; an engine's own process can be killed and leave it running."""
        ignore = ["--ignore", "--time=0"] if self.podman else []
        try:
            capture([self.engine, "rm", "--force", *ignore, name], env=environ, timeout=SECONDS)
        except (StartError, TimeoutError):
            return

    def _begin(self, name: str, timeout: float | None) -> list[str]:
        limit = [f"--timeout={int(timeout) + 60}"] if timeout and self.podman else []
        return [*self._run(), f"--name={name}", f"--workdir={WORK}", *self._user(), *limit]

    def _run(self) -> list[str]:
        # Podman's warnings would be taken for what the container says. Labels would keep a confined container
        # from the bind mounts on SELinux machines; relabelling files is nothing we may do. Without a driver
        # the engine does not keep a copy of all output.
        quiet = ["--log-level=error"] if self.podman else []
        return [
            self.engine, *quiet, "run", "--rm", "--pull=never", "--network=none", "--log-driver=none",
            "--security-opt=label=disable", f"--shm-size={SHARED_MEMORY}",
        ]  # fmt: skip

    def _user(self) -> list[str]:
        """Return what makes files belong to whoever runs edgebuild, whatever user the image names."""
        if self.kind == "docker-rootless":  # whose root is the user
            return ["--user=0:0"]
        mapped = ["--userns=keep-id"] if self.podman and os.getuid() else []
        return [*mapped, f"--user={os.getuid()}:{os.getgid()}"]


def new_name() -> str:
    """Return a name for a container that no other has."""
    return f"edgebuild-{secrets.token_hex(8)}"


def probe_contained(toolchain: str, tool: Tool, container: Container, environ: Mapping[str, str]) -> Probed:
    """Look for a tool and its version inside an image; an answer is remembered."""
    question = {"image": container.digest, "tool": tool.executable, "version": _asks(tool)}
    file = container.memo / f"{digest_document(question).removeprefix('sha256:')[:32]}.json"
    probed = Probed(name=f"{toolchain}/{tool.name}", found=True, get=tool.get)
    try:
        answer: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        try:
            answer = _answer(tool, container, environ)
        except EngineError as error:
            problem = f"{container.name} cannot run the image {container.image}: {error}"
            get = f"see that `{container.name} info` works"
            return replace(probed, found=False, how=(str(error),), problem=problem, get=get)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(answer), encoding="utf-8")
    how = (f"looked in the image {container.image}",)
    if not answer["found"]:
        what = tool.executable or (tool.version.distribution if tool.version else tool.name)
        problem = f"{what} is not in the image {container.image}"
        return replace(probed, found=False, how=how, problem=problem)
    version = str(answer["version"])
    return judged(replace(probed, version=version, raw=str(answer["raw"]), how=how), tool.supported, "")


def _asks(tool: Tool) -> list[Any]:
    probe = tool.version
    return [list(probe.files), list(probe.command), probe.distribution, probe.regex] if probe else []


def _answer(tool: Tool, container: Container, environ: Mapping[str, str]) -> dict[str, Any]:
    if tool.executable:
        code, _ = container.ask(["sh", "-c", 'command -v -- "$0"', tool.executable], environ)
        if code != 0:
            return {"found": False, "version": "", "raw": ""}
    probe = tool.version
    if probe is None:
        return {"found": True, "version": "", "raw": ""}
    if probe.distribution:
        program = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
        code, raw = container.ask(["sh", "-c", _PYTHON, program, probe.distribution], environ)
        version = raw.strip().rpartition("\n")[2] if code == 0 else ""
        return {"found": bool(version or tool.executable), "version": version, "raw": version}
    if probe.command:
        _, raw = container.ask([tool.executable, *probe.command], environ)
    else:
        # The patterns hold variables and globs of the image: its shell knows them.
        _, raw = container.ask(["sh", "-c", f"cat {' '.join(probe.files)} 2>/dev/null"], environ)
    return {"found": True, "version": match_version(probe.regex, raw), "raw": raw}


def _mount(scratch: Path, part: str = "", *options: str) -> str:
    """Return the flag that shows a container the action's directory, or a part of it."""
    source, place = str(scratch / part), f"{WORK}/{part}".rstrip("/")
    fields = [f"source={source}", f"destination={place}", *options]
    # Engines read the flag as a row of CSV.
    quoted = ['"{}"'.format(one.replace('"', '""')) if {",", '"'} & set(one) else one for one in fields]
    return ",".join(["--mount=type=bind", *quoted])


def _variables(env: Mapping[str, str], scratch: Path) -> Iterator[str]:
    """Yield the flags that set an environment, but for PATH, which is the image's own."""
    for key, value in env.items():
        if key != "PATH":
            yield "--env"
            yield f"{key}={_inside(value, scratch)}"


def _inside(value: str, scratch: Path) -> str:
    """Return a value with the action's directory named as the container sees it."""
    return value.replace(str(scratch), WORK)
