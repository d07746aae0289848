"""Everything a run looked at: what has to be the same for the next one to have nothing to do."""

from __future__ import annotations

import glob
import os
import sys
from typing import TYPE_CHECKING

from edgebuild.environment.patterns import variables_in
from edgebuild.idle import VARIABLES
from edgebuild.images import label_of
from edgebuild.run.session import PACKAGE, cache_root, search_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgebuild.action import ActionResult, Artifact
    from edgebuild.digest import Digest
    from edgebuild.manifest.values import Dataset
    from edgebuild.perform.context import Context
    from edgebuild.run.session import Session


def watched_files(
    session: Session,
    context: Context,
    results: Mapping[str, ActionResult],
    *,
    templates: Sequence[str],
    written: Iterable[Path],
) -> list[str]:
    """Return every file and directory whose change could give the next run something to do.

    Args:
        session: The manifest, planned.
        context: What the run shared.
        results: Result per action; all of them current.
        templates: ``--templates`` folders.
        written: Files that the run put into the workspace.
    """
    manifest = session.manifest
    found: dict[str, None] = dict.fromkeys([os.path.abspath(manifest.file)])  # noqa: PTH100
    found[str(manifest.folder / "templates")] = None
    found[str(session.folder / "journal.jsonl")] = None
    found.update(dict.fromkeys(_inputs(session)))
    if manifest.dataset is not None:
        found.update(dict.fromkeys(_dataset(manifest.dataset)))
    found.update(dict.fromkeys(_below(search_path(manifest.folder, templates))))
    found.update(dict.fromkeys(_tools(session, context.environ)))
    found.update(dict.fromkeys(_below([PACKAGE])))
    store = context.cache.store
    for result in results.values():
        if result.key is not None:
            found[str(context.cache.path(result.key))] = None
        for artifact in result.artifacts:
            found.update(dict.fromkeys(str(store.blob(digest)) for digest in _digests(artifact)))
    for path in written:
        found.update(dict.fromkeys(_below([path]) if path.is_dir() else [str(path)]))
    return list(found)


def watched_variables(session: Session, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that a run looks at, with their values; None for one that is not set."""
    declared = [name for action in session.plan.actions for name in (*action.env_pass, *action.env_locate)]
    probed = [name for target in session.plan.targets for name in target.toolchain.env_pass]
    scripts = [one for target in session.plan.targets for one in target.toolchain.environment.activate]
    named = [name for pattern in (*_version_files(session), *scripts) for name in variables_in(pattern)]
    return {name: environ.get(name) for name in dict.fromkeys([*VARIABLES, *declared, *probed, *named])}


def _inputs(session: Session) -> Iterator[str]:
    for action in session.plan.actions:
        for item in action.inputs:
            path = getattr(item, "path", None)
            if path is not None:
                yield str(path)


def _dataset(dataset: Dataset) -> Iterator[str]:
    """Yield the dataset's files and folders: a folder's own stat tells of files that come and go."""
    yield str(dataset.file)
    yield from map(str, dataset.listed)
    for split in dataset.splits.values():
        root = str(split.root)
        folders: set[str] = set()
        for name in (*split.images, *split.labels):
            yield f"{root}/{name}"
            folders.add(name.rpartition("/")[0])
        for folder in sorted(folders):
            while folder:
                yield f"{root}/{folder}"
                yield label_folder(f"{root}/{folder}")
                folder = folder.rpartition("/")[0]  # noqa: PLW2901 - walking up is the point
        yield from (root, label_folder(root))


def label_folder(images: str) -> str:
    """Return where the labels of a folder of images lie; one may come later, so an empty one counts."""
    return label_of(f"{images}/_").rpartition("/")[0]


def _tools(session: Session, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what the answers about installed tools depend on, and where a missing one could appear."""
    for probed in session.installed.probed.values():
        yield from probed.files
    for pattern in _version_files(session):
        yield from _on_the_way(os.path.expandvars(pattern))
    yield from (folder for folder in environ.get("PATH", "").split(os.pathsep) if folder)
    yield from (folder for folder in sys.path if folder)
    yield str(cache_root(environ))


def _version_files(session: Session) -> Iterator[str]:
    for target in session.plan.targets:
        for tool in target.toolchain.tools.values():
            yield from tool.version.files if tool.version else ()


def _on_the_way(pattern: str) -> Iterator[str]:
    """Yield every existing folder in which a file that matches the pattern could appear."""
    parts = pattern.split("/")
    for count in range(2, len(parts)):
        yield from glob.glob("/".join(parts[:count]))  # noqa: PTH207 - Path.glob takes no absolute pattern


def _below(folders: Iterable[Path]) -> Iterator[str]:
    for top in folders:
        for place, names, files in os.walk(top):
            names[:] = [name for name in names if name != "__pycache__"]
            yield place
            yield from (f"{place}/{name}" for name in files)


def _digests(artifact: Artifact) -> Iterator[Digest]:
    if artifact.tree:
        yield from (digest for _, digest, _ in artifact.entries)
    else:
        yield artifact.digest
