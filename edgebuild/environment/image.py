"""Which engine runs a toolchain's image, and what identifies the image, which has to be here already."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.digest import digest_document
from edgebuild.environment.container import SECONDS, Container
from edgebuild.process.execute import StartError, capture, find_executable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from edgebuild.toolchain.environment import Environment

ABSENT = "does not have it"
"""What is said of an engine that works and lacks the image."""

_INSPECT = "{{.Id}} {{json .RootFS.Layers}} {{json .Config.Env}}"
_INSPECTED = re.compile(r"^(?:sha256:)?([0-9a-f]{64}) (\[[^\]]+\]) (\[.*\]|null)$", re.MULTILINE)
_ABSENT = re.compile(r"no such (?:image|object)|image not known", re.IGNORECASE)


class _UnusableError(Exception):
    """Why an engine is of no use, in a few words."""


def image_variable(toolchain: str) -> str:
    """Return the variable by which a user names another image for a toolchain."""
    return f"EDGEBUILD_IMAGE_{re.sub(r'[^A-Z0-9]', '_', toolchain.upper())}"


def find_container(
    toolchain: str, needs: Environment, environ: Mapping[str, str], memo: Path
) -> tuple[Container | None, str, str]:
    """Return the container of a toolchain, or None with what is wrong and what to do about it.

    Args:
        toolchain: Its name.
        needs: What it says of its image.
        environ: The caller's environment.
        memo: Folder in which answers about images are remembered.
    """
    image = environ.get(image_variable(toolchain)) or needs.image
    names = ("podman", "docker") if needs.engine == "auto" else (needs.engine,)
    found = [str(Path(path).absolute()) for name in names if (path := find_executable(name, environ))]
    if not found:
        problem = f"{toolchain} runs in a container, and {' or '.join(names)} is not on PATH"
        return None, problem, "install one of them" if len(names) > 1 else f"install {names[0]}"
    wrong: list[str] = []
    for engine in found:
        try:
            return _container(engine, image, environ, memo), "", ""
        except _UnusableError as error:
            wrong.append(f"{Path(engine).name} {error}")
    problem = f"{toolchain} needs the image {image}, and {'; '.join(wrong)}"
    name = next((one.partition(" ")[0] for one in wrong if one.endswith(ABSENT)), "")
    if not name:
        return None, problem, f"see that `{Path(found[0]).name} info` works"
    get = f"`{name} load -i FILE` or `{name} pull {image}`; nothing is pulled during a run"
    return None, problem, get


def _container(engine: str, image: str, environ: Mapping[str, str], memo: Path) -> Container:
    kind = _kind(engine, environ)
    code, text = _asked([engine, "image", "inspect", "--format", _INSPECT, image], environ)
    match = _INSPECTED.search(text)
    if code == 0 and match:
        # Not the id: it holds when the image was built, and what it is a digest of differs between engines.
        content = digest_document({"layers": json.loads(match[2]), "env": json.loads(match[3]) or []})
        return Container(engine=engine, kind=kind, image=image, digest=match[1], content=content, memo=memo)
    if _ABSENT.search(text):
        raise _UnusableError(ABSENT)
    raise _UnusableError(f"cannot be asked for it: {_last(text)}")


def _kind(engine: str, environ: Mapping[str, str]) -> Literal["podman", "docker", "docker-rootless"]:
    """Return what an engine is: a ``docker`` may be podman by another name, or a daemon without root."""
    if Path(engine).name.startswith("podman"):
        return "podman"
    if _asked([engine, "--version"], environ)[1].lower().startswith("podman"):
        return "podman"
    if not os.getuid():
        return "docker"
    _, text = _asked([engine, "info", "--format", "{{json .SecurityOptions}}"], environ)
    return "docker-rootless" if '"name=rootless"' in text else "docker"


def _asked(argv: list[str], environ: Mapping[str, str]) -> tuple[int, str]:
    try:
        done = capture(argv, env=environ, timeout=SECONDS)
    except (StartError, TimeoutError) as error:
        raise _UnusableError(f"cannot be asked for it: {error}") from error
    return done.exit_code, done.text


def _last(text: str) -> str:
    """Return what an engine said, in one line."""
    return " ".join(text.split())[-300:]
