"""What stays float, by name, and the files that vendors' quantizers get of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import float_nodes, graph_files
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


@pytest.fixture
def nodes(detector: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Resolve entries on the small detector."""

    def resolve(*keep: str, choice: list[str] | None = None) -> dict[str, Any]:
        arguments = ["--model", str(detector), "--keep-float", *keep]
        if choice is not None:
            (tmp_path / "choice.json").write_text(json.dumps({"keep_float": choice}), encoding="utf-8")
            arguments += ["--choice", str(tmp_path / "choice.json")]
        float_nodes.main([*arguments, "--output", str(tmp_path / "nodes.json")])
        document: dict[str, Any] = json.loads((tmp_path / "nodes.json").read_text(encoding="utf-8"))
        return document

    return resolve


def render(tmp_path: Path, text: str, document: dict[str, Any], **variables: Any) -> str:
    """Render one template for a graph and return the file."""
    spec = {
        "name": "compile", "uses": ["run.py"], "variables": variables,
        "files": [{"path": "deep/x.cfg", "template": "x.cfg.j2", "role": "model"}],
    }  # fmt: skip
    (tmp_path / "templates").mkdir(exist_ok=True)
    (tmp_path / "templates/x.cfg.j2").write_text(text, encoding="utf-8")
    for name, content in (("spec", spec), ("nodes", document)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    graph_files.main([
        "--files", str(tmp_path / "spec.json"), "--templates", str(tmp_path / "templates"),
        "--nodes", "model", str(tmp_path / "nodes.json"), "--output", str(tmp_path / "files"),
    ])  # fmt: skip
    return (tmp_path / "files/deep/x.cfg").read_text(encoding="utf-8")


def test_every_node_says_what_a_vendor_may_ask(nodes: Callable[..., dict[str, Any]]) -> None:
    document = nodes("decode", "last")
    by_name = {row["name"]: row for row in document["nodes"]}
    assert by_name["stem"] == {
        "name": "stem", "type": "Conv", "inputs": ["images"], "outputs": ["stem"],
        "float": False, "layer": True, "module": "",
    }  # fmt: skip
    assert {row["name"] for row in document["nodes"] if row["float"] and row["layer"]} == {
        "box0", "box1", "class0", "class1"
    }  # fmt: skip
    assert document["groups"]["last"] == ["box0", "class0", "box1", "class1"]
    assert document["inputs"] == [{"name": "images", "shape": [1, 3, 8, 8], "dtype": "float32"}]
    assert document["outputs"][0]["name"] == "output0"


def test_a_module_is_known_by_its_weight(build_detector: Callable[..., Any]) -> None:
    model = build_detector()
    for node in model.graph.node:
        if node.name == "box0":
            node.input[1] = "model.23.cv2.0.2.weight"
    for tensor in model.graph.initializer:
        if tensor.name == "box0.w":
            tensor.name = "model.23.cv2.0.2.weight"
    rows = {row["name"]: row for row in float_nodes.describe_nodes(model, ["last"])["nodes"]}
    assert rows["box0"]["module"] == "model.23.cv2.0.2"


def test_an_entry_that_means_nothing_is_an_error(nodes: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(StepFailure, match="'tail' matches no node"):
        nodes("tail")


def test_a_searchs_choice_takes_its_place(
    nodes: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    document = nodes("decode", choice=["hidden0", "gone in the exported graph"])
    assert [row["name"] for row in document["nodes"] if row["float"]] == ["hidden0"]
    assert "choice-without-node" in capsys.readouterr().out


def test_a_damaged_choice_is_refused(nodes: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    nodes("decode")
    (tmp_path / "bad.json").write_text("[]", encoding="utf-8")
    with pytest.raises(StepFailure, match="not a search's choice"):
        float_nodes.read_choice(str(tmp_path / "bad.json"))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ float_layers | json }}", '["class0", "box0", "class1", "box1"]'),
        ("{{ float_nodes | length }} {{ quantized_nodes | length }}", "13 8"),
        ("{{ float_types | json }}", '["Concat", "Mul", "Reshape", "Sigmoid"]'),
        ("{{ quantized_layers | json }}", '["stem", "down", "hidden0", "hidden1"]'),
        ("{{ graph.outputs[0].name }} {{ graph.groups.first | json }}", 'output0 ["stem"]'),
        ("{{ options.chip }} {{ toolchain_file('run.py') }}", "a1 in/toolchain/run.py"),
    ],
)
def test_what_a_template_sees(
    nodes: Callable[..., dict[str, Any]], tmp_path: Path, template: str, text: str
) -> None:
    found = render(tmp_path, template, nodes("decode", "last"), options={"chip": "a1"})
    if text.startswith("["):
        assert sorted(json.loads(found)) == sorted(json.loads(text))
    else:
        assert found == text


def test_a_template_that_is_wrong_says_where(nodes: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(StepFailure, match=r"x\.cfg\.j2:2:4: .*float_layer"):
        render(tmp_path, "a\n{{ float_layer }}", nodes("decode"))
    with pytest.raises(
        StepFailure, match=r"x\.cfg\.j2:2:12: there is no value 'ration', did you mean 'ratio'"
    ):
        render(tmp_path, "a\n{{ options.ration | json }}", nodes("decode"), options={"ratio": 1})


def test_a_blank_file_is_there(nodes: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    assert render(tmp_path, "{% if false %}x{% endif %}", nodes("decode")) == "\n"
