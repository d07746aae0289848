"""Everything a verb needs about one manifest: the plan, what is installed, and the shared context."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.cache.journal import Journal
from edgebuild.cache.leases import LeasedCache
from edgebuild.cache.store import store_error
from edgebuild.environment.lookup import Lookup
from edgebuild.errors import ManifestError, Problem, StoreError, ToolchainMissingError, UsageError
from edgebuild.identity import YOLO_EXTRA
from edgebuild.machine import this_family, this_processor
from edgebuild.manifest.load import distinct, draft_manifest
from edgebuild.memo import Memo
from edgebuild.perform.context import Context
from edgebuild.plan.finding_levels import refused_notes
from edgebuild.plan.fit import manifest_problems
from edgebuild.plan.plan import make_plan
from edgebuild.run.elsewhere import to_look
from edgebuild.run.installed import Installed, found_versions, look, needed_tools
from edgebuild.toolchain.load import Toolchain, load_toolchain
from edgebuild.toolchain.where import search_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from edgebuild.cache.store import Store
    from edgebuild.environment.probe import Probed
    from edgebuild.manifest.values import Manifest
    from edgebuild.perform.context import Listener
    from edgebuild.plan.plan import Plan
    from edgebuild.remote.tier import RemoteTier

PACKAGE = Path(__file__).resolve().parents[1]

SKIP = "`--skip-unavailable` builds the other targets and reports these as skipped"
ELSEWHERE = "`edgebuild commands` prints what to run where the tools are"
"""What to do about targets whose tools are not here: where others can be built, and where none can."""

IGNORE_ITSELF = "# Made by edgebuild: state and logs of this workspace. Safe to delete.\n*\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One manifest, planned, with what is installed here."""

    manifest: Manifest
    plan: Plan
    installed: Installed

    @property
    def folder(self) -> Path:
        """The workspace's own state: ``.edgebuild/<name>``."""
        return self.manifest.folder / ".edgebuild" / self.manifest.name

    def context(
        self,
        listener: Listener,
        *,
        force: frozenset[str] = frozenset(),
        remote: Callable[[Store], RemoteTier | None] | None = None,
        look: bool = False,
    ) -> Context:
        """Return what every action of a run shares.

        Args:
            listener: Whoever shows progress.
            force: Ids of actions to run although a result is there.
            remote: Opens the remote cache; left out: the one that the environment names, if any.
            look: Nothing is to be run, so the workspace may be one that cannot be written.

        Raises:
            StoreError: The workspace cannot be written.
        """
        with contextlib.suppress(StoreError) if look else contextlib.nullcontext(), writing(self.folder):
            prepare_workspace(self.manifest.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        cache = LeasedCache(cache_root(os.environ), self.folder / "journal.jsonl")
        tier = (remote or to_look(""))(cache.store)
        if tier is not None:
            cache.connect(tier)
        return Context(
            cache=cache,
            memo=Memo(self.manifest.folder / ".edgebuild" / "files.memo"),
            journal=Journal(self.folder / "journal.jsonl"),
            identities=self.installed.identities,
            environ=dict(os.environ),
            surroundings=self.installed.surroundings,
            machine=this_processor(),
            folder=self.folder,
            workspace=self.manifest.folder,
            listener=listener,
            force=force,
        )

    def unavailable(self, among: Iterable[str] | None = None, *, skip_all: bool = False) -> dict[str, str]:
        """Return targets that cannot be built here and may be left out -> why.

        Args:
            among: Names of the targets that matter; all when left out.
            skip_all: The user said ``--skip-unavailable``; else only ``optional`` targets may be left out.

        Raises:
            ToolchainMissingError: A target that may not be left out lacks a tool; names all of them.
        """
        missing: list[str] = []
        left_out: dict[str, str] = {}
        buildable = False
        optional = {target.name for target in self.manifest.targets if target.optional}
        names = None if among is None else set(among)
        for target in self.plan.targets:
            if names is not None and target.name not in names:
                continue
            problems = self.installed.problems(target)
            if problems and (skip_all or target.name in optional):
                left_out[target.name] = "; ".join(probed.problem for probed in problems)
            elif problems:
                missing += [_missing_text(target.name, probed) for probed in problems]
            else:
                buildable = True
        if missing:
            hint = SKIP if buildable else ELSEWHERE
            raise ToolchainMissingError("\n".join(missing), hint=hint)
        return left_out

    def require_distributions(self) -> None:
        """Check that edgebuild's own steps have the packages they need.

        Raises:
            ToolchainMissingError: Some are missing.
        """
        if self.installed.distributions:
            names = ", ".join(name.partition("|")[0] for name in self.installed.distributions)
            raise ToolchainMissingError(
                f"edgebuild's own steps need packages that are not installed: {names}",
                hint=f"install them with: {YOLO_EXTRA}",
            )


class Silence:
    """A listener that shows nothing."""

    def waiting(self, action: object, why: str) -> None:
        """Say nothing."""

    def started(self, action: object) -> None:
        """Say nothing."""

    def progressed(self, action: object, text: str) -> None:
        """Say nothing."""

    def finished(self, result: object) -> None:
        """Say nothing."""


def open_session(path: str, *, overrides: Sequence[str] = (), templates: Sequence[str] = ()) -> Session:
    """Load a manifest, plan it, and look at what is installed.

    Args:
        path: The manifest.
        overrides: ``--set`` values.
        templates: Further folders of toolchains, searched first.

    Raises:
        ManifestError: The manifest does not hold; all problems.
    """
    lookup = look_here()
    plan = open_plan(path, lookup, overrides=overrides, templates=templates)
    installed = look(plan, lookup)
    return Session(manifest=plan.manifest, plan=_noted(plan, installed), installed=installed)


def refuse_same_place(sessions: Iterable[Session]) -> None:
    """Refuse manifests that would leave their files in the same places.

    Raises:
        UsageError: Two of a folder have one name; names both.
    """
    seen: dict[Path, str] = {}
    for manifest in (session.manifest for session in sessions):
        place = manifest.folder.resolve() / manifest.name
        first = seen.setdefault(place, manifest.file)
        if not Path(first).samefile(manifest.file):
            raise UsageError(
                f"{first} and {manifest.file} are both named {manifest.name!r}: "
                f"build/{manifest.name}/ and dist/{manifest.name}/ would be of both",
                hint="give one of them another `name:`, or a folder of its own",
            )


def look_here() -> Lookup:
    """Return what looks for tools in the caller's environment."""
    return Lookup(os.environ, cache_root(os.environ))


def open_plan(
    path: str, lookup: Lookup, *, overrides: Sequence[str] = (), templates: Sequence[str] = ()
) -> Plan:
    """Load a manifest and plan it; looks only for tools whose version chooses arguments.

    Args:
        path: The manifest.
        lookup: Looks for them.
        overrides: ``--set`` values.
        templates: Further folders of toolchains, searched first.

    Raises:
        ManifestError: The manifest does not hold; all problems.
    """
    draft = draft_manifest(path, overrides=overrides)
    manifest = draft.manifest
    if manifest is None:
        raise ManifestError(list(draft.problems))
    toolchains, unknown = load_toolchains(manifest, search_path(manifest.folder, templates))
    versions = found_versions(toolchains, lookup)
    if problems := [*draft.problems, *unknown]:
        problems += manifest_problems(manifest, toolchains, versions, dataset_known=draft.dataset_known)
        raise ManifestError(distinct(problems))
    return make_plan(manifest, toolchains, cpu=this_family(), versions=versions)


def _noted(plan: Plan, installed: Installed) -> Plan:
    """Return the plan with what is to be known of the tools here among its targets' notes.

    Raises:
        ManifestError: By a target's ``findings`` it is an error.
    """
    said = {name: probed.findings for name, probed in installed.probed.items() if probed.findings}
    if not said:
        return plan
    targets = tuple(
        replace(one, notes=(*one.notes, *(note for name in needed_tools(one) for note in said.get(name, ()))))
        for one in plan.targets
    )
    problems = list(refused_notes(plan.manifest, {target.name: target.notes for target in targets}))
    if problems:
        raise ManifestError(problems)
    return replace(plan, targets=targets)


def search_path(workspace: Path, templates: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return where toolchains are looked for: ``--templates``, the project's own, the bundled ones.

    Raises:
        UsageError: A folder given on the command line does not exist.
    """
    for name in templates:
        if not Path(name).is_dir():
            raise UsageError(f"--templates {name}: there is no such folder")
    given = [Path(name).absolute() for name in templates]
    return search_folders(workspace, given)


def load_toolchains(
    manifest: Manifest, search: Sequence[Path]
) -> tuple[dict[str, Toolchain], tuple[Problem, ...]]:
    """Return every toolchain a manifest names, and those that do not exist or are wrong."""
    found: dict[str, Toolchain] = {}
    problems: list[Problem] = []
    for target in manifest.targets:
        if target.toolchain in found:
            continue
        try:
            found[target.toolchain] = load_toolchain(target.toolchain, search)
        except UsageError as error:
            path = f"targets.{target.name}.toolchain"
            problems.append(manifest.problem(path, error.message, hint=error.hint))
        except ManifestError as error:
            problems += error.problems
    return found, tuple(problems)


def cache_root(environ: Mapping[str, str]) -> Path:
    """Return the content store: ``$EDGEBUILD_CACHE``, else the user's cache directory."""
    if environ.get("EDGEBUILD_CACHE"):
        return Path(environ["EDGEBUILD_CACHE"]).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgebuild"


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say of a folder of the workspace that it cannot be written, with what to do about it.

    Raises:
        StoreError: It cannot.
    """
    try:
        yield
    except OSError as error:  # one of a full disk names no file
        raise store_error(error, folder, root=cache_root(os.environ)) from error


def prepare_workspace(folder: Path) -> None:
    """Make the workspace's state directory, which git ignores by itself."""
    state = folder / ".edgebuild"
    state.mkdir(parents=True, exist_ok=True)
    ignore = state / ".gitignore"
    if not ignore.exists():
        ignore.write_text(IGNORE_ITSELF, encoding="utf-8")


def _missing_text(target: str, probed: Probed) -> str:
    tried: Iterable[str] = (f"    {line}" for line in probed.how)
    name = "" if probed.name in probed.problem else f" ({probed.name})"
    return "\n".join([f"{target}: {probed.problem}{name}", *tried, f"    get it: {probed.get}"])
