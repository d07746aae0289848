from __future__ import annotations

import os

import pytest

from edgebuild.machine import cpu_family, cpu_model, first_field, this_family, this_processor

XEON = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R)   Platinum 8480+
flags\t\t: fpu vme avx512f avx512_vnni amx_int8
"""
OLD = "processor : 0\nmodel name : Intel(R) Core(TM) i5-4200U CPU @ 1.60GHz\nflags : fpu avx2\n"
PI = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
BARE = "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd0c\n"


@pytest.mark.parametrize(
    ("cpuinfo", "architecture", "family"),
    [
        (XEON, "x86_64", "x86-vnni"),
        (OLD, "x86_64", "x86"),
        ("flags : avx_vnni", "x86_64", "x86-vnni"),
        ("flags : avx512_vnni_not", "x86_64", "x86"),
        ("", "x86_64", "x86"),
        (PI, "aarch64", "arm64"),
        ("", "arm64", "arm64"),
        ("", "riscv64", "x86"),
    ],
)
def test_the_family(cpuinfo: str, architecture: str, family: str) -> None:
    assert cpu_family(cpuinfo, architecture) == family


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        (XEON, "Intel(R) Xeon(R) Platinum 8480+"),
        (PI, "Raspberry Pi 5 Model B Rev 1.0"),
        (BARE, "arm 0x41/0xd0c"),
        ("", "unknown"),
    ],
)
def test_the_model(cpuinfo: str, model: str) -> None:
    assert cpu_model(cpuinfo) == model


def test_a_field_is_the_whole_name_and_the_first() -> None:
    assert first_field("model name : x\nmodel : 1\nmodel : 2", "model") == "1"
    assert first_field("flags", "flags") == ""


def test_this_machine_has_both() -> None:
    assert this_family() in {"x86", "x86-vnni", "arm64"}
    assert this_processor().endswith(f", {len(os.sched_getaffinity(0))} cores")
