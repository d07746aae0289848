"""Options of the whole test suite."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.toolchains import ALWAYS, skip_what_cannot_run

settings.register_profile("edgebuild", deadline=None)
settings.load_profile("edgebuild")

# A shell lets what it starts in the background ignore Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="write the expected files anew instead of comparing with them; review the difference",
    )
    parser.addoption(
        "--every-export",
        action="store_true",
        help="compare the groups of all 76 exports instead of a spread of them; takes ten minutes",
    )
    parser.addoption(
        "--toolchains",
        default=" ".join(ALWAYS),
        help="real toolchains to test with, or `all`; their environments have to be installed",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    skip_what_cannot_run(config, items)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds what is expected, or write that file."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-goldens"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is not there; --update-goldens writes it"
        assert text == path.read_text(encoding="utf-8")

    return compare
