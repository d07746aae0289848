"""The marker ``toolchain(NAME)``: a test that needs a vendor's real tools, and where their environments are.

The environments are made once per machine, by ``edgebuild toolchain install``, and never by a test. They are
those of the cache that ``EDGEBUILD_TEST_ENVIRONMENTS`` names, else of the cache that the user has anyway.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebuild.environment.store import Installed, find
from edgebuild.run.session import cache_root
from edgebuild.toolchain.load import load_toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"

ALWAYS = ("openvino", "ncnn")
"""Small and quick enough for `make test`."""

VARIABLE = "EDGEBUILD_TEST_ENVIRONMENTS"


def environments() -> Path:
    """Return the cache whose environments the tests use."""
    named = os.environ.get(VARIABLE)
    return Path(named).absolute() if named else cache_root(os.environ)


def environment_of(name: str) -> Installed | None:
    """Return a toolchain's own environment, or None when it is not installed."""
    toolchain = load_toolchain(name, [TEMPLATES])
    return find(toolchain.environment, environments(), os.environ)


def reason_to_skip(names: Sequence[str], asked: Sequence[str]) -> str:
    """Return why a test that needs some toolchains cannot run, or an empty text."""
    for name in names:
        if "all" not in asked and name not in asked:
            return f"the toolchain {name} was not asked for: `make test-toolchains {name}`"
    missing = [name for name in names if environment_of(name) is None]
    if missing:
        words = " ".join(missing)
        return f"no environment of {words} in {environments()}: `edgebuild toolchain install {words}`"
    return ""


def asked_for(config: pytest.Config) -> list[str]:
    """Return the toolchains that the command line names."""
    return str(config.getoption("--toolchains")).replace(",", " ").split()


def skip_what_cannot_run(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Mark the tests that need a toolchain which is not asked for, or not here."""
    asked = asked_for(config)
    for item in items:
        names = [name for marker in item.iter_markers("toolchain") for name in marker.args]
        reason = reason_to_skip(names, asked) if names else ""
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
