from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from edgebuild.errors import StoreError
from edgebuild.run.session import writing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_workspace_that_cannot_be_written_is_named_also_where_the_system_names_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setenv("EDGEBUILD_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "build" / "fasteners"
    with pytest.raises(StoreError) as caught, writing(folder):
        raise OSError(number, os.strerror(number))
    assert caught.value.message.startswith(f"{folder}: ")
    assert "EDGEBUILD_CACHE" not in caught.value.hint
    with pytest.raises(StoreError) as caught, writing(tmp_path / "cache" / "x"):
        raise OSError(number, os.strerror(number))
    assert "EDGEBUILD_CACHE" in caught.value.hint
