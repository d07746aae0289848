from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgebuild.environment.lookup import Lookup
from tests.unit.environments import acme

if TYPE_CHECKING:
    from pathlib import Path


def test_an_sdk_is_activated_once_and_its_tool_asked_once(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin/acmec"
    tool.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/log\necho acmec 2.5\n", encoding="utf-8")
    tool.chmod(0o755)
    script = tmp_path / "set_env.sh"
    script.write_text(f"echo sourced >> {tmp_path}/log\nexport PATH={tmp_path}/bin:$PATH\n", encoding="utf-8")
    chain = acme(tmp_path, f"activate: {script}")
    lookup = Lookup(os.environ, tmp_path)
    assert lookup.tool(chain, chain.tools["acmec"]) is lookup.tool(chain, chain.tools["acmec"])
    assert lookup.place(chain) is lookup.place(chain)
    assert (tmp_path / "log").read_text(encoding="utf-8").split() == ["sourced", "asked"]
