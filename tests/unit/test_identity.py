from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebuild import identity
from edgebuild.identity import (
    code_identity,
    distribution_version,
    installed_distributions,
    normalised,
    own_identities,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """What is installed and what code is made of is asked once per process."""
    for remembered in (installed_distributions, code_identity, identity._imports):
        remembered.cache_clear()
    yield
    for remembered in (installed_distributions, code_identity, identity._imports):
        remembered.cache_clear()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An import path of two folders; the first one wins."""
    for name in ("first/onnx-1.17.0.dist-info", "first/opencv_python_headless-4.1.dist-info",
                 "second/onnx-9.9.dist-info", "second/Zope.Interface-5.0.dist-info"):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "archive.zip").touch()
    folders = [str(tmp_path / name) for name in ("first", "archive.zip", "nothing", "second")]
    monkeypatch.setattr(sys, "path", folders)
    return tmp_path


class TestDistributions:
    @pytest.mark.usefixtures("path")
    def test_the_first_on_the_path_wins(self) -> None:
        assert distribution_version("onnx") == "1.17.0"

    @pytest.mark.usefixtures("path")
    def test_names_have_one_spelling(self) -> None:
        assert distribution_version("zope-interface") == "5.0"
        assert normalised("A_b..C-d") == "a-b-c-d"

    @pytest.mark.usefixtures("path")
    def test_either_of_several_says_which(self) -> None:
        names = "opencv-python|opencv-python-headless"
        assert distribution_version(names) == "opencv-python-headless 4.1"
        assert distribution_version("torch|tensorflow") == ""

    @pytest.mark.usefixtures("path")
    def test_what_is_missing_is_named(self) -> None:
        found, missing = own_identities(["distribution:onnx", "distribution:torch", "vendor/atc"])
        assert found == {"distribution:onnx": "1.17.0", "distribution:torch": ""}
        assert missing == ("torch",)

    def test_the_order_of_a_folder_does_not_count(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (path / "first" / "onnx-1.16.0.dist-info").mkdir()
        seen = set()
        for backwards in (False, True):
            names = sorted((p.name for p in (path / "first").iterdir()), reverse=backwards)
            with monkeypatch.context() as patch:
                patch.setattr("edgebuild.identity.os.listdir", lambda _, names=names: names)
                installed_distributions.cache_clear()
                seen.add(distribution_version("onnx"))
        assert len(seen) == 1

    def test_the_interpreter_has_an_identity_without_a_path(self) -> None:
        found, missing = own_identities(["python"])
        assert found["python"].startswith(f"{sys.implementation.name} {sys.version_info[0]}.")
        assert "/" not in found["python"]
        assert missing == ()


class TestCode:
    @pytest.fixture
    def code(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        root = tmp_path / "edgebuild"
        (root / "steps").mkdir(parents=True)
        (root / "steps" / "__init__.py").write_text("", encoding="utf-8")
        (root / "steps" / "a.py").write_text("from edgebuild.steps import _b\nimport os", encoding="utf-8")
        (root / "steps" / "_b.py").write_text(
            "def f():\n    from edgebuild.low import thing\nimport edgebuild.steps.a", encoding="utf-8"
        )
        (root / "low.py").write_text("thing = 1", encoding="utf-8")
        (root / "other.py").write_text("x = 1", encoding="utf-8")
        monkeypatch.setattr(identity, "ROOT", root)
        return root

    def ask(self) -> str:
        code_identity.cache_clear()
        identity._imports.cache_clear()
        return code_identity("edgebuild.steps.a")

    @pytest.mark.parametrize("name", ["steps/a.py", "steps/_b.py", "low.py"])
    def test_every_module_of_ours_that_it_imports_counts(self, code: Path, name: str) -> None:
        before = self.ask()
        (code / name).write_text((code / name).read_text(encoding="utf-8") + "\n# more", encoding="utf-8")
        assert self.ask() != before

    def test_what_it_does_not_import_does_not_count(self, code: Path) -> None:
        before = self.ask()
        (code / "other.py").write_text("x = 2", encoding="utf-8")
        assert self.ask() == before

    def test_where_it_lies_does_not_count(self, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = self.ask()
        moved = code.rename(code.with_name("moved"))
        monkeypatch.setattr(identity, "ROOT", moved)
        assert self.ask() == before

    def test_every_step_has_one(self) -> None:
        steps = sorted(p.stem for p in (identity.ROOT / "steps").glob("[a-z]*.py"))
        assert len({code_identity(f"edgebuild.steps.{step}") for step in steps}) == len(steps)

    def test_nothing_heavy_is_imported_to_find_out(self) -> None:
        before = set(sys.modules)
        code_identity.cache_clear()
        code_identity("edgebuild.steps.export")
        assert set(sys.modules) == before
        assert Path(identity.__file__).parent == identity.ROOT
