from __future__ import annotations

from pathlib import Path

import pytest

from edgebuild.environment.surroundings import install_command
from edgebuild.errors import UsageError
from edgebuild.toolchain.load import load_toolchain
from edgebuild.toolchain.where import bundled, toolchain_words
from edgebuild.verbs.toolchain_new import new
from tests.unit.environments import acme
from tests.unit.templates.options_table import with_options


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_found_anyway_needs_its_name_only(tmp_path: Path) -> None:
    (folder,) = bundled("templates")
    assert toolchain_words(folder / "openvino", tmp_path) == "openvino"
    chain = acme(tmp_path, "requirements: requirements.txt", requirements="a==1\n")
    assert install_command(chain) == "run `edgebuild toolchain install acme`"


def test_what_was_found_by_an_argument_is_named_with_it(tmp_path: Path) -> None:
    chain = acme(tmp_path / "my chips", "requirements: requirements.txt", requirements="a==1\n")
    said = install_command(chain)
    assert said == "run `edgebuild toolchain install acme --templates 'my chips/templates'`"
    other = tmp_path / "elsewhere"
    assert toolchain_words(chain.folder, other) == f"acme --templates '{tmp_path}/my chips/templates'"


def test_another_of_the_same_name_is_not_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new("openvino", "chips") == 0
    said = capsys.readouterr()
    assert "edgebuild: warning: there is a toolchain openvino already, " in said.err
    assert "toolchain test openvino --templates chips" in said.out
    folder = load_toolchain("openvino", (Path("chips"),)).folder
    assert toolchain_words(folder.absolute(), tmp_path) == "openvino --templates chips"


def test_a_new_name_is_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert new("acme", "templates") == 0
    assert capsys.readouterr().err == ""
    readme = Path("templates/acme/README.md").read_text(encoding="utf-8")
    assert readme == with_options(readme, load_toolchain("acme", (Path("templates"),)))
    with pytest.raises(UsageError, match="is there already"):
        new("acme", "templates")
