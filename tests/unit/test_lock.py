"""Locks of files; what they are for is in tests/contract/test_store_contract.py."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from edgebuild.lock import GaveUpError, held, held_if_free
from tests.unit.workbench import PROCESSES, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def now() -> bool:
    return True


def test_one_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path / "deep" / "lock"):
        with pytest.raises(GaveUpError), held(tmp_path / "deep" / "lock", give_up=now):
            pass
        with pytest.raises(GaveUpError), held(tmp_path / "deep" / "lock", shared=True, give_up=now):
            pass
    with held(tmp_path / "deep" / "lock", give_up=now):
        pass


def test_many_who_share(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        held(path, shared=True),
        held(path, shared=True, give_up=now),
        pytest.raises(GaveUpError),
        held(path, give_up=now),
    ):
        pass


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), held(tmp_path / "lock"):
        raise RuntimeError
    with held(tmp_path / "lock", give_up=now):
        pass


def test_whoever_waits_gets_it(tmp_path: Path) -> None:
    got: list[bool] = []

    def wait() -> None:
        with held(tmp_path / "lock"):
            got.append(True)

    with held(tmp_path / "lock"):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.05)
        assert got == []
    thread.join(120)
    assert got == [True]


def test_a_name_that_was_taken_away_meanwhile_is_made_anew(tmp_path: Path) -> None:
    """The holder unlinks the file; the one who waited must not hold what nobody else can see."""
    path = tmp_path / "lock"
    inside: list[int] = []

    def wait() -> None:
        with held(path):
            inside.append(path.stat().st_ino)

    with held(path):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.05)
        path.unlink()
    thread.join(120)
    assert inside == [path.stat().st_ino]


def test_a_process_that_dies_frees_it(tmp_path: Path) -> None:
    def die() -> None:
        with held(tmp_path / "lock"):
            os._exit(0)

    process = PROCESSES.Process(target=die)
    process.start()
    process.join()
    with held(tmp_path / "lock", give_up=now):
        pass


def test_free_or_not(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(FileNotFoundError), held_if_free(path):
        pass
    with held(path), held_if_free(path) as free:
        assert not free
    with held_if_free(path) as free:
        assert free
        with pytest.raises(GaveUpError), held(path, give_up=now):
            pass
    assert wait_until(path.exists)
