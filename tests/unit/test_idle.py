"""The note that there is nothing to do: what it notices, and what it never says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from edgebuild.idle import answer, remember

TEXT = "0 ran\n"


@pytest.fixture
def argv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text("name: m\n", encoding="utf-8")
    return ["run", "m.yaml"]


def note(argv: list[str], *files: str, environ: dict[str, str | None] | None = None, age: int = 0) -> None:
    """Note a run that began to look a second after all files were written, or ``age`` ns later."""
    since = time.time_ns() + 1_000_000_000 + age
    remember(argv, files=["m.yaml", *files], environ=environ or {}, text=TEXT, since=since)


def test_nothing_changed(argv: list[str]) -> None:
    assert answer(argv, {}) is None
    note(argv)
    assert answer(argv, {}) == TEXT


@pytest.mark.parametrize("other", [["run", "m.yaml", "-q"], ["run"], ["plan", "m.yaml"], [], ["--help"]])
def test_another_command_line_is_another_question(argv: list[str], other: list[str]) -> None:
    note(argv)
    assert answer(other, {}) is None


def test_every_kind_of_change_is_noticed(argv: list[str], tmp_path: Path) -> None:
    watched = tmp_path / "file"
    for change in (
        lambda: watched.write_text("other text", encoding="utf-8"),
        watched.unlink,
        lambda: os.utime(watched),
        lambda: watched.chmod(0o600),
        lambda: (
            (tmp_path / "new").write_text("text", encoding="utf-8"),
            (tmp_path / "new").replace(watched),
        ),
    ):
        watched.write_text("text", encoding="utf-8")
        note(argv, "file")
        assert answer(argv, {}) == TEXT
        change()
        assert answer(argv, {}) is None


def test_what_was_absent_may_not_appear(argv: list[str], tmp_path: Path) -> None:
    note(argv, "templates")
    assert answer(argv, {}) == TEXT
    (tmp_path / "templates").symlink_to("nowhere")
    assert answer(argv, {}) is None


def test_variables_count(argv: list[str]) -> None:
    note(argv, environ={"PATH": "/bin", "EXTRA": None})
    assert answer(argv, {"PATH": "/bin", "OTHER": "1"}) == TEXT
    assert answer(argv, {"PATH": "/sbin"}) is None
    assert answer(argv, {"PATH": "/bin", "EXTRA": ""}) is None


def test_a_note_holds_no_words_and_no_values(argv: list[str]) -> None:
    """An address may hold a password, and a variable that a toolchain declares a licence."""
    argv = [*argv, "--remote", "https://ada:geheim@host/cache"]
    note(argv, environ={"LICENCE": "1234-5678"})
    (place,) = Path(".edgebuild/idle").iterdir()
    assert place.stat().st_mode & 0o777 == 0o600
    written = place.read_text(encoding="utf-8")
    assert not [word for word in ("geheim", "1234-5678", "host/cache") if word in written]
    assert answer(argv, {"LICENCE": "1234-5678"}) == TEXT
    assert answer([*argv[:-1], "https://ada:anders@host/cache"], {"LICENCE": "1234-5678"}) is None


def test_a_directory_that_is_gone_is_no_matter(argv: list[str], tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert answer(argv, {}) is None


def test_a_file_that_changed_while_the_run_looked_is_not_trusted(argv: list[str]) -> None:
    note(argv, age=-1_000_000_000)
    assert answer(argv, {}) is None


def test_a_file_of_whole_seconds_has_to_be_older(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = 1_700_000_000_000_000_000
    real = os.stat

    def coarse(path: str) -> object:
        found = real(path)
        whole = {"st_mtime_ns": second, "st_ctime_ns": second}
        return types.SimpleNamespace(st_size=found.st_size, st_ino=found.st_ino, **whole)

    for age, noted in ((1_900_000_000, False), (2_100_000_000, True)):
        with monkeypatch.context() as patch:
            patch.setattr("edgebuild.idle.os.stat", coarse)
            remember(argv, files=["m.yaml"], environ={}, text=TEXT, since=second + age)
        assert any((tmp_path / ".edgebuild").rglob("*.json")) == noted


@pytest.mark.parametrize("damage", [b"", b"null", b"[]", b'{"schema": 1}', b"\xff", b"[" * 9])
def test_a_damaged_note_says_nothing(argv: list[str], damage: bytes) -> None:
    note(argv)
    (place,) = Path(".edgebuild/idle").glob("*.json")
    place.write_bytes(damage)
    assert answer(argv, {}) is None


def test_names_that_are_not_utf8_are_noted(argv: list[str], tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).write_text("text", encoding="utf-8")
    note(argv, name)
    assert answer(argv, {}) == TEXT
    (tmp_path / name).unlink()
    assert answer(argv, {}) is None


def test_a_workspace_that_cannot_be_written_is_no_matter(argv: list[str], tmp_path: Path) -> None:
    (tmp_path / ".edgebuild").write_text("in the way", encoding="utf-8")
    note(argv)
    assert answer(argv, {}) is None


def test_it_loads_next_to_nothing(argv: list[str]) -> None:
    """Before the answer is known nothing is loaded that a run with nothing to do does not need."""
    note(argv)
    script = "import sys; before = set(sys.modules); from edgebuild.cli.entry import main; "
    script += "sys.argv[1:] = {}; main(); "
    script += "print(*sorted(name.partition('.')[0] for name in set(sys.modules) - before))"
    # As this interpreter sees itself: the note is for it alone.
    code = script.replace("{}", repr(argv))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.startswith(TEXT)
    loaded = set(done.stdout.split())
    assert "edgebuild" in loaded
    assert not loaded & {"argparse", "doit", "jinja2", "jsonschema", "numpy", "pathlib", "rich", "yaml"}
