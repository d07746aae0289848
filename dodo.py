"""Plain doit on the same DAG: ``doit list --all``, ``doit -n 2 'build:quickstart/cpu-int8/*'``.

Every ``manifests/*.yaml`` and ``examples/*/manifest.yaml`` below this folder takes part; name others in
``EDGEBUILD_MANIFESTS``, separated by ``:``. doit only orders the actions: what is fresh is edgebuild's own
decision, so a task that doit starts may well find that it has nothing to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.run.dodo import DOIT_CONFIG, manifest_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DOIT_CONFIG"]


def task_build() -> Iterator[dict[str, Any]]:
    """Build, judge and package every target of every manifest."""
    yield from manifest_tasks()
