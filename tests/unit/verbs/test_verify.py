from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgebuild.package import write_package
from edgebuild.verbs.verify import VerifyOptions, verify
from tests.unit.test_package import ABOUT, members

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_files_named_like_packages_in_the_callers_directory_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = members() | {"golden.npz": b"no arrays"}
    write_package(tmp_path / "-demo.tar.gz", held, about={**ABOUT, "status": "passed"})
    for name in ("json.py", "numpy.py"):
        (tmp_path / name).write_text(f"raise SystemExit('{name} of a stranger')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert verify(VerifyOptions(package="-demo.tar.gz", replay=True, json=True)) == 0
    replayed = json.loads(capsys.readouterr().out)["replay"]
    assert replayed["status"] == "not replayed"
    assert "golden.npz" in replayed["why"] or "not installed" in replayed["why"]
