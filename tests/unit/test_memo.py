from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from edgebuild.digest import digest_bytes, digest_file
from edgebuild.memo import Memo
from tests.unit.workbench import PROCESSES, rows


class Reads:
    """Counts how often a file's content is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        real = digest_file

        def counted(path: Any) -> Any:
            self.paths.append(str(path))
            return real(path)

        monkeypatch.setattr("edgebuild.memo.digest_file", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every file look old enough to be remembered, without waiting."""
    real = time.time_ns
    monkeypatch.setattr("edgebuild.memo.time.time_ns", lambda: real() + 10_000_000_000)


def write(path: Path, data: bytes = b"data") -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.usefixtures("later")
def test_an_unchanged_file_is_read_once(tmp_path: Path, reads: Reads) -> None:
    name = write(tmp_path / "file")
    memo = Memo(tmp_path / "memo")
    assert memo.digest(name) == memo.digest(name) == digest_bytes(b"data")
    assert reads.paths == [name]


@pytest.mark.usefixtures("later")
def test_another_memo_remembers_too(tmp_path: Path, reads: Reads) -> None:
    name = write(tmp_path / "file")
    Memo(tmp_path / "memo").digest(name)
    assert Memo(tmp_path / "memo").digest(name) == digest_bytes(b"data")
    assert reads.paths == [name]


@pytest.mark.usefixtures("later")
def test_equal_size_and_restored_mtime_do_not_deceive(tmp_path: Path) -> None:
    name = write(tmp_path / "file", b"aaaa")
    memo = Memo(tmp_path / "memo")
    memo.digest(name)
    before = Path(name).stat()
    write(tmp_path / "file", b"bbbb")
    os.utime(name, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert memo.digest(name) == digest_bytes(b"bbbb")


@pytest.mark.usefixtures("later")
def test_a_file_put_in_its_place_is_read(tmp_path: Path) -> None:
    name = write(tmp_path / "file", b"aaaa")
    memo = Memo(tmp_path / "memo")
    memo.digest(name)
    write(tmp_path / "other", b"bbbb")
    os.utime(tmp_path / "other", ns=(0, Path(name).stat().st_mtime_ns))
    (tmp_path / "other").rename(name)
    assert memo.digest(name) == digest_bytes(b"bbbb")


def test_a_young_file_is_read_again_each_time(tmp_path: Path, reads: Reads) -> None:
    memo = Memo(tmp_path / "memo")
    for data in (b"aaaa", b"bbbb", b"cccc"):
        name = write(tmp_path / "file", data)
        assert memo.digest(name) == digest_bytes(data)
    assert len(reads.paths) == 3
    assert not (tmp_path / "memo").exists()


def test_equal_stamps_within_one_tick_do_not_deceive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes in one tick of the filesystem's clock leave one stat; hashing may take long meanwhile."""
    name = write(tmp_path / "file", b"aaaa")
    frozen = Path(name).stat()
    clock = frozen.st_ctime_ns + 1_000_000
    monkeypatch.setattr("edgebuild.memo.time.time_ns", lambda: clock)
    monkeypatch.setattr(
        "edgebuild.memo.os.stat", lambda path: frozen if str(path) == name else os.lstat(path)
    )
    memo = Memo(tmp_path / "memo")
    assert memo.digest(name) == digest_bytes(b"aaaa")
    clock += 60_000_000_000
    write(tmp_path / "file", b"bbbb")
    assert memo.digest(name) == digest_bytes(b"bbbb")


def test_the_age_of_a_file_is_its_age_when_it_was_first_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write in the tick of the first look, while a large file is still being read, must not be hidden."""
    name = write(tmp_path / "file", b"aaaa")
    clock = Path(name).stat().st_ctime_ns + 1_000_000
    monkeypatch.setattr("edgebuild.memo.time.time_ns", lambda: clock)
    real = digest_file

    def slow(path: Any) -> Any:
        nonlocal clock
        clock += 5_000_000_000
        return real(path)

    monkeypatch.setattr("edgebuild.memo.digest_file", slow)
    Memo(tmp_path / "memo").digest(name)
    assert not (tmp_path / "memo").exists()


def test_a_file_from_the_future_is_never_trusted(tmp_path: Path, reads: Reads) -> None:
    name = write(tmp_path / "file")
    os.utime(name, (time.time() + 3600, time.time() + 3600))
    memo = Memo(tmp_path / "memo")
    memo.digest(name)
    memo.digest(name)
    assert len(reads.paths) == 2


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    "strange",
    [
        b"5",
        b"null",
        b"{}",
        b"[]",
        b'["file", 1, 2, 3, 4, "sha256:short"]',
        b'["file", "1", 2, 3, 4, "sha256:' + b"0" * 64 + b'"]',
        b"\xff\xfe\x00",
        b"[" * 5000,
        b"\0" * 4096,
    ],
)
def test_a_strange_line_costs_one_hash(tmp_path: Path, strange: bytes) -> None:
    name = write(tmp_path / "file")
    (tmp_path / "memo").write_bytes(strange + b"\n")
    assert Memo(tmp_path / "memo").digest(name) == digest_bytes(b"data")


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("kept", range(0, 120, 7))
def test_a_torn_last_line_costs_only_itself(tmp_path: Path, reads: Reads, kept: int) -> None:
    first, second = write(tmp_path / "first"), write(tmp_path / "second")
    Memo(tmp_path / "memo").digest(first)
    whole = (tmp_path / "memo").read_bytes()
    (tmp_path / "memo").write_bytes(whole + whole[: min(kept, len(whole) - 1)])
    Memo(tmp_path / "memo").digest(second)
    reads.paths.clear()
    again = Memo(tmp_path / "memo")
    assert again.digest(first) == again.digest(second) == digest_bytes(b"data")
    assert reads.paths == []


@pytest.mark.usefixtures("later")
def test_names_that_are_not_utf8_are_remembered(tmp_path: Path, reads: Reads) -> None:
    name = write(tmp_path / os.fsdecode(b"caf\xe9"))
    Memo(tmp_path / "memo").digest(name)
    Memo(tmp_path / "memo").digest(name)
    assert len(reads.paths) == 1


@pytest.mark.usefixtures("later")
def test_it_grows_no_longer_than_it_must(tmp_path: Path) -> None:
    name = write(tmp_path / "file")
    memo = Memo(tmp_path / "memo")
    memo.digest(name)
    (tmp_path / "memo").write_bytes((tmp_path / "memo").read_bytes() * 1200)
    assert Memo(tmp_path / "memo").digest(name) == digest_bytes(b"data")
    assert len(list(rows(tmp_path / "memo"))) == 1


def test_a_memo_that_cannot_be_written_still_answers(tmp_path: Path) -> None:
    name = write(tmp_path / "file")
    memo = Memo(tmp_path / "no" / "such" / "folder" / "memo")
    assert memo.digest(name) == digest_bytes(b"data")


@pytest.mark.usefixtures("later")
def test_many_processes_append_at_once(tmp_path: Path) -> None:
    names = [write(tmp_path / f"file{n}", str(n).encode()) for n in range(200)]

    def append(part: int) -> None:
        memo = Memo(tmp_path / "memo")
        for name in names[part::4]:
            memo.digest(name)

    workers = [PROCESSES.Process(target=append, args=(part,)) for part in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert sorted(row[0] for row in rows(tmp_path / "memo")) == sorted(names)
    remembered = Memo(tmp_path / "memo")
    assert all(remembered.digest(name) == digest_bytes(name.rpartition("file")[2].encode()) for name in names)


@pytest.mark.usefixtures("later")
def test_the_journal_holds_no_content(tmp_path: Path) -> None:
    name = write(tmp_path / "file")
    Memo(tmp_path / "memo").digest(name)
    (row,) = (json.loads(line) for line in (tmp_path / "memo").read_text(encoding="utf-8").splitlines())
    assert row[0] == name
    assert row[5] == digest_bytes(b"data")


@pytest.mark.usefixtures("later")
def test_what_another_process_appends_is_read_by_the_next_memo(tmp_path: Path, reads: Reads) -> None:
    first, second = write(tmp_path / "first"), write(tmp_path / "second")
    Memo(tmp_path / "memo").digest(first)
    other = PROCESSES.Process(target=lambda: Memo(tmp_path / "memo").digest(second))
    other.start()
    other.join()
    Memo(tmp_path / "memo").digest(second)
    assert reads.paths == [first]


@pytest.mark.usefixtures("later")
def test_a_journal_that_was_replaced_is_read_from_its_beginning(tmp_path: Path, reads: Reads) -> None:
    names = [write(tmp_path / f"file{n}") for n in range(3)]
    Memo(tmp_path / "memo").digest(names[0])
    for name in names:
        Memo(tmp_path / "other").digest(name)
    (tmp_path / "other").replace(tmp_path / "memo")
    reads.paths.clear()
    memo = Memo(tmp_path / "memo")
    assert {memo.digest(name) for name in names} == {digest_bytes(b"data")}
    assert reads.paths == []


@pytest.mark.usefixtures("later")
def test_a_strange_line_costs_its_neighbours_nothing(tmp_path: Path, reads: Reads) -> None:
    names = [write(tmp_path / f"file{n}") for n in range(3)]
    for name in names:
        Memo(tmp_path / "memo").digest(name)
    lines = (tmp_path / "memo").read_bytes().splitlines(keepends=True)
    (tmp_path / "memo").unlink()
    (tmp_path / "again").write_bytes(lines[0] + b"[1,2\n" + lines[1] + b"\n" + lines[2])
    reads.paths.clear()
    memo = Memo(tmp_path / "again")
    assert {memo.digest(name) for name in names} == {digest_bytes(b"data")}
    assert reads.paths == []
