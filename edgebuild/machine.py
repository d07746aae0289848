"""This machine's processor, read from Linux's own text files: part of a benchmark's identity."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

VNNI_FLAGS = frozenset({"avx512_vnni", "avx_vnni"})
"""Flags of /proc/cpuinfo that mean 8-bit dot products in hardware; without them INT8 gains little on x86."""

UNKNOWN = "unknown"
"""Said where a machine does not tell."""


def cpu_family(cpuinfo: str, architecture: str) -> str:
    """Name the family whose figures are comparable: ``x86-vnni``, ``x86`` or ``arm64``.

    Args:
        cpuinfo: Text of /proc/cpuinfo.
        architecture: The machine's architecture as ``uname -m`` says it.
    """
    if architecture in {"aarch64", "arm64"}:
        return "arm64"
    return "x86-vnni" if VNNI_FLAGS & set(first_field(cpuinfo, "flags").split()) else "x86"


def cpu_model(cpuinfo: str) -> str:
    """Return the processor's name; on Arm boards, which give none, the board's or the core's number."""
    named = (
        first_field(cpuinfo, "model name")
        or first_field(cpuinfo, "Model")
        or first_field(cpuinfo, "Hardware")
    )
    if named:
        return " ".join(named.split())
    part = first_field(cpuinfo, "CPU part")
    return f"arm {first_field(cpuinfo, 'CPU implementer')}/{part}" if part else UNKNOWN


def first_field(text: str, name: str) -> str:
    """Return the value of the first ``name : value`` line, or an empty string."""
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""


@lru_cache(maxsize=1)
def this_family() -> str:
    """Return this machine's CPU family."""
    return cpu_family(_cpuinfo(), os.uname().machine)


@lru_cache(maxsize=1)
def this_processor() -> str:
    """Return what a measurement here depends on: the processor and how many cores may be used."""
    return f"{cpu_model(_cpuinfo())}, {len(os.sched_getaffinity(0))} cores"


@lru_cache(maxsize=1)
def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
