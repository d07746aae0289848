"""Real environments, made by the real pip from wheels on this disk: nothing is fetched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from edgebuild.environment import store as environment_store
from edgebuild.environment.install import Order, install, remove
from edgebuild.environment.store import Installed, distributions
from edgebuild.environment.surroundings import probe_in, surroundings
from edgebuild.errors import ToolchainMissingError
from tests.unit.environments import acme, write_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgebuild.toolchain.environment import Environment

pytestmark = pytest.mark.slow

REQUIREMENTS = "acme_tool==2.5\nacme_extra==1.0 --no-deps\n"


def silent(text: str) -> None:
    del text


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which pip sees a few wheels and no index."""
    wheels = tmp_path / "wheels"
    write_wheel(wheels, "acme_tool", "2.5", requires="acme_base>=1", script="acmec")
    write_wheel(wheels, "acme_base", "1.2")
    write_wheel(wheels, "acme_extra", "1.0", requires="acme_base<1")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
    }


@pytest.fixture
def order(tmp_path: Path) -> Order:
    chain = acme(tmp_path, "requirements: requirements.txt", requirements=REQUIREMENTS)
    return Order(toolchain="acme", environment=chain.environment, root=tmp_path / "cache")


def made(order: Order, environ: dict[str, str], progress: Callable[[str], None] = silent) -> Installed:
    return install(order, environ, progress)[0]


def test_an_environment_is_made_once_and_holds_what_was_asked_for(
    order: Order, environ: dict[str, str]
) -> None:
    said: list[str] = []
    found = made(order, environ, said.append)
    # acme_extra wants an older acme_base, and is installed without being asked.
    assert {"acme-base==1.2", "acme-extra==1.0", "acme-tool==2.5"} <= set(distributions(found))
    assert not [line for line in distributions(found) if line.startswith("pip==")]
    assert [line for line in said if "acme_tool" in line]
    assert install(order, environ, silent) == (found, False)


def test_its_interpreter_scripts_and_versions_are_those_that_steps_see(
    tmp_path: Path, order: Order, environ: dict[str, str]
) -> None:
    chain = acme(tmp_path / "again", "requirements: requirements.txt", requirements=REQUIREMENTS)
    before = surroundings(chain, environ, order.root)
    assert before is not None
    assert before.problem == "the Python environment of acme is not installed"
    assert before.get == f"run `edgebuild toolchain install acme --templates {chain.folder.parent}`"
    found = made(order, environ)
    place = surroundings(chain, environ, order.root)
    assert place is not None
    assert place.problem == ""
    assert place.python == str(found.executable)
    env = place.applied(environ)
    said = subprocess.run(["acmec"], env=env, capture_output=True, text=True, check=True)
    assert said.stdout == "acme_tool 2.5\n"
    assert str(order.root) not in place.identity
    probed = probe_in(place, chain, chain.tools["acmec"], environ)
    assert probed.found


def test_what_is_in_it_is_its_identity(order: Order, environ: dict[str, str]) -> None:
    found = made(order, environ)
    before = environment_store.identity(found)
    assert before.startswith(f"python {found.python}, ")
    (found.packages / "other-3.1.dist-info").mkdir()
    assert environment_store.identity(found) != before


def test_a_failed_install_leaves_nothing_and_says_what_pip_said(
    order: Order, environ: dict[str, str]
) -> None:
    shutil.rmtree(environ["PIP_FIND_LINKS"])
    with pytest.raises(ToolchainMissingError, match="nothing of it was kept") as raised:
        made(order, environ)
    assert "acme_tool" in raised.value.hint
    assert environment_store.installed(order.root) == ()
    assert not [path for path in (order.root / "environments").iterdir() if path.is_dir()]


def test_of_two_at_once_the_second_finds_it_made(order: Order, environ: dict[str, str]) -> None:
    results: list[bool] = []
    both = [threading.Thread(target=lambda: results.append(install(order, environ, silent)[1])) for _ in "12"]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(results) == [False, True]


PROGRAM = """
import os
import sys
from pathlib import Path
from edgebuild.environment.install import Order, install
from edgebuild.toolchain.environment import Environment, Group
environment = Environment(requirements=(Group(lines=("acme_tool==2.5",)),))
order = Order(toolchain="acme", environment=environment, root=Path(sys.argv[1]))
install(order, os.environ, lambda text: print(text, flush=True))
"""


def test_a_killed_install_is_not_taken_for_an_environment(tmp_path: Path, environ: dict[str, str]) -> None:
    root = tmp_path / "killed"
    env = {**environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(root)], env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().startswith(b"Python ")
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert environment_store.installed(root) == ()
    again = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root)], env=env, capture_output=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert [one.toolchains for one in environment_store.installed(root)] == [("acme",)]


def test_an_environment_goes_with_the_last_toolchain_that_asked_for_it(
    order: Order, environ: dict[str, str]
) -> None:
    made(order, environ)
    other = Order(toolchain="bolt", environment=order.environment, root=order.root)
    shared = made(other, environ)
    assert shared.toolchains == ("acme", "bolt")
    assert not remove(shared, "acme")
    (left,) = environment_store.installed(order.root)
    assert left.toolchains == ("bolt",)
    assert remove(left, "bolt")
    assert environment_store.installed(order.root) == ()
    assert not left.folder.exists()


def test_without_a_python_that_fits_nothing_is_made(tmp_path: Path, environ: dict[str, str]) -> None:
    environment = environment_for(tmp_path, python=">=3.6,<3.7")
    with pytest.raises(ToolchainMissingError, match=r"needs a Python >=3\.6,<3\.7, and none is on PATH"):
        install(Order(toolchain="acme", environment=environment, root=tmp_path), environ, silent)


def environment_for(folder: Path, *, python: str) -> Environment:
    text = f'requirements: requirements.txt\npython: "{python}"'
    return acme(folder, text, requirements=REQUIREMENTS).environment
