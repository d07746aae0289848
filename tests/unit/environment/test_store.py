from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgebuild.cache.collect import Order, collect
from edgebuild.cache.gc import EVERYTHING
from edgebuild.cache.verify import verify
from edgebuild.environment.store import MARKER, distributions, find, home, installed, pythons, read
from edgebuild.toolchain.environment import Environment, Group

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = Environment(requirements=(Group(lines=("a==1",)),), python=">=3.9")


def put(root: Path, version: str, *, toolchain: str = "acme") -> Path:
    """Write what an installed environment looks like."""
    folder = home(root) / ENVIRONMENT.digest(version)
    packages = folder / "lib" / f"python{version}" / "site-packages"
    for name in ("A_b.c-1.0", "pip-24.0", "numpy-2.1.0"):
        (packages / f"{name}.dist-info").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin/python").touch()
    document = {
        "toolchains": [toolchain],
        "python": version,
        "size": 5,
        "seconds": 1,
        "installed": "2026-01-02",
    }
    (folder / MARKER).write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_what_is_in_an_environment_is_named_in_one_spelling_and_without_pip(tmp_path: Path) -> None:
    found = read(put(tmp_path, "3.11"))
    assert found is not None
    assert distributions(found) == ("a-b-c==1.0", "numpy==2.1.0")


def test_one_counts_only_with_its_marker_and_its_interpreter(tmp_path: Path) -> None:
    folder = put(tmp_path, "3.11")
    assert [one.folder for one in installed(tmp_path)] == [folder]
    (folder / "bin/python").unlink()
    assert installed(tmp_path) == ()
    (folder / "bin/python").touch()
    (folder / MARKER).write_text('{"toolchains": [', encoding="utf-8")
    assert installed(tmp_path) == ()
    assert installed(tmp_path / "nowhere") == ()


def test_one_of_any_python_that_fits_is_found(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for version in ("3.9", "3.20"):
        (tools / f"python{version}").touch(mode=0o755)
    environ = {"PATH": str(tools)}
    assert {"3.9", "3.20"} <= {one.version for one in pythons(">=3.9", environ)}
    assert "3.9" not in {one.version for one in pythons(">=3.10", environ)}
    assert find(ENVIRONMENT, tmp_path, environ) is None
    folder = put(tmp_path, "3.9")
    found = find(ENVIRONMENT, tmp_path, environ)
    assert found is not None
    assert found.folder == folder


def test_nothing_that_looks_after_the_store_touches_environments(tmp_path: Path) -> None:
    folder = put(tmp_path, "3.11")
    before = sorted(folder.rglob("*"))
    collect(tmp_path, Order(limits=EVERYTHING, pins_only=True))
    assert not verify(tmp_path).bad
    assert sorted(folder.rglob("*")) == before
