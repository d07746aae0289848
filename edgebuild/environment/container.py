"""Steps in a container: podman or docker, an image that is here already, no network.

The action's directory is mounted at ``/work`` with its inputs read-only, so the relative paths of a rendered
command hold there too. The image's own digest is what identifies it; its name is not in any key.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.digest import digest_document
from edgebuild.environment.probe import Probed, judged
from edgebuild.process.execute import StartError, capture, find_executable
from edgebuild.versions import match_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgebuild.toolchain.environment import Environment
    from edgebuild.toolchain.tools import Tool

WORK = "/work"
"""Where a container sees the action's directory."""

READ_ONLY = ("in", "aux")
"""What of it a container cannot write to."""

SECONDS = 120.0
"""How long an engine may take to answer a question."""

ENGINE_FAILED = 125
"""Exit code of both engines when they themselves failed, and not what they were to run."""

_IDENTIFIER = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class EngineError(Exception):
    """An engine could not start a container, in its own words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """An image and what runs it.

    Attributes:
        engine: Path of podman or docker.
        image: As the toolchain, or the user, names it.
        digest: Of the image's content, 64 hexadecimal digits.
        memo: Folder in which answers about images are remembered: an image never changes.
    """

    engine: str
    image: str
    digest: str
    memo: Path

    @property
    def podman(self) -> bool:
        """Whether the engine is podman, which needs no daemon."""
        return Path(self.engine).name.startswith("podman")

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
        command = [*self._run(), f"--entrypoint={argv[0]}", self.digest, *argv[1:]]
        try:
            done = capture(command, env=environ, timeout=SECONDS)
        except (StartError, TimeoutError) as error:
            raise EngineError(str(error)) from error
        if done.exit_code == ENGINE_FAILED:
            raise EngineError(" ".join(done.text.split())[-300:])
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
        # Labels would keep a confined container from the bind mounts on SELinux machines.
        return [
            self.engine, "run", "--rm", "--pull=never", "--network=none", "--security-opt=label=disable",
        ]  # fmt: skip

    def _user(self) -> list[str]:
        """Return what makes files belong to whoever runs edgebuild, whatever user the image names."""
        mapped = ["--userns=keep-id"] if self.podman and os.getuid() else []
        return [*mapped, f"--user={os.getuid()}:{os.getgid()}"]


def new_name() -> str:
    """Return a name for a container that no other has."""
    return f"edgebuild-{secrets.token_hex(8)}"


def image_variable(toolchain: str) -> str:
    """Return the variable by which a user names another image for a toolchain."""
    return f"EDGEBUILD_IMAGE_{re.sub(r'[^A-Z0-9]', '_', toolchain.upper())}"


def find_container(
    toolchain: str, needs: Environment, environ: Mapping[str, str], memo: Path
) -> tuple[Container | None, str, str]:
    """Return the container of a toolchain, or None with what is wrong and what to do about it."""
    image = environ.get(image_variable(toolchain)) or needs.image
    names = ("podman", "docker") if needs.engine == "auto" else (needs.engine,)
    found = [path for path in (find_executable(name, environ) for name in names) if path]
    if not found:
        problem = f"{toolchain} runs in a container, and {' or '.join(names)} is not on PATH"
        return None, problem, "install one of them"
    said = ""
    for engine in found:
        try:
            argv = [engine, "image", "inspect", "--format", "{{.Id}}", image]
            done = capture(argv, env=environ, timeout=SECONDS)
        except (StartError, TimeoutError) as error:
            said = str(error)
            continue
        match = _IDENTIFIER.search(done.text)
        if done.exit_code == 0 and match:
            return Container(engine=engine, image=image, digest=match[1], memo=memo), "", ""
        said = " ".join(done.text.split())[-200:]
    name = Path(found[0]).name
    get = f"`{name} load -i FILE` or `{name} pull {image}`; nothing is pulled during a run"
    return None, f"{toolchain} needs the image {image}, and {name} does not have it ({said})", get


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
            problem = f"{Path(container.engine).name} cannot run the image {container.image}: {error}"
            return replace(probed, found=False, how=(str(error),), problem=problem)
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
        code, raw = container.ask(["python3", "-c", program, probe.distribution], environ)
        version = raw.strip() if code == 0 else ""
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
    return ",".join(["--mount=type=bind", f"source={source}", f"destination={place}", *options])


def _variables(env: Mapping[str, str], scratch: Path) -> Iterator[str]:
    """Yield the flags that set an environment, but for PATH, which is the image's own."""
    for key, value in env.items():
        if key != "PATH":
            yield "--env"
            yield f"{key}={_inside(value, scratch)}"


def _inside(value: str, scratch: Path) -> str:
    """Return a value with the action's directory named as the container sees it."""
    return value.replace(str(scratch), WORK)
