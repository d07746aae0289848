"""The manifests of the systems: each validates, plans, and asks its vendor's tools for what it did before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebuild.manifest.load import load_manifest
from edgebuild.plan.plan import make_plan
from edgebuild.toolchain.load import load_toolchain

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[2]
SEARCH = [REPOSITORY / "templates"]
MANIFESTS = sorted((REPOSITORY / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_it_is_what_it_was(path: Path, tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    # The plan does not look into the weights, so it need not wait for them either.
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    manifest = load_manifest(path, overrides=[f"model.weights={weights}"])
    toolchains = {target.toolchain: load_toolchain(target.toolchain, SEARCH) for target in manifest.targets}
    plan = make_plan(manifest, toolchains, cpu="x86-vnni")
    vendors = {f"{chain.name}/{tool}" for chain in toolchains.values() for tool in chain.tools}
    lines: list[str] = []
    for action in plan.actions:
        if vendors & set(action.tools) and action.step != "package":
            lines += [f"== {action.id}", *action.argv]
            for name, text in action.files:
                lines += [f"-- {name}", text.rstrip("\n")]
    for target in manifest.targets:
        gates = [f"{g.metric} {g.kind} {g.limit:g} {g.evidence}".rstrip() for g in target.gates]
        lines.append(f"== {target.name}: {json.dumps(gates)}")
    golden(REPOSITORY / "tests" / "golden" / "manifests" / f"{path.stem}.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_it_says_what_it_is_for_and_how_to_run_it(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert f"edgebuild run manifests/{path.name}" in text
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    manifest = load_manifest(path, overrides=[f"model.weights={weights}"])
    for target in manifest.targets:
        assert target.gates, f"{target.name} has no acceptance"
