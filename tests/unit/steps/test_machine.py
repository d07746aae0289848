from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.machine import cpu_family, cpu_model
from edgebuild.steps._machine import describe_machine, governor, peak_memory_mb

if TYPE_CHECKING:
    from pathlib import Path

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model\t\t: 106
model name\t: Intel(R) Xeon(R)  Platinum 8375C CPU @ 2.90GHz
flags\t\t: fpu sse4_2 avx2 avx512f {flags}

processor\t: 1
model name\t: another
"""
RASPBERRY = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Revision\t: c04170
Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""


@pytest.mark.parametrize(
    ("flags", "family"),
    [("avx512_vnni", "x86-vnni"), ("avx_vnni", "x86-vnni"), ("", "x86"), ("avx512_vnni_like", "x86")],
)
def test_family_of_x86_follows_the_dot_product_flags(flags: str, family: str) -> None:
    assert cpu_family(X86.format(flags=flags), "x86_64") == family


def test_family_of_arm() -> None:
    assert cpu_family(RASPBERRY, "aarch64") == "arm64"


def test_model_is_the_name_of_processor_board_or_part() -> None:
    assert cpu_model(X86) == "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"
    assert cpu_model(RASPBERRY) == "Raspberry Pi 5 Model B Rev 1.0"
    assert cpu_model(RASPBERRY.partition("Revision")[0]) == "arm 0x41/0xd0b"
    assert cpu_model("") == "unknown"


def test_peak_memory_is_in_megabytes() -> None:
    assert peak_memory_mb("Name:\tpython\nVmPeak:\t  9 kB\nVmHWM:\t  500000 kB\n") == 512.0
    assert peak_memory_mb("") is None


def test_governor_is_none_where_there_is_none(tmp_path: Path) -> None:
    assert governor(tmp_path / "missing") is None
    (tmp_path / "scaling_governor").write_text("performance\n", encoding="utf-8")
    assert governor(tmp_path / "scaling_governor") == "performance"


def test_this_machine_is_described() -> None:
    machine = describe_machine()
    assert set(machine) == {"cpu", "family", "cores", "governor", "os"}
    assert machine["cores"] >= 1
