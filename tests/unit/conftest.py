"""What the tests of the core share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.process import execute
from tests.unit.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _not_stopping() -> Iterator[None]:
    """Leave no stop behind: whether a run is being stopped is one flag per process."""
    execute._stopping.clear()
    yield
    execute._stopping.clear()
    assert not execute._live


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)
