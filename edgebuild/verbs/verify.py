"""``edgebuild verify``: a package is what it says, offline; its golden vectors still come out."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.environment.surroundings import surroundings
from edgebuild.errors import EdgebuildError, VerificationError
from edgebuild.package import Verification, verify_package
from edgebuild.process.own import capture_step
from edgebuild.protocol import RUNTIME_VARIABLE
from edgebuild.run.session import cache_root
from edgebuild.toolchain.load import load_toolchain
from edgebuild.toolchain.where import bundled

if TYPE_CHECKING:
    from edgebuild.toolchain.load import Recipe, Toolchain


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """What the user asked of ``verify``."""

    package: str
    replay: bool
    json: bool


def verify(options: VerifyOptions) -> int:
    """Check a package and replay its golden vectors where its runtime is present.

    Raises:
        VerificationError: Something in it is not what it should be.
    """
    found = verify_package(Path(options.package))
    replayed = _replay(options.package, found) if options.replay else _not_replayed("--no-replay")
    if options.json:
        print(json.dumps(_document(found, replayed), indent=2, ensure_ascii=False))
    else:
        what = f"{found.name} {found.version} for {found.target} ({found.toolchain}, {found.recipe})"
        print(f"{options.package}: {what}")
        print(f"{len(found.files)} files match their checksums; gates: {found.status}")
        why = f": {replayed['why']}" if replayed["why"] else ""
        print(f"golden vectors: {replayed['status']}{why}")
    if replayed["status"] == "differs":
        error = VerificationError(
            f"{options.package}: the artifact does not give its golden outputs: {replayed['why']}",
            hint="the runtime here differs from the one it was built with; see tools.json in the package",
        )
        if not options.json:  # whose document has said it
            raise error
        print(f"edgebuild: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _replay(package: str, found: Verification) -> dict[str, Any]:
    """Run the replay program in its own process: it needs the runtime, the command line must not."""
    with tempfile.TemporaryDirectory() as folder:
        runtime, variables, problem = _runtime(found, Path(folder))
        if problem:
            return _not_replayed(problem)
        output = Path(folder) / "replay.json"
        arguments = ["--package", str(Path(package).absolute()), "--output", str(output), *runtime]
        done = capture_step("replay", arguments, folder=Path(folder), variables=variables)
        if not output.exists():
            return _not_replayed(done.text.strip()[-500:] or f"exit code {done.exit_code}")
        said = json.loads(output.read_text(encoding="utf-8"))
    return dict(said)


def _not_replayed(why: str) -> dict[str, Any]:
    return {"status": "not replayed", "why": why}


def _runtime(found: Verification, scratch: Path) -> tuple[list[str], dict[str, str], str]:
    """Return how the artifact is run here: arguments, variables, and why it cannot be; most need neither."""
    toolchain, recipe = _maker(found)
    if toolchain is None or recipe is None or recipe.evaluate is None:
        return [], {}, ""
    if recipe.evaluate.artifact != recipe.artifact:
        return [], {}, "what was validated is a stand-in: the artifact runs on its device alone"
    file = recipe.evaluate.runtime
    runtime = ["--runtime", str(toolchain.folder / file)] if file else []
    place = surroundings(toolchain, os.environ, cache_root(os.environ)) if file else None
    if place is None:
        return runtime, {}, ""
    if place.problem or place.kind != "python":
        return [], {}, f"the artifact needs the runtime of {toolchain.name}: {place.problem or place.kind}"
    where = place.for_runtime(
        os.environ, passed={}, environ=os.environ, scratch=scratch, container="", timeout=None
    )
    return runtime, {RUNTIME_VARIABLE: where}, ""


def _maker(found: Verification) -> tuple[Toolchain | None, Recipe | None]:
    """Return the toolchain and recipe that made a package, if they come with edgebuild.

    Those of a workspace are not looked for: a package must not choose a program in the caller's folder.
    """
    try:
        toolchain = load_toolchain(found.toolchain, bundled("templates"))
    except EdgebuildError:
        return None, None
    return toolchain, toolchain.recipes.get(found.recipe)


def _document(found: Verification, replayed: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "package": {
            "name": found.name,
            "target": found.target,
            "version": found.version,
            "digest": found.digest,
        },
        "status": found.status,
        "files": [{"path": e.path, "sha256": e.sha256, "size": e.size} for e in found.files],
        "replay": replayed,
    }
