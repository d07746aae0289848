"""What a search leaves: its documents, and in words what it chose or why it could not. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgebuild.plan.candidates import FLOAT
from edgebuild.search.explore import SAME_SPEED, beats
from edgebuild.search.results import kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgebuild.plan.candidates import Candidate, Explored, Point, Space
    from edgebuild.search.results import Model

SCHEMA = 1


def outcome_document(  # noqa: PLR0913, PLR0917 - a search has this many sides
    found: Explored,
    space: Space,
    settings: Mapping[str, Any],
    model: Model,
    races: Mapping[tuple[str, ...], Mapping[str, Any]],
    taken: Mapping[str, Any],
    earlier: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what the search's own process writes: the search, and the choice or the failure.

    Args:
        found: What was found.
        space: What could be varied.
        settings: The search's settings file.
        model: The model's blocks.
        races: Latencies by what stays float.
        taken: Probes run and found, and seconds.
        earlier: The last search here, or None.
    """
    points = [_row(point, found, space, model, races) for point in found.points]
    chosen = next((row for row in points if row["chosen"]), None)
    search = {
        "schema": SCHEMA,
        "settings": {name: value for name, value in settings.items() if name != "schema"},
        "base": list(space.base),
        "float": found.reference,
        "default": _default(found, space),
        "points": points,
        "skipped": [{"name": name(c, space), "why": why} for c, why in found.skipped],
        "blocks": _blocks(found, space, model),
        "probes": _counts(found, space, taken, earlier),
        "said": [*said(found, space, settings), *_busy(races)],
    }
    document: dict[str, Any] = {"search": search}
    if chosen is None:
        return {**document, "failure": failure(found, space, settings), "hint": hint(found, settings)}
    choice = {
        "schema": SCHEMA,
        "keep_float": chosen["keep_float"],
        "keep": chosen["keep"],
        "name": chosen["name"],
        "method": chosen["ranges"]["method"],
        "percentile": chosen["ranges"]["percentile"],
        "images": chosen["ranges"]["images"] or settings["calibration_images"],
        "why": search["said"],
    }
    return {**document, "choice": choice}


def name(candidate: Candidate, space: Space) -> str:
    """Return a candidate in words: what stays float, and how ranges are measured if not by default."""
    if candidate == FLOAT:
        return "float"
    more = [one for one in candidate.keep if one not in space.base]
    base = "default" if candidate.keep[: len(space.base)] == space.base else " + ".join(candidate.keep)
    parts = " + ".join([base, *more]) if base == "default" else base
    return parts if candidate.ranges == space.ranges else f"{parts}, {candidate.ranges.name}"


def said(found: Explored, space: Space, settings: Mapping[str, Any]) -> list[str]:
    """Return the result in sentences."""
    default, choice = found.default, found.choice
    assert default is not None  # noqa: S101 - the caller insisted on it
    lines = []
    if choice is not None:
        lines.append(f"Chosen: {_told(choice, space, settings)}.")
    better = [point for point in found.points if beats(point, default) and point.candidate != FLOAT]
    if choice in better:
        lines.append("It is at least as good as the default on both axes.")
    elif better:
        best = max(better, key=lambda point: point.metric)
        lines.append(f"At least as good as the default on both axes: {_told(best, space, settings)}.")
    else:
        lines.append("The default is on the front: nothing measured is at least as good on both axes.")
    lines.append(f"The default itself: {_told(default, space, settings)}.")
    return lines


def _busy(races: Mapping[tuple[str, ...], Mapping[str, Any]]) -> list[str]:
    """Say when latencies had to be told by processor time."""
    count = sum(race["by"] != "clock" for race in races.values())
    text = "the machine was busy, so speeds are by processor time; search again on a quiet one to be sure"
    return [f"In {count} of {len(races)} timings {text}."] if count else []


def failure(found: Explored, space: Space, settings: Mapping[str, Any]) -> str:
    """Return why nothing was chosen, with the best that can be reached on either side."""
    asked = settings["limits"]
    points = [point for point in found.points if point.candidate != FLOAT]
    text = (
        f"none of {len(points)} variants keeps both limits, max_drop {asked['max_drop']:g} in "
        f"{settings['metric']} and max_slowdown {asked['max_slowdown']:g}"
    )
    fast = [point for point in points if point.ratio <= 1 + asked["max_slowdown"]]
    good = [point for point in points if point.drop <= asked["max_drop"]]
    if fast:
        best = min(fast, key=lambda point: (point.drop, point.ratio))
        text += f"; fast enough, the most accurate is {_told(best, space, settings)}"
    if good:
        best = min(good, key=lambda point: (point.ratio, point.drop))
        text += f"; accurate enough, the fastest is {_told(best, space, settings)}"
    return text


def hint(found: Explored, settings: Mapping[str, Any]) -> str:
    """Return what to write so that the best reachable point is chosen."""
    allowed = 1 + settings["limits"]["max_slowdown"]
    fast = [p for p in found.points if p.candidate != FLOAT and p.ratio <= allowed]
    if not fast:
        return "raise max_slowdown, or train longer"
    best = min(fast, key=lambda point: (point.drop, point.ratio))
    return f"max_drop: {math.ceil(best.drop * 10000) / 10000:g} can be reached; all probes are kept"


def _told(point: Point, space: Space, settings: Mapping[str, Any]) -> str:
    speed = point.ratio - 1
    how = (
        "as fast as"
        if abs(speed) <= SAME_SPEED
        else f"{abs(speed):.1%} {'slower' if speed > 0 else 'faster'} than"
    )
    same = point.candidate.keep == space.base
    versus = "" if same else f", {how} the default"
    drop = f"{abs(point.drop):.4f} {'below' if point.drop >= 0 else 'above'} float"
    return f"{name(point.candidate, space)} ({settings['metric']} {point.metric:.4f}, {drop}{versus})"


def _row(
    point: Point,
    found: Explored,
    space: Space,
    model: Model,
    races: Mapping[tuple[str, ...], Mapping[str, Any]],
) -> dict[str, Any]:
    candidate = point.candidate
    return {
        "name": name(candidate, space),
        "keep": list(candidate.keep),
        "keep_float": [] if candidate == FLOAT else list(kept(candidate.keep, model)),
        "ranges": asdict(candidate.ranges),
        "metric": round(point.metric, 6),
        "drop": round(point.drop, 6),
        "ratio": round(point.ratio, 5),
        "speedup": _speedup(candidate, races),
        "front": point in found.front,
        "chosen": point == found.choice,
        "default": point == found.default,
    }


def _speedup(candidate: Candidate, races: Mapping[tuple[str, ...], Mapping[str, Any]]) -> float | None:
    """Return the float model's latency over the candidate's, from one process that ran both."""
    if candidate == FLOAT:
        return 1.0
    race = races.get(candidate.keep)
    if race is None:  # the default: the race of the float model ran it
        race = races.get(FLOAT.keep)
        return round(float(race["ratio"]["float"]), 4) if race else None
    return round(float(race["ratio"]["float"]) / float(race["ratio"]["candidate"]), 4)


def _default(found: Explored, space: Space) -> dict[str, Any]:
    default = found.default
    assert default is not None  # noqa: S101 - the caller insisted on it
    better = [p for p in found.points if beats(p, default) and p.candidate != FLOAT]
    return {"on_front": default in found.front, "beaten_by": [name(p.candidate, space) for p in better]}


def _blocks(found: Explored, space: Space, model: Model) -> list[dict[str, Any]]:
    facts = {block.label: block for block in space.blocks}
    rows = []
    for block in model.blocks:
        noise = found.noise.get(block["label"])
        own = {key: block[key] for key in ("label", "kind", "share", "shape", "weights", "sketch")}
        decibels = -10 * math.log10(noise) if noise else None
        carried = not facts[block["label"]].moved
        rows.append({
            **own, "nodes": len(block["nodes"]), "noise": noise, "gain": found.gain.get(block["label"]),
            "sqnr_db": None if decibels is None else round(decibels, 2), "carried": carried,
        })  # fmt: skip
    return rows


def _counts(
    found: Explored, space: Space, taken: Mapping[str, Any], earlier: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what was measured, and what need not be thanks to an earlier search."""
    carried: Sequence[str] = [b.label for b in space.blocks if not b.moved and b.noise is not None]
    # Against the last search that started from nothing: one that was warm itself asked few questions.
    before = earlier["probes"].get("cold", 0) if earlier and space.previous else None
    asked = len(found.points) + len(found.noise) - len(carried)
    return {
        **taken,
        "asked": asked,
        "cold": asked if before is None else before,
        "scored": found.spent,
        "carried": list(carried),
        "warm": bool(space.previous),
        "saved": max(0, before - asked) if before is not None else 0,
    }
