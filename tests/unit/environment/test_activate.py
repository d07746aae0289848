from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from edgebuild.environment.activate import activate
from edgebuild.environment.surroundings import surroundings
from tests.unit.environments import acme

if TYPE_CHECKING:
    from pathlib import Path

BASE = {"PATH": "/usr/bin:/bin", "HOME": "/home/somebody", "LD_LIBRARY_PATH": "/usr/lib/mine"}

SCRIPT = """
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export ACME_HOME=$here
export ACME_MODE=fast
export PATH=$here/bin:$PATH
export LD_LIBRARY_PATH=$here/lib:$LD_LIBRARY_PATH:/opt/shared
echo "welcome to acme"
not_exported=1
"""


def sdk(folder: Path, script: str = SCRIPT) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "set_env.sh").write_text(script, encoding="utf-8")
    tool = folder / "bin" / "acmec"
    tool.write_text("#!/bin/sh\necho acmec 2.5\n", encoding="utf-8")
    tool.chmod(0o755)
    return folder


def test_what_the_script_exports_is_what_there_is(tmp_path: Path) -> None:
    here = sdk(tmp_path / "acme")
    found = activate([str(here / "set_env.sh")], BASE)
    assert found.problem == ""
    assert dict(found.variables) == {
        "ACME_HOME": str(here),
        "ACME_MODE": "fast",
        "PATH": f"{here}/bin:/usr/bin:/bin",
        "LD_LIBRARY_PATH": f"{here}/lib:/usr/lib/mine:/opt/shared",
    }


def test_two_places_of_one_release_are_one_identity(tmp_path: Path) -> None:
    one = activate([str(sdk(tmp_path / "opt/acme") / "set_env.sh")], BASE)
    other = activate(
        [str(sdk(tmp_path / "elsewhere/acme-2.5") / "set_env.sh")],
        {**BASE, "PATH": "/bin:/usr/local/bin:/usr/bin"},
    )
    mode = sdk(tmp_path / "mode", SCRIPT.replace("fast", "small"))
    assert one.identity == other.identity
    assert one.identity != activate([str(mode / "set_env.sh")], BASE).identity


def test_the_first_script_that_exists_is_meant(tmp_path: Path) -> None:
    here = sdk(tmp_path / "acme-2.5")
    patterns = ["${ACME_HOME}/set_env.sh", "/no/such/set_env.sh", f"{tmp_path}/acme-*/set_env.sh"]
    found = activate(patterns, BASE)
    assert found.script == str(here / "set_env.sh")
    assert found.how[0] == "skipped ${ACME_HOME}/set_env.sh: ACME_HOME is not set"
    assert found.how[1] == "no file /no/such/set_env.sh"
    assert activate(patterns[:2], BASE).script == ""


@pytest.mark.parametrize("end", ["false", "return 3", "exit 0"])
def test_a_script_that_fails_is_a_problem_in_its_own_words(tmp_path: Path, end: str) -> None:
    found = activate([str(sdk(tmp_path / "acme", f"echo no licence\n{end}\n") / "set_env.sh")], BASE)
    assert found.problem.endswith("no licence")
    assert found.variables == ()


def test_only_declared_variables_reach_the_script(tmp_path: Path) -> None:
    here = sdk(tmp_path / "acme", 'export SEEN="$ACME_LICENSE-$OTHER"\n')
    environ = {**os.environ, "ACME_LICENSE": "l", "OTHER": "o"}
    chain = acme(tmp_path, f"activate: {here}/set_env.sh\npass: [ACME_LICENSE]")
    place = surroundings(chain, environ, tmp_path)
    assert place is not None
    assert place.variables["SEEN"] == "l-"
    assert place.python == shutil.which("python3", path=environ["PATH"])


def test_without_a_script_the_caller_s_environment_holds(tmp_path: Path) -> None:
    chain = acme(tmp_path, 'activate: ["${ACME_HOME}/set_env.sh"]\nlocate: [ACME_HOME]')
    assert surroundings(chain, {"PATH": "/usr/bin"}, tmp_path) is None
