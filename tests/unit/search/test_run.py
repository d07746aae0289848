from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import edgebuild.search.run
from edgebuild.action import Outcome
from edgebuild.errors import LostError
from edgebuild.run.engine import run_actions
from tests.unit.workbench import after, shell

if TYPE_CHECKING:
    from tests.unit.workbench import Workbench


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (LostError("blocks is gone from the store"), 8, "gone from the store"),
        (PermissionError(13, "Permission denied", "x"), 8, "Permission denied"),
        (StopIteration(), 1, "internal error: StopIteration"),
        (KeyError("noise"), 1, "internal error: KeyError"),
    ],
)
def test_whatever_ends_a_search_is_a_failure_that_is_told(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(edgebuild.search.run, "_Search", fail)
    search = replace(shell("search", "true"), step="search")
    results = run_actions([search, shell("behind", "true", after(search))], bench.context())
    assert (results["search"].outcome, results["search"].exit_code) == (Outcome.FAILED, code)
    assert words in results["search"].message
    assert results["behind"].message == "it needs search, which failed"
    assert results["search"] in bench.listener.results
