"""The head that selects its boxes, asked for in a manifest of every system."""

from __future__ import annotations

from pathlib import Path

from edgebuild.manifest.load import load_manifest
from edgebuild.plan.plan import make_plan
from edgebuild.toolchain.load import load_toolchain, toolchain_names

REPOSITORY = Path(__file__).resolve().parents[3]
SEARCH = [REPOSITORY / "templates"]


def test_what_cannot_select_boxes_gets_a_model_that_does_not(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    settings = [f"model.weights={weights}", "model.export.end2end=true"]
    manifest = load_manifest(REPOSITORY / "manifests" / "fleet.yaml", overrides=settings)
    toolchains = {target.toolchain: load_toolchain(target.toolchain, SEARCH) for target in manifest.targets}
    plan = make_plan(manifest, toolchains, cpu="x86-vnni")
    fitted = {one.name for one in plan.targets if any(note.id == "head-fitted" for note in one.notes)}
    assert {"imx500", "executorch", "rpi5-ncnn"} <= fitted
    for target in plan.targets:
        exports = {name for name in target.actions if name.startswith("export")}
        cut = any(name.startswith("head@") and "cut" in name for name in target.actions)
        assert target.toolchain.limits.end2end or cut or target.name in fitted, target.name
        assert (target.name in fitted) == all("one-to-many" in name for name in exports), target.name
        assert target.baseline == ("baseline@one-to-many" if target.name in fitted else "baseline")


def test_a_readme_says_that_the_head_is_another() -> None:
    for name in toolchain_names(SEARCH):
        if not load_toolchain(name, SEARCH).limits.end2end:
            text = (SEARCH[0] / name / "README.md").read_text(encoding="utf-8")
            assert "`head-fitted`" in text, name
