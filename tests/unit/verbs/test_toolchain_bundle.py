from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from edgebuild.verbs.toolchain_bundle import (
    folder_texts,
    log_texts,
    machine_text,
    redacted,
    rendered_texts,
    write_bundle,
)
from tests.unit.environments import acme

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {
    "HOME": "/home/ada",
    "PATH": "/home/ada/bin:/usr/bin",
    "ACME_LICENSE": "1234-5678-90",
    "ACME_HOME": "/opt/acme",
    "AWS_SECRET_ACCESS_KEY": "abcdefgh",
    "EDITOR": "vi",
}


def test_secrets_and_the_user_s_home_are_not_in_a_bundle(tmp_path: Path) -> None:
    log = "license 1234-5678-90 read from /home/ada/acme.lic, uploaded with abcdefgh\n/home/adam stays\n"
    write_bundle(tmp_path / "b.zip", {"logs/compile.log": log}, ENVIRON)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        text = archive.read("logs/compile.log").decode()
    assert text == (
        "license <ACME_LICENSE> read from ~/acme.lic, uploaded with <AWS_SECRET_ACCESS_KEY>\n"
        "/home/adam stays\n"
    )


def test_who_may_fetch_from_an_address_is_not_in_a_bundle() -> None:
    assert redacted("at https://ada:pw@host/simple and git@host", {}) == (
        "at https://<login>@host/simple and git@host"
    )


def test_what_was_rendered_is_in_it_below_its_action(tmp_path: Path) -> None:
    (tmp_path / "int8.compile-files").mkdir()
    (tmp_path / "int8.compile-files/float.json").write_text("[]", encoding="utf-8")
    assert dict(rendered_texts(tmp_path)) == {"rendered/int8.compile-files/float.json": "[]"}


def test_a_home_that_is_the_root_or_nothing_takes_nothing_out() -> None:
    assert redacted("/usr/bin", {"HOME": "/"}) == "/usr/bin"
    assert redacted("/usr/bin", {}) == "/usr/bin"


def test_only_variables_that_matter_are_shown_and_secret_ones_only_as_set(tmp_path: Path) -> None:
    chain = acme(tmp_path, "pass: [ACME_LICENSE]\nlocate: [ACME_HOME]")
    lines = machine_text(chain, ENVIRON).splitlines()
    assert "ACME_LICENSE=<set>" in lines
    assert "ACME_HOME=/opt/acme" in lines
    assert not [line for line in lines if line.startswith(("EDITOR", "AWS"))]


def test_the_toolchain_s_files_and_the_ends_of_logs_are_in_it(tmp_path: Path) -> None:
    chain = acme(tmp_path, "")
    assert {"toolchain/toolchain.yaml", "toolchain/compile.cmd.j2"} <= dict(folder_texts(chain)).keys()
    (tmp_path / "fp32.compile.log").write_bytes(b"x" * 3_000_000 + b"the end\n")
    (text,) = dict(log_texts(tmp_path)).values()
    assert text.endswith("the end\n")
    assert len(text) == 2_000_000
