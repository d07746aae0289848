from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.cache.store import Store
from edgebuild.run.elsewhere import to_look

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("EDGEBUILD_REMOTE", raising=False)
    return Store(tmp_path)


def test_without_an_address_there_is_no_remote_cache(store: Store) -> None:
    assert to_look("")(store) is None


@pytest.mark.parametrize(("url", "variable"), [("/x", ""), ("", "/x"), ("/x", "gopher://not/asked")])
def test_who_looks_never_writes(
    store: Store, monkeypatch: pytest.MonkeyPatch, url: str, variable: str
) -> None:
    monkeypatch.setenv("EDGEBUILD_REMOTE", variable)
    monkeypatch.setenv("EDGEBUILD_REMOTE_MODE", "read-write")
    tier = to_look(url)(store)
    assert tier is not None
    assert not tier.writable
