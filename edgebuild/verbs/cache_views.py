"""What ``edgebuild cache`` says: documents and lines from what was found, without looking at the store."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.amounts import counted, size_text, span_text
from edgebuild.cache.gc import by_step, unnamed
from edgebuild.digest import short

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from edgebuild.cache.collect import Collected
    from edgebuild.cache.leases import Live
    from edgebuild.cache.scan import Survey
    from edgebuild.cache.verify import Verified
    from edgebuild.environment.store import Installed

SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """A store, and who uses it.

    Attributes:
        root: Where it is.
        seen: What lies in it.
        roots: Keys of pins and of the last results of every workspace.
        journals: Whether each workspace's journal is there.
        pins: Their names.
        runs: Live runs.
        environments: Of toolchains; nothing but `toolchain remove` removes them.
    """

    root: Path
    seen: Survey
    roots: Collection[str]
    journals: Mapping[Path, bool]
    pins: tuple[str, ...]
    runs: tuple[Live, ...]
    environments: tuple[Installed, ...] = ()


def stats_document(found: Contents) -> dict[str, Any]:
    """Return the ``cache stats --json`` document; sizes in bytes, times in ISO 8601."""
    seen = found.seen
    loose = unnamed(seen.blobs, seen.records)
    times = [record.used for record in seen.records]
    live = [one for one in seen.scratch if one.live]
    left = [*(one for one in seen.scratch if not one.live), *seen.torn]
    return {
        "schema": SCHEMA,
        "path": str(found.root),
        "records": {
            **_amount(record.size for record in seen.records),
            "roots": sum(record.key in found.roots for record in seen.records),
            "damaged": len(seen.damaged),
        },
        "blobs": {
            **_amount(seen.blobs.values()),
            "unnamed": _amount(seen.blobs[blob] for blob in loose),
        },
        "steps": [
            {"step": step, "records": count, "bytes": size}
            for step, (count, size) in by_step(seen.records, seen.blobs).items()
        ],
        "used": {"oldest": _date(min(times)), "newest": _date(max(times))} if times else None,
        "workspaces": [{"journal": str(path), "there": there} for path, there in found.journals.items()],
        "pins": list(found.pins),
        "runs": [{"pid": run.pid, "since": _date(run.since), "journal": run.workspace} for run in found.runs],
        "quarantine": _amount(one.size for one in seen.quarantine),
        "scratch": _amount(one.size for one in live),
        "leftovers": _amount(one.size for one in left),
        "environments": [
            {"path": str(one.folder), "toolchains": list(one.toolchains), "bytes": one.size}
            for one in found.environments
        ],
        "disk": _disk(found.root),
    }


def stats_lines(found: dict[str, Any], now: float) -> list[str]:
    """Return the document of a store in words."""
    records, blobs, disk = found["records"], found["blobs"], found["disk"]
    away = sum(not row["there"] for row in found["workspaces"])
    lines = [
        f"store       {found['path']}",
        f"records     {_text(records)}, {records['roots']} of them last results or pinned"
        + (f", {records['damaged']} damaged" if records["damaged"] else ""),
        f"blobs       {_text(blobs)}"
        + (f", {_text(blobs['unnamed'])} named by no record" if blobs["unnamed"]["count"] else ""),
    ]
    if found["used"]:
        ages = {name: span_text(now - _seconds(text)) for name, text in found["used"].items()}
        lines.append(f"last use    from {ages['oldest']} to {ages['newest']} ago")
    lines.append(f"workspaces  {len(found['workspaces'])}" + (f", {away} of them gone" if away else ""))
    lines += [f"pins        {', '.join(found['pins'])}"] if found["pins"] else []
    lines += [f"live run    process {row['pid']}, {row['journal']}" for row in found["runs"]]
    for name in ("quarantine", "scratch", "leftovers"):
        lines += [f"{name:12}{_text(found[name])}"] if found[name]["count"] else []
    for one in found["environments"]:
        lines.append(f"environment {', '.join(one['toolchains'])}, {size_text(one['bytes'])}")
    lines.append(f"disk        {size_text(disk['free'])} free of {size_text(disk['total'])}")
    if found["steps"]:
        width = max(len(row["step"]) for row in found["steps"])
        lines += ["", f"{'step':{width}}  records  blobs they name"]
        lines += [
            f"{r['step']:{width}}  {r['records']:7}  {size_text(r['bytes']):>10}" for r in found["steps"]
        ]
    return lines


def collected_document(root: Path, found: Collected, *, dry_run: bool) -> dict[str, Any]:
    """Return the ``cache gc --json`` document; ``chosen`` is what was chosen, the rest what went."""
    return {
        "schema": SCHEMA,
        "path": str(root),
        "dry_run": dry_run,
        "chosen": [
            {
                "key": one.record.key,
                "step": one.record.step,
                "used": _date(one.record.used),
                "reason": one.reason,
                "bytes": one.freed,
            }
            for one in found.choice.doomed
        ],
        "records": found.records,
        "blobs": _amount(found.blobs.values()),
        "garbage": _amount(one.size for one in found.garbage),
        "damaged": found.damaged,
        "freed": found.freed,
        "held": found.held,
        "waiting": found.waiting,
        "workspaces_gone": [str(path) for path in found.workspaces],
        "left": found.left,
        "reached": found.choice.reached,
    }


def collected_lines(found: Collected, *, dry_run: bool, now: float) -> list[str]:
    """Return what went, or would go, in words."""
    lines = []
    if dry_run:
        lines += [
            f"record   {short(one.record.key)}  {one.record.step:12} {size_text(one.freed):>10}"
            f"  last used {span_text(now - one.record.used)} ago  ({one.reason})"
            for one in found.choice.doomed
        ]
        lines += [f"file     {one.path} {size_text(one.size)}" for one in found.garbage]
    lines += [f"workspace gone: {path}" for path in found.workspaces]
    if found.waiting:
        lines.append("a run that could not say what it uses is live: no record and no blob is removed")
    lines.append(f"{'would remove' if dry_run else 'removed'} {what_goes(found)}")
    if found.held:
        lines.append(f"{counted(found.held, 'file')} of these stay, for a run has begun to use them")
    lines.append(f"{size_text(found.left)} of results stay")
    if not found.choice.reached:
        lines.append("that is more than --max-size: pins, last results and live runs hold them")
    return lines


def what_goes(found: Collected) -> str:
    """Return how much went, or would go, in words."""
    numbers = {"record": found.records, "blob": len(found.blobs), "other file": len(found.garbage)}
    words = ", ".join(counted(number, word) for word, number in numbers.items() if number)
    return f"{words}: {size_text(found.freed)}" if words else "nothing"


def verified_document(root: Path, found: Verified, repaired: int) -> dict[str, Any]:
    """Return the ``cache verify --json`` document."""
    return {
        "schema": SCHEMA,
        "path": str(root),
        "records": found.records,
        "blobs": {"count": found.blobs, "bytes": found.size},
        "bad": [
            {"kind": one.kind, "name": one.name, "path": str(one.path), "what": one.what} for one in found.bad
        ],
        "elsewhere": found.elsewhere,
        "repaired": repaired,
    }


def verified_lines(found: Verified) -> list[str]:
    """Return what a check came to in words."""
    lines = [f"{one.kind:10} {one.path}: {one.what}" for one in found.bad]
    blobs = f"{counted(found.blobs, 'blob')} ({size_text(found.size)})"
    total = f"{counted(found.records, 'record')}, {blobs}"
    lines += [f"{total}: {len(found.bad)} bad" if found.bad else f"{total}: all sound"]
    if found.elsewhere:
        lines.append(f"{counted(found.elsewhere, 'record')} with bytes in a remote cache only")
    return lines


def _amount(sizes: Iterable[int]) -> dict[str, int]:
    everything = list(sizes)
    return {"count": len(everything), "bytes": sum(everything)}


def _text(amount: dict[str, Any]) -> str:
    return f"{amount['count']} ({size_text(amount['bytes'])})"


def _date(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def _disk(root: Path) -> dict[str, int]:
    place = next(path for path in (root, *root.parents) if path.exists())
    usage = shutil.disk_usage(place)
    return {"free": usage.free, "total": usage.total}
