"""The program with standard streams that are closed, full, gone, or of a small character set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgebuild.cli import main

ROOT = Path(__file__).resolve().parents[3]

PRINTS = "print('✗ é ≤ 3 😀')"


def ended(
    redirection: str, *words: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Use the command line in a shell that redirects its streams."""
    script = f'"$@" {redirection}'
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
@pytest.mark.parametrize("words", ["--help", "toolchain list"])
def test_output_that_cannot_be_written_is_an_error_in_one_line(
    redirection: str, why: str, words: str
) -> None:
    done = ended(redirection, "-m", "edgebuild", *words.split())
    assert done.stderr == f"edgebuild: standard output: {why}; what was made is kept\n"
    assert done.returncode == 8


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_messages_that_cannot_be_written_change_no_exit_code(redirection: str) -> None:
    assert ended(redirection, "-m", "edgebuild", "--no-such-flag").returncode == 2
    fine = ended(redirection, "-m", "edgebuild", "--version")
    assert (fine.returncode, fine.stdout[:9]) == (0, "edgebuild")


def test_a_reader_that_is_gone_is_no_error() -> None:
    script = "from edgebuild.cli import streams; streams.mend(); import os, sys; "
    script += "r, w = os.pipe(); os.close(r); os.dup2(w, 1); print('x' * 99999); sys.exit(streams.finish(4))"
    assert ended("", "-c", script).returncode == 4


def test_a_closed_descriptor_is_not_given_to_the_next_file() -> None:
    script = "from edgebuild.cli import streams; streams.mend(); import os; "
    script += "os._exit(os.open('/dev/null', os.O_RDONLY))"
    assert ended("<&- >&- 2>&-", "-c", script).returncode == 3


def test_what_an_encoding_lacks_is_spelled_out_and_json_stays_json() -> None:
    start = "from edgebuild.cli import streams; streams.mend(); "
    done = ended("", "-c", start + PRINTS, PYTHONIOENCODING="ascii")
    assert done.stdout == "x \\u00e9 <= 3 \\ud83d\\ude00\n", done.stderr
    assert json.loads(f'"{done.stdout.strip()}"') == "x é <= 3 😀"
    assert ended("", "-c", start + PRINTS, PYTHONIOENCODING="utf-8").stdout == "✗ é ≤ 3 😀\n"


def test_a_working_directory_that_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main.main(["run", "m.yaml"]) == 2
    assert capsys.readouterr().err.startswith("edgebuild: the working directory is gone\n")


@pytest.mark.parametrize("module", ["cli.entry", "idle", "cli.main"])
def test_ctrl_c_at_any_moment_shows_no_traceback(module: str) -> None:
    """The signal comes while a module is loaded."""
    script = "import runpy, sys; from importlib.abc import MetaPathFinder as F\n"
    script += "class Signal(F):\n    def find_spec(self, name, path=None, target=None):\n"
    script += f"        if name == 'edgebuild.{module}': raise KeyboardInterrupt\n"
    script += "sys.meta_path.insert(0, Signal())\n"
    script += "sys.argv = ['edgebuild', 'run', 'm.yaml']; runpy.run_module('edgebuild', run_name='__main__')"
    done = ended("", "-c", script)
    assert (done.returncode, done.stderr) == (130, "")
