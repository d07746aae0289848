"""The benchmarks' fleet is what it says: so many actions, the same bytes, the same graph for peers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.action import TreeInput
from edgebuild.run.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgebuild.action import Input

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The benchmarks' own modules, which are scripts beside each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    names = ("fleet", "dag", "dvc_yaml")
    yield {name: __import__(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_each_model_has_three_actions_and_five_per_target(tmp_path: Path, modules: dict[str, Any]) -> None:
    manifests = modules["fleet"].write_fleet(tmp_path, 2, 4)
    counts = [len(open_session(str(path)).plan.actions) for path in manifests]
    assert counts == [3 + 5 * 4] * 2
    assert modules["fleet"].actions(2, 4) == sum(counts)
    assert [modules["fleet"].actions(10, 10), modules["fleet"].actions(10, 100)] == [530, 5030]
    assert modules["fleet"].actions(100, 100) == 50300


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path, modules: dict[str, Any]) -> None:
    for name in ("one", "two"):
        modules["fleet"].write_fleet(tmp_path / name, 3, 2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_no_two_models_share_an_action(tmp_path: Path, modules: dict[str, Any]) -> None:
    modules["fleet"].write_fleet(tmp_path, 3, 1)
    weights = [path.read_bytes() for path in (tmp_path / "weights").iterdir()]
    assert len(set(weights)) == 3


def test_another_level_changes_one_target(tmp_path: Path, modules: dict[str, Any]) -> None:
    manifest = modules["fleet"].write_fleet(tmp_path, 1, 3)[0]
    before = {action.id: action for action in open_session(str(manifest)).plan.actions}
    for level in (4, 7):
        modules["fleet"].set_level(manifest, 1, level)
    after = {action.id: action for action in open_session(str(manifest)).plan.actions}
    assert [name for name in after if after[name] != before[name]] == ["t001/compile", "t001/package"]
    assert "--level=7" in after["t001/compile"].argv


def test_peers_get_the_graph_of_the_plan(tmp_path: Path, modules: dict[str, Any]) -> None:
    """Per action: which actions it needs, how many files it reads and leaves."""
    manifests = modules["fleet"].write_fleet(tmp_path, 2, 3)
    expected = {}
    for path in manifests:
        session = open_session(str(path))
        prefix = session.manifest.name
        for action in session.plan.actions:
            name = f"{prefix}/{action.id}".replace("baseline-detections", "pictures")
            needs = {f"{prefix}/{need}" for need in action.needs}
            expected[name] = (needs, sum(map(count, action.inputs)), len(action.outputs))
    rows = modules["dag"].rows(2, 3)
    made_by = {output: name for name, _, outputs in rows for output in outputs}
    found = {
        name: ({made_by[path] for path in inputs if path in made_by}, len(inputs), len(outputs))
        for name, inputs, outputs in rows
    }
    assert found == expected


def count(item: Input) -> int:
    return len(item.files) if isinstance(item, TreeInput) else 1


def test_every_action_of_the_graph_comes_after_what_it_reads(modules: dict[str, Any]) -> None:
    known: set[str] = set()
    for _, inputs, outputs in modules["dag"].rows(2, 3):
        assert {path for path in inputs if path.startswith("out/")} <= known
        known |= set(outputs)


def test_dvc_gets_every_stage_of_one_target(modules: dict[str, Any]) -> None:
    text = modules["dvc_yaml"].text(2, 2)
    assert text.count("cmd: sh body.sh") == 8
    assert "model: [m00, m01]" in text
    assert "t000}" not in text


def test_the_comparison_builds_our_recipes_and_the_manifest_s_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "path", list(sys.path))
    quantization = __import__("quantization")
    source = BENCHMARKS.parent / "examples/quickstart/manifest.yaml"
    plain = open_session(str(quantization.derive(source, tmp_path / "plain"))).plan
    assert [target.name for target in plain.targets] == ["float", "naive", "decode", "default"]
    assert not any(target.package for target in plain.targets)
    text = source.read_text(encoding="utf-8").replace(
        "    recipe: int8\n    acceptance:",
        "    recipe: int8\n    quantize: {mixed_precision: {max_drop: 0.001}}\n    acceptance:",
    )
    for name in ("data", "weights"):
        (tmp_path / name).symlink_to(source.parent / name)
    (tmp_path / "manifest.yaml").write_text(text, encoding="utf-8")
    searched = open_session(str(quantization.derive(tmp_path / "manifest.yaml", tmp_path / "searched"))).plan
    assert [target.name for target in searched.targets if target.search] == ["cpu-int8"]
    sys.modules.pop("quantization", None)
