from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.errors import ManifestError
from edgebuild.toolchain.device_version import DeviceVersion, version_mismatch
from edgebuild.toolchain.load import load_toolchain
from tests.unit.environments import BODY, write_toolchain

if TYPE_CHECKING:
    from pathlib import Path

PATTERN = r"librt version: (\d+)\.(\d+)\.(\d+)"
RULE = DeviceVersion(tool="acmec", pattern=PATTERN, same=2, hint="update the board")
BOARD = "I acme: librt version: 2.3.1 (abc@2025)\nD acme: driver 0.9\n"


@pytest.mark.parametrize(
    ("toolkit", "printed", "differ"),
    [
        ("2.3.2", BOARD, False),
        ("2.3", BOARD, False),
        ("2.4.0", BOARD, True),
        ("3.3.1", BOARD, True),
        ("", BOARD, False),
        ("2.4.0", "nothing of the kind", False),
    ],
)
def test_releases_are_compared_where_both_are_known(toolkit: str, printed: str, differ: bool) -> None:  # noqa: FBT001 - a case
    assert (version_mismatch(RULE, toolkit, printed) is not None) == differ


def test_a_mismatch_names_both_releases_and_what_to_do() -> None:
    found = version_mismatch(RULE, "2.4.0", BOARD)
    assert found is not None
    assert (found.id, found.level, found.hint) == ("version-mismatch", "warning", "update the board")
    assert found.message == "acmec 2.4.0 makes the artifact, and the device has 2.3.1"


def test_a_toolchain_says_how(tmp_path: Path) -> None:
    rule = "device_version: {tool: acmec, pattern: 'librt ([0-9.]+)', same: 1}\nrecipes:\n"
    body = BODY.replace("recipes:\n", rule, 1)
    chain = load_toolchain("acme", (write_toolchain(tmp_path, "", body=body),))
    assert chain.device_version == DeviceVersion(tool="acmec", pattern="librt ([0-9.]+)", same=1)
    wrong = body.replace("tool: acmec, pattern: 'librt (", "tool: acmed, pattern: 'librt ((")
    with pytest.raises(ManifestError) as raised:
        load_toolchain("acme", (write_toolchain(tmp_path / "wrong", "", body=wrong),))
    paths = {problem.path for problem in raised.value.problems}
    assert paths == {"device_version.tool", "device_version.pattern"}
