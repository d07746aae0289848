"""ExecuTorch without it: the command, and what the folder's program decides by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from edgebuild.toolchain.load import load_toolchain
from tests.unit.vendor_bench import SEARCH, check_golden, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_command_is_what_it_was(golden: Callable[[Path, str], None]) -> None:
    check_golden(golden, "executorch")


def test_one_output_and_several_are_the_same_to_the_program() -> None:
    tensors = program("executorch", "convert").tensors
    assert tensors("boxes") == ["boxes"]
    assert tensors(("boxes", "masks")) == ["boxes", "masks"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("delegated: 0 of 412 nodes, in 0 parts", "not-delegated"),
        ("delegated: 401 of 412 nodes, in 3 parts", None),
        (
            "executorch: the outputs have the shapes [[1, 300, 6]], those of the ONNX are [[1, 8, 2100]]",
            "executorch-outputs",
        ),
        (
            "executorch: the converted model computes something else than the PyTorch model",
            "executorch-wrong",
        ),
    ],
)
def test_lines_of_the_log_become_findings(line: str, found: str | None) -> None:
    rules = load_toolchain("executorch", SEARCH).findings
    assert [rule.id for rule in rules if re.search(rule.pattern, line)] == ([found] if found else [])
