"""What a measurement has to say about the machine it was taken on, read from Linux's own text files."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

FAMILY_FLAGS = frozenset({"avx512_vnni", "avx_vnni"})
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
    return "x86-vnni" if FAMILY_FLAGS & set(_field(cpuinfo, "flags").split()) else "x86"


def cpu_model(cpuinfo: str) -> str:
    """Return the processor's name; on Arm boards, which give none, the board's or the core's number."""
    named = _field(cpuinfo, "model name") or _field(cpuinfo, "Model") or _field(cpuinfo, "Hardware")
    if named:
        return " ".join(named.split())
    part = _field(cpuinfo, "CPU part")
    return f"arm {_field(cpuinfo, 'CPU implementer')}/{part}" if part else UNKNOWN


def peak_memory_mb(status: str) -> float | None:
    """Return the resident set's high-water mark in MB (1e6 bytes) from the text of /proc/self/status."""
    words = _field(status, "VmHWM").split()
    return int(words[0]) * 1024 / 1e6 if words else None


def governor(path: str | Path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") -> str | None:
    """Return the frequency governor of the first core, or None where there is none to read."""
    return read_text(path).strip() or None


def describe_machine() -> dict[str, Any]:
    """Describe this machine: processor, family, usable cores, governor and operating system."""
    cpuinfo = read_text("/proc/cpuinfo")
    return {
        "cpu": cpu_model(cpuinfo),
        "family": cpu_family(cpuinfo, platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "governor": governor(),
        "os": _system_name(),
    }


def read_text(path: str | Path) -> str:
    """Return a file's text, or an empty string where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform(terse=True)


def _field(text: str, name: str) -> str:
    """Return the value of the first ``name : value`` line."""
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""
