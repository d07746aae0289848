"""What vendors' benchmark and health tools print on a device, read by a toolchain's rules. Pure.

A rule is a regular expression whose named groups are what it finds: metrics such as ``latency_ms_p50``, and
readings such as ``temperature_c``. Units are those of the tool; values come out in ours.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from edgebuild.gates import METRICS, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")

READINGS = {
    "clock_mhz": "MHz",
    "device": "",
    "firmware": "",
    "health": "",
    "latency_ms_max": "ms",
    "latency_ms_min": "ms",
    "latency_ms_p95": "ms",
    "memory_total_mb": "MB",
    "memory_used_mb": "MB",
    "power_w": "W",
    "runtime": "",
    "temperature_c": "°C",
    "throttled": "",
    "utilisation_percent": "%",
}
"""What can be read besides metrics, and its unit."""

UNIT_GROUP = "unit"
"""Name of the group that says the unit, where the tool prints it."""

FACTORS = {
    "s": 1000.0,
    "ms": 1.0,
    "us": 0.001,
    "fps": 1.0,
    "qps": 1.0,
    "C": 1.0,
    "mC": 0.001,
    "W": 1.0,
    "mW": 0.001,
    "MHz": 1.0,
    "%": 1.0,
    "B": 0.000001,
    "KiB": 0.001024,
    "MiB": 1.048576,
    "MB": 1.0,
}
"""Unit of a tool -> what makes it ms, images per second, °C, W, MHz, % or MB."""

PER_BATCH = "qps"
"""Queries per second: each is a whole batch."""

Take = Literal["first", "last", "mean"]
Kind = Literal["benchmark", "health", "estimate"]

DEVICE_KINDS: tuple[Kind, ...] = ("benchmark", "health", "estimate")


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputRule:
    """One regular expression over what a tool prints.

    Attributes:
        pattern: Its named groups are metrics or readings; ``unit`` is the unit of all others.
        unit: Unit of its numbers in :data:`FACTORS`; empty: our own, or that of the ``unit`` group.
        take: Which match counts where there are several.
        flags: Bit -> word, for a hexadecimal number whose bits mean something.
    """

    pattern: str
    unit: str = ""
    take: Take = "first"
    flags: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceTool:
    """A tool on the device, and how to read it.

    Attributes:
        name: What it is called, such as ``npu-smi``.
        kind: ``benchmark``, ``health``, or ``estimate`` for one that measures nothing.
        rules: Applied to its whole output, each by itself.
    """

    name: str
    kind: Kind
    rules: tuple[OutputRule, ...]

    @property
    def finds(self) -> tuple[str, ...]:
        """Everything that its rules can find, each name once, in order."""
        names = [name for rule in self.rules for name in re.compile(rule.pattern).groupindex]
        return tuple(dict.fromkeys(name for name in names if name != UNIT_GROUP))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One thing that a tool said: a number in our unit, or a text."""

    name: str
    value: float | str
    unit: str = ""


def is_text(name: str) -> bool:
    """Return whether a reading is a text: what several of them have in common has no mean."""
    return READINGS.get(name) == ""


def known_names() -> frozenset[str]:
    """Return every name that a group may have."""
    measured = {name for name, kind in METRICS.items() if kind.source == "benchmark"}
    return frozenset({*measured, *READINGS, UNIT_GROUP})


def read_output(tool: DeviceTool, text: str, *, batch: int = 1) -> tuple[Reading, ...]:
    """Return what a tool said, in the order of its rules; of two rules for one name the first that matches.

    Args:
        tool: The tool.
        text: Everything it printed.
        batch: Images per inference, for tools that count inferences.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    found: dict[str, Reading] = {}
    for rule in tool.rules:
        for reading in _apply(rule, plain, batch):
            found.setdefault(reading.name, reading)
    return tuple(found.values())


def metrics(tool: DeviceTool, readings: Iterable[Reading]) -> tuple[Metric, ...]:
    """Return what of some readings is a metric that gates can be set on."""
    evidence = "emulator" if tool.kind == "estimate" else "device"
    return tuple(
        Metric(name=one.name, value=one.value, unit=one.unit, evidence=evidence)
        for one in readings
        if one.name in METRICS and isinstance(one.value, float)
    )


def _apply(rule: OutputRule, text: str, batch: int) -> Iterator[Reading]:
    matches = [match.groupdict() for match in re.finditer(rule.pattern, text, re.MULTILINE)]
    if not matches:
        return
    for name in matches[0]:
        if name != UNIT_GROUP:
            several = [
                reading for match in matches if (reading := _one(rule, name, match, batch)) is not None
            ]
            if several:
                yield _taken(rule.take, several)


def _one(rule: OutputRule, name: str, match: Mapping[str, str | None], batch: int) -> Reading | None:
    text = match[name]
    if text is None:
        return None
    if rule.flags:
        bits = _number(lambda: int(text, 16))
        words = [word for bit, word in rule.flags if bits is not None and bits >> bit & 1]
        return None if bits is None else Reading(name=name, value=", ".join(words) or "no")
    unit = METRICS[name].unit if name in METRICS else READINGS[name]
    if not unit:
        return Reading(name=name, value=text.strip())
    theirs = match.get(UNIT_GROUP) or rule.unit
    number = _number(lambda: float(text))
    if number is None or not math.isfinite(number):
        return None
    value = number * FACTORS.get(theirs, 1.0) * (batch if theirs == PER_BATCH else 1)
    return Reading(name=name, value=round(value, 6), unit=unit)


def _number(read: Callable[[], T]) -> T | None:
    """Return a number, or None for what tools say in its place, such as N/A."""
    try:
        return read()
    except ValueError:
        return None


def _taken(take: Take, several: list[Reading]) -> Reading:
    if take != "mean":
        return several[0 if take == "first" else -1]
    numbers = [one.value for one in several if isinstance(one.value, float)]
    first = several[0]
    return Reading(name=first.name, value=round(sum(numbers) / len(numbers), 6), unit=first.unit)
