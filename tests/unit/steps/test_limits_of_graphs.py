from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgebuild.steps import limits
from edgebuild.steps._step import StepFailure
from tests.fakes.tiny_onnx import tiny_onnx

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.yolo


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_onnx(opset=19, op="TopK", shape=(0, 3, 8, 8)))
    return path


def look(*words: str) -> None:
    limits.main(["--model", "m.onnx", "--toolchain", "acme", *words, "--output", "out/m.onnx"])


def test_a_model_that_fits_goes_on_as_it_is(model: Path) -> None:
    look("--opset", "11", "0", "--refuse", "Loop", "--size-mb", "1")
    assert (model.parent / "out" / "m.onnx").read_bytes() == model.read_bytes()


def test_everything_that_does_not_fit_is_said_together_with_what_to_do(model: Path) -> None:
    with pytest.raises(StepFailure) as caught:
        look(
            *("--opset", "11", "17", "--static", "--refuse", "TopK", "Loop"),
            *("--refuse-hint", "use `head: cut`", "--size-mb", "0.00001"),
        )
    said = str(caught.value)
    assert said.startswith("acme cannot take this model: it has opset 19, not 11 to 17; ")
    for words in ("open dimensions", "it has TopK (output0)", "0.0 MB, at most 1e-05 MB fit"):
        assert words in said
    for words in ("opset 17 (model.export.opset)", "model.export.dynamic", "head: cut", "a smaller model"):
        assert words in said
    assert not (model.parent / "out").exists()


def test_many_nodes_of_one_kind_are_counted(model: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(str(model))
    for number in range(5):
        node = graph.graph.node.add()
        node.CopyFrom(graph.graph.node[0])
        node.name = f"n{number}"
    onnx.save(graph, str(model))
    with pytest.raises(StepFailure, match=r"TopK \(output0, n0, n1 and 3 more\)"):
        look("--refuse", "TopK")
