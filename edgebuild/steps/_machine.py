"""What a measurement has to say about the machine it was taken on, read from Linux's own text files."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from edgebuild.machine import cpu_family, cpu_model, first_field


def peak_memory_mb(status: str) -> float | None:
    """Return the resident set's high-water mark in MB (1e6 bytes) from the text of /proc/self/status."""
    words = first_field(status, "VmHWM").split()
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
