"""Who uses a store, and when what was used: the workspaces, and the keys of their runs.

``workspaces/`` holds one file per workspace with the path of its journal. ``uses/`` holds one file per
different run: its name is the digest of its content, its date is the last time that a run used just these
keys. So a run that comes to what it came to before only sets a date, and no record is ever touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.digest import PREFIX, canonical_json, decode, digest_bytes, digest_text, encode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from edgebuild.action import ActionResult

FOLDED = "folded.json"
"""In ``uses/``: the last use of every key that only older runs used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What one or several equal runs of a workspace used.

    Attributes:
        path: Its file.
        journal: Path of the workspace's journal.
        keys: Keys of all its actions.
        at: When the last of these runs was, seconds since 1970.
    """

    path: Path
    journal: Path
    keys: frozenset[str]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Uses:
    """All that is known about uses: of the last runs in full, of older ones the time per key."""

    runs: tuple[Use, ...]
    folded: Mapping[str, float]

    def times(self) -> dict[str, float]:
        """Return, per key, when it was last used."""
        times = dict(self.folded)
        for run in self.runs:
            for key in run.keys:
                times[key] = max(times.get(key, 0.0), run.at)
        return times

    def last(self, count: int) -> tuple[Use, ...]:
        """Return the last runs of every workspace."""
        found: dict[Path, list[Use]] = {}
        for run in sorted(self.runs, key=lambda run: (-run.at, run.path)):
            found.setdefault(run.journal, []).append(run)
        return tuple(run for runs in found.values() for run in runs[:count])


def register(root: Path, journal: Path) -> None:
    """Say that a workspace uses this store; where nothing can be written, nothing can be removed either."""
    place = root / "workspaces" / _name(str(journal))
    if not place.exists():
        with contextlib.suppress(OSError):
            _write(place, str(journal))


def note_run(root: Path, journal: Path, results: Iterable[ActionResult]) -> None:
    """Note what a run used; one call per run, when it has ended.

    Args:
        root: The store.
        journal: The workspace's journal.
        results: What came of its actions.
    """
    keys = sorted(result.key for result in results if result.key and result.artifacts)
    if not keys:
        return
    register(root, journal)
    text = canonical_json({"journal": str(journal), "keys": keys})
    place = root / "uses" / _name(text)
    with contextlib.suppress(OSError):  # then these results look a little older than they are
        try:
            os.utime(place)
        except FileNotFoundError:
            _write(place, text)


def read_uses(root: Path) -> Uses:
    """Return the uses of a store; a torn file is one that never was."""
    runs = [run for path in _files(root / "uses") if (run := _read_use(path)) is not None]
    return Uses(runs=tuple(runs), folded=_read_folded(root / "uses" / FOLDED))


def fold(root: Path, uses: Uses, *, kept: Iterable[Use], keys: Collection[str]) -> None:
    """Forget all runs but some; when a record was last used is not forgotten.

    Args:
        root: The store.
        uses: What was read.
        kept: Runs to remember in full.
        keys: Of the records that are there.

    Raises:
        OSError: It cannot be written; nothing is forgotten then.
    """
    paths = {run.path for run in kept}
    older = [run for run in uses.runs if run.path not in paths]
    times = Uses(runs=tuple(older), folded=uses.folded).times()
    here = {key: at for key, at in times.items() if key in keys}
    if here != uses.folded:
        _write(root / "uses" / FOLDED, canonical_json(here))
    for run in older:
        with contextlib.suppress(FileNotFoundError):
            if run.path.stat().st_mtime == run.at:  # else a run has just come to the same again
                run.path.unlink()


def workspaces(root: Path) -> dict[Path, Path]:
    """Return, per file of a registration, the journal that it names."""
    found = {}
    for path in _files(root / "workspaces"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = decode(path.read_bytes())
            if _name(text) == path.name:
                found[path] = Path(text)
    return found


def _read_use(path: Path) -> Use | None:
    try:
        data = path.read_bytes()
        at = path.stat().st_mtime
        if digest_bytes(data) != PREFIX + path.name:
            return None
        row = json.loads(decode(data))
        return Use(path=path, journal=Path(row["journal"]), keys=frozenset(row["keys"]), at=at)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_folded(path: Path) -> dict[str, float]:
    try:
        row = json.loads(decode(path.read_bytes()))
        return {str(key): float(at) for key, at in row.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder that are no leftovers of an unfinished write."""
    with contextlib.suppress(OSError):
        return sorted(
            path for path in folder.iterdir() if not path.name.startswith(".") and path.name != FOLDED
        )
    return []


def _name(text: str) -> str:
    return digest_text(text).removeprefix(PREFIX)


def _write(place: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(encode(text))
        temporary.replace(place)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
