"""Checkouts that share nothing but a remote cache."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebuild.cache.action_cache import ActionCache
from edgebuild.cache.journal import last_keys
from edgebuild.cache.store import Store
from edgebuild.digest import Digest
from edgebuild.remote.tier import open_tier
from tests.e2e.workspace import Ran, Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from edgebuild.action import ActionKey

JOURNAL = ".edgebuild/shelf/journal.jsonl"

CHANGE = ("--set", "targets.chip.options.level=6")
"""A change that makes the compiler of the tests run, and nothing that takes long."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A remote cache as a user names it.

    Attributes:
        url: Its address.
        variables: What else is set to reach it.
        files: Folder below which the server keeps its files, where it has one.
        log: The server's log of requests, likewise.
    """

    url: str
    variables: dict[str, str]
    files: Path | None = None
    log: Path | None = None

    @property
    def public(self) -> str:
        """The address as it may be shown."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def asked(self) -> list[str]:
        """Return ``METHOD /path`` of every request so far."""
        assert self.log is not None
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line.split('"')[1].removesuffix(" HTTP/1.1") for line in lines]

    def blob(self, digest: str) -> Path:
        assert self.files is not None
        return self.files / "cas" / digest.removeprefix("sha256:")


def run(w: Workspace, remote: Remote, *words: str, mode: str = "read") -> Ran:
    """Run with a remote cache."""
    return w.run("--remote", remote.url, "--remote-mode", mode, *words, variables=remote.variables)


def said(ran: Ran, remote: Remote) -> dict[str, int]:
    """Return the counts in the line that a run says about its remote cache at its end."""
    line = next(line for line in ran.done.err.splitlines() if line.startswith(f"remote {remote.public}: "))
    counts = re.findall(r"(\d+) (hit|missed|files down|results|files up|damaged|failed|not uploaded)", line)
    return {what: int(number) for number, what in counts}


def warnings(ran: Ran) -> list[str]:
    """Return what a run warns about."""
    return [line for line in ran.done.err.splitlines() if line.startswith("edgebuild: warning: ")]


def upload_all(w: Workspace, remote: Remote) -> None:
    """Upload everything that a workspace has built, as the run that built it would have."""
    cache = ActionCache(Store(w.cache))
    tier = open_tier(cache.store, remote.variables, url=remote.url, mode="read-write")
    assert tier is not None
    for key, action in last_results(w).items():
        record = cache.peek(key)
        assert record is not None
        tier.offer(record, action)
    done = tier.close()
    assert (done.dropped, done.failures, done.warnings, done.findings) == (0, 0, (), ())
    assert done.records_up == len(last_results(w)), done


def last_results(w: Workspace) -> dict[ActionKey, str]:
    """Return the key of every last result with one of its actions: equal actions share a result."""
    return {key: action for action, key in last_keys(w.folder / JOURNAL).items()}


def checkout(original: Workspace, root: Path) -> Workspace:
    """Return another checkout of the same project, at another place, on a machine that has built nothing."""
    other = make_workspace(root)
    shutil.copy(original.folder / "weights" / "tiny.pt", other.folder / "weights" / "tiny.pt")
    return other


def delivered(w: Workspace) -> dict[str, bytes]:
    """Return what a run leaves for people, by path; the report is about the run itself."""
    return {
        path.relative_to(w.folder).as_posix(): path.read_bytes()
        for folder in ("build", "dist")
        for path in (w.folder / folder).rglob("*")
        if path.is_file() and not path.name.startswith("report")
    }


def artifacts(w: Workspace, action: str) -> dict[str, str]:
    """Return role -> digest of what an action last left."""
    key = last_keys(w.folder / JOURNAL)[action]
    record = ActionCache(Store(w.cache)).peek(key)
    assert record is not None
    return {artifact.role: artifact.digest for artifact in record.artifacts}


def has_blob(w: Workspace, digest: str) -> bool:
    """Whether the local store holds a blob."""
    return Store(w.cache).blob(Digest(digest)).exists()
