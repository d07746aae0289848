"""The DAG for plain ``doit``: one doit task per action of every manifest of a project.

Targets whose toolchain is absent have no tasks here, as with ``--skip-unavailable``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.action import ActionResult, Outcome
from edgebuild.run.engine import doit_tasks
from edgebuild.run.session import Silence, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

DOIT_CONFIG: dict[str, Any] = {
    # Nothing of value is in doit's own state: edgebuild decides what is fresh.
    "backend": "json",
    "dep_file": ".edgebuild-doit.json",
    "par_type": "thread",
    "verbosity": 2,
}


class _Failures(Silence):
    """Says why an action failed: doit would only say that it did."""

    def finished(self, result: object) -> None:
        """Print the message of a failure."""
        if isinstance(result, ActionResult) and result.outcome is Outcome.FAILED:
            sys.stderr.write(f"edgebuild: {result.message}\n")


PATTERNS = ("manifest.yaml", "manifests/*.yaml", "examples/*/manifest.yaml")


def manifest_paths(folder: Path) -> list[str]:
    """Return the manifests of a project: named in ``EDGEBUILD_MANIFESTS``, else the usual places."""
    named = os.environ.get("EDGEBUILD_MANIFESTS", "")
    if named:
        return [path for path in named.split(os.pathsep) if path]
    return [os.path.relpath(path, folder) for pattern in PATTERNS for path in sorted(folder.glob(pattern))]


def manifest_tasks(folder: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yield a doit task description per action, named ``<manifest>/<action id>``.

    Raises:
        ManifestError: A manifest is wrong.
    """
    for path in manifest_paths(folder or Path.cwd()):
        session = open_session(path)
        left_out = set(session.unavailable(skip_all=True))
        actions = [a for a in session.plan.actions if set(a.targets) - left_out]
        results: dict[str, ActionResult] = {}
        prefix = session.manifest.name
        for task in doit_tasks(actions, session.context(_Failures()), results):
            task["name"] = f"{prefix}/{task['name']}"
            task["task_dep"] = [f"build:{prefix}/{name}" for name in task["task_dep"]]
            yield task
