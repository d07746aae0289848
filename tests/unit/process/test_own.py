from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.process.own import capture_step

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_step_finds_edgebuild_and_nothing_of_the_callers_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit('a stranger')\n", encoding="utf-8")
    (tmp_path / "edgebuild").mkdir()
    (tmp_path / "edgebuild/__init__.py").write_text("raise SystemExit('a stranger')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = capture_step("estimate", ["--help"], folder=tmp_path)
    assert (done.exit_code, done.text[:6]) == (0, "usage:")
