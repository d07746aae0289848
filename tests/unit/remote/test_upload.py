from __future__ import annotations

import threading

import pytest

from edgebuild.remote.upload import Uploads


class Work:
    """Notes what it is given, and waits where it is told to."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.started = threading.Semaphore(0)
        self.go = threading.Event()
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, item: int) -> bool:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.started.release()
        assert self.go.wait(30)
        with self._lock:
            self.at_once -= 1
            self.done.append(item)
        return True


@pytest.fixture
def work() -> Work:
    return Work()


def test_everything_offered_is_done_before_the_end(work: Work) -> None:
    work.go.set()
    uploads = Uploads(work, threads=3)
    assert all(uploads.offer(item) for item in range(50))
    uploads.close(30)
    assert sorted(work.done) == list(range(50))
    assert uploads.dropped == 0


def test_nothing_offered_costs_no_thread(work: Work) -> None:
    before = threading.active_count()
    uploads = Uploads(work)
    uploads.close(30)
    assert threading.active_count() == before


def test_no_more_at_once_than_there_are_threads(work: Work) -> None:
    uploads = Uploads(work, threads=2)
    for item in range(8):
        uploads.offer(item)
    work.started.acquire()
    work.started.acquire()
    work.go.set()
    uploads.close(30)
    assert work.most == 2
    assert sorted(work.done) == list(range(8))


def test_an_offer_returns_at_once_and_is_dropped_when_there_is_no_room(work: Work) -> None:
    uploads = Uploads(work, threads=1, room=2)
    uploads.offer(0)
    work.started.acquire()  # the only thread is busy, and stays so
    assert [uploads.offer(item) for item in (1, 2, 3, 4)] == [True, True, False, False]
    work.go.set()
    uploads.close(30)
    assert work.done == [0, 1, 2]
    assert uploads.dropped == 2


def test_the_wait_has_a_limit_and_what_is_left_counts_as_dropped(work: Work) -> None:
    uploads = Uploads(work, threads=1)
    for item in range(5):
        uploads.offer(item)
    work.started.acquire()
    uploads.close(0.05)
    assert uploads.dropped == 5  # one of them in the middle of it
    work.go.set()


def test_the_wait_ends_when_the_run_is_stopped(work: Work) -> None:
    uploads = Uploads(work, threads=1)
    uploads.offer(0)
    uploads.offer(1)
    work.started.acquire()
    uploads.close(3600, give_up=lambda: True)
    assert uploads.dropped == 2
    work.go.set()


def test_dropping_forgets_what_waits_and_takes_no_more(work: Work) -> None:
    uploads = Uploads(work, threads=1)
    for item in range(3):
        uploads.offer(item)
    work.started.acquire()
    uploads.drop()
    assert not uploads.offer(9)
    work.go.set()
    uploads.close(30)
    assert work.done == [0]
    assert uploads.dropped == 3


def test_what_was_not_done_counts_once_whether_or_not_it_was_waited_for() -> None:
    asked = threading.Event()

    def refuse(_item: int) -> bool:
        asked.set()
        return False

    uploads = Uploads(refuse, threads=1)
    uploads.offer(1)
    assert asked.wait(30)
    uploads.close(3600, give_up=lambda: True)
    uploads.close(30)
    assert uploads.dropped == 1
