from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.environment.patterns import expand_pattern, variables_in

if TYPE_CHECKING:
    from pathlib import Path


def test_of_several_releases_the_newest_comes_first(tmp_path: Path) -> None:
    for release in ("9.2.0", "10.0.1", "10.0", "beta", "8.5"):
        (tmp_path / f"acme-{release}").mkdir()
        (tmp_path / f"acme-{release}" / "version").write_text("", encoding="utf-8")
    found = expand_pattern("${ACME_HOME}/acme-*/version", {"ACME_HOME": str(tmp_path)}, [])
    names = [path.split("/")[-2].removeprefix("acme-") for path in found]
    assert [name for name in names if name != "beta"] == ["10.0.1", "10.0", "9.2.0", "8.5"]


def test_a_variable_is_a_folder_and_no_pattern_itself(tmp_path: Path) -> None:
    (tmp_path / "[1]").mkdir()
    (tmp_path / "[1]" / "version").write_text("", encoding="utf-8")
    assert expand_pattern("${HOME_}/version", {"HOME_": f"{tmp_path}/[1]"}, []) == [f"{tmp_path}/[1]/version"]
    assert variables_in("${A}/x-${B_2}/$C") == ("A", "B_2")


def test_what_was_tried_in_vain_is_noted(tmp_path: Path) -> None:
    how: list[str] = []
    assert expand_pattern("${ACME_HOME}/version", {}, how) == []
    assert expand_pattern(f"{tmp_path}/none-*", {}, how) == []
    assert how == ["skipped ${ACME_HOME}/version: ACME_HOME is not set", f"no file {tmp_path}/none-*"]
