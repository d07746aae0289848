"""Where the processes of a toolchain run: its own Python, an activated SDK, or the caller's environment.

:func:`surroundings` finds out before anything runs; :mod:`edgebuild.perform.attempt` applies it to each
process. An action names the environment of a toolchain and never its place, so a key holds no path of this
machine: what stands for the environment there is its identity.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.environment import store as environment_store
from edgebuild.environment.activate import Activated, activate, looked_for
from edgebuild.environment.container import Container, probe_contained
from edgebuild.environment.image import find_container
from edgebuild.environment.patterns import expand_pattern
from edgebuild.environment.probe import Probed, probe_tool
from edgebuild.process.execute import find_executable
from edgebuild.toolchain.where import toolchain_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgebuild.toolchain.environment import SystemNeed
    from edgebuild.toolchain.load import Tool, Toolchain

OWN_VARIABLES = ("PYTHONPATH", "PYTHONSAFEPATH")
"""Variables that let our own interpreter find us, and that a toolchain's must not see."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What the processes of one toolchain get.

    Attributes:
        toolchain: Its name.
        kind: ``python``, ``activated`` or ``container``.
        identity: What identifies it in keys; empty when it cannot be used.
        problem: Why it cannot be used, in one line, or empty.
        how: What was looked at, in words.
        get: What to do about the problem.
        python: The interpreter that ``python`` means there; empty: the one that runs edgebuild.
        path: Folders that come first on PATH.
        variables: Variables that are set, below those that an action sets itself.
        packages: Folders that hold its Python distributions; None: those of the interpreter's own prefix.
        files: Files and folders whose change can change this answer.
        container: What runs the processes, for a toolchain with an image.
    """

    toolchain: str
    kind: str
    identity: str = ""
    problem: str = ""
    how: tuple[str, ...] = ()
    get: str = ""
    python: str = ""
    path: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] | None = None
    files: tuple[str, ...] = ()
    container: Container | None = None

    @property
    def watchable(self) -> bool:
        """Whether the files alone tell that nothing has changed; of images and SDKs' scripts they do not."""
        return self.kind == "python"

    @property
    def probed(self) -> Probed:
        """The environment as one of the things that a target needs."""
        return Probed(
            name=f"{self.toolchain}/environment",
            found=not self.problem,
            version=self.identity,
            raw=self.identity,
            how=self.how,
            problem=self.problem,
            get=self.get,
            files=self.files,
        )

    def for_runtime(
        self,
        env: Mapping[str, str],
        *,
        passed: Mapping[str, str],
        environ: Mapping[str, str],
        scratch: Path,
        container: str,
        timeout: float | None,
    ) -> str:
        """Return what a step of ours needs to know to start a runtime file here, as JSON.

        Args:
            env: The step's environment.
            passed: What the toolchain lets through to the runtime file, and not to the step.
            environ: The caller's environment, which an engine gets.
            scratch: The step's directory.
            container: Name of the container, where there is one.
            timeout: The step's limit in seconds.
        """
        kept = {name: value for name, value in env.items() if name not in OWN_VARIABLES}
        base = self.applied({**kept, **passed})
        if self.container is None:
            return json.dumps({"python": self.python, "env": base, "holder": self._holder()})
        argv = self.container.python_argv(scratch=scratch, env=base, name=container, timeout=timeout)
        return json.dumps({"container": argv, "env": dict(environ), "holder": self._holder()})

    def _holder(self) -> str:
        """Say where a package has to be that a runtime file imports."""
        if self.kind == "activated":
            return f"it runs in {self.python}, the Python that the SDK's script activates: install it there"
        return f"the toolchain's {'image has to hold' if self.container else 'requirements have to name'} it"

    def applied(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return an environment with everything of this one on top."""
        found = {**env, **self.variables}
        if self.path:
            found["PATH"] = os.pathsep.join([*self.path, found.get("PATH", "")]).rstrip(os.pathsep)
        return found


def surroundings(toolchain: Toolchain, environ: Mapping[str, str], root: Path) -> Surroundings | None:
    """Return where a toolchain's processes run; None: in the caller's environment.

    Args:
        toolchain: The toolchain.
        environ: The caller's environment.
        root: The cache, which installed environments are in.
    """
    needs = toolchain.environment
    found: Surroundings | None
    if not needs.own:
        return None
    if needs.requirements:
        found = _python(toolchain, environ, root)
    elif needs.image:
        found = _contained(toolchain, environ, root)
    else:
        found = _activated(toolchain, environ)
    if found is None or found.problem:
        return found
    return _with_system(found, toolchain, environ)


def kind_of(toolchain: Toolchain) -> str:
    """Return in words where a toolchain's tools live."""
    needs = toolchain.environment
    if needs.requirements:
        return "own Python"
    if needs.activate:
        return "activated SDK"
    return "container" if needs.image else "as found on PATH"


def install_command(toolchain: Toolchain) -> str:
    """Return what makes a toolchain's environment, in words."""
    return f"run `edgebuild toolchain install {toolchain_words(toolchain.folder, Path.cwd())}`"


def _python(toolchain: Toolchain, environ: Mapping[str, str], root: Path) -> Surroundings:
    needs = toolchain.environment
    base = Surroundings(toolchain=toolchain.name, kind="python", get=install_command(toolchain))
    pythons = environment_store.pythons(needs.python, environ)
    if not pythons:
        problem = f"{toolchain.name} needs a Python {needs.python}, and none is on PATH"
        return _failed(base, problem, get=f"install one, then {base.get}")
    found = environment_store.find(needs, root, environ)
    if found is None:
        wanted = [str(environment_store.home(root) / needs.digest(one.version)) for one in pythons]
        problem = f"the Python environment of {toolchain.name} is not installed"
        return _failed(base, problem, how=(f"looked for {wanted[0]}",), files=tuple(wanted))
    folder = found.folder
    files = (str(folder), str(folder / environment_store.MARKER))
    bin_folder = str(folder / "bin")
    return Surroundings(
        toolchain=toolchain.name,
        kind="python",
        identity=environment_store.identity(found),
        how=(f"found its Python environment, {folder}",),
        python=str(found.executable),
        path=(bin_folder,),
        # What `bin/activate` would set; user packages of the machine's own Python stay out.
        variables={"VIRTUAL_ENV": str(folder), "PYTHONNOUSERSITE": "1"},
        packages=(str(found.packages),),
        files=(*files, str(found.packages)),
    )


def _contained(toolchain: Toolchain, environ: Mapping[str, str], root: Path) -> Surroundings:
    memo = environment_store.home(root) / "probes"
    container, problem, get = find_container(toolchain.name, toolchain.environment, environ, memo)
    base = Surroundings(toolchain=toolchain.name, kind="container", get=get)
    if container is None:
        return _failed(base, problem)
    return Surroundings(
        toolchain=toolchain.name,
        kind="container",
        identity=f"image {container.content}",
        how=(f"found the image {container.image}",),
        python="python3",
        container=container,
    )


def _activated(toolchain: Toolchain, environ: Mapping[str, str]) -> Surroundings | None:
    """Source the SDK's script; without one the caller may have done so already, so nothing is said."""
    wanted = ("PATH", "HOME", *toolchain.env_pass, *toolchain.environment.locate)
    scrubbed = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    scrubbed |= {name: environ[name] for name in wanted if name in environ}
    found = activate(toolchain.environment.activate, scrubbed)
    if not found.script:
        return None
    base = Surroundings(toolchain=toolchain.name, kind="activated", how=found.how, files=(found.script,))
    if found.problem:
        return _failed(base, found.problem, get="mend the SDK's installation")
    return _from_activated(base, found, scrubbed)


def _from_activated(base: Surroundings, found: Activated, scrubbed: Mapping[str, str]) -> Surroundings:
    variables = dict(found.variables)
    python = find_executable("python3", {**scrubbed, **variables}) or ""
    prefix = Path(python).parent.parent
    return Surroundings(
        toolchain=base.toolchain,
        kind="activated",
        identity=found.identity,
        how=found.how,
        python=python,
        variables=variables,
        packages=tuple(map(str, sorted(prefix.glob("lib/python3*/*-packages")))) if python else None,
        files=base.files,
    )


def _with_system(found: Surroundings, toolchain: Toolchain, environ: Mapping[str, str]) -> Surroundings:
    """Check what has to be there besides; the versions found are part of the identity."""
    for need in toolchain.environment.system:
        problem, version, how = _look(toolchain.name, need, found.applied(environ))
        if problem:
            text = f"{toolchain.name} needs {need.name}: {problem}"
            return _failed(found, text, how=(*found.how, *how), get=need.get, files=found.files)
        found = replace(found, identity=found.identity + (f", {need.name}: {version}" if version else ""))
    return found


def _look(toolchain: str, need: SystemNeed, environ: Mapping[str, str]) -> tuple[str, str, tuple[str, ...]]:
    """Return what is wrong with a system need, its version if it has one, and what was tried."""
    if need.tool is not None:
        probed = probe_tool(toolchain, need.tool, environ, paths=())
        return probed.problem, probed.version, probed.how
    how: list[str] = []
    if any(expand_pattern(pattern, environ, how) for pattern in need.files):
        return "", "", ()
    return f"there is no file {' or '.join(need.files)}", "", tuple(how)


def _failed(
    base: Surroundings,
    problem: str,
    *,
    how: tuple[str, ...] = (),
    get: str = "",
    files: tuple[str, ...] = (),
) -> Surroundings:
    return Surroundings(
        toolchain=base.toolchain,
        kind=base.kind,
        problem=problem,
        how=how or base.how,
        get=get or base.get,
        files=files or base.files,
    )


def probe_in(
    place: Surroundings | None, toolchain: Toolchain, tool: Tool, environ: Mapping[str, str]
) -> Probed:
    """Look for a tool where the toolchain's processes run."""
    if place is None:
        found = probe_tool(toolchain.name, tool, environ)
        scripts = () if found.found else looked_for(toolchain.environment.activate, environ)
        return replace(found, how=(*scripts, *found.how))
    if place.container is not None:
        return probe_contained(toolchain.name, tool, place.container, environ)
    return probe_tool(toolchain.name, tool, place.applied(environ), paths=place.packages)
