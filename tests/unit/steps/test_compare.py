from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import compare, quantize, ranges
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


@pytest.fixture
def run(detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Quantize the detector as told and return the comparison."""
    np = pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(1).random((6, 3, 8, 8), dtype=np.float32) * 20  # boxes become pixels
    np.save("c.npy", images)
    ranges.main(["--model", str(detector), "--tensors", "c.npy", "--output", "ranges.json"])

    def start(*words: str, images: int = 4) -> dict[str, Any]:
        quantize.main([
            "--model", str(detector), "--ranges", "ranges.json", *words,
            "--output", "q.onnx", "--report", "q.json",
        ])  # fmt: skip
        compare.main([
            "--model", str(detector), "--quantized", "q.onnx", "--tensors", "c.npy",
            "--images", str(images), "--output", "out.json",
        ])  # fmt: skip
        document: dict[str, Any] = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        return document

    return start


DEFAULT = ("--per-channel", "--keep-float", "decode", "last")


def test_blocks_are_compared_in_order_and_outputs_apart(run: Callable[..., dict[str, Any]]) -> None:
    found = run(*DEFAULT)
    labels = [row["label"] for row in found["blocks"]]
    assert labels[-2:] == ["output0, coordinates", "output0, scores"]
    assert len(labels) > 3
    assert len(set(labels)) == len(labels)
    assert found["images"] == 4
    for row in found["blocks"]:
        assert 0.9 < row["cosine"] <= 1
        assert row["sqnr_db"] > compare.DIVERGED_DB
        assert 0 <= row["max_error"] < row["max_value"]
    assert found["first"] is None


def test_scores_that_share_a_scale_with_pixels_are_named(run: Callable[..., dict[str, Any]]) -> None:
    found = run("--naive", "--per-channel")
    assert found["first"] == "output0, scores"
    rows = {row["label"]: row for row in found["blocks"]}
    assert rows["output0, coordinates"]["sqnr_db"] > 20
    assert rows["output0, scores"]["sqnr_db"] < compare.DIVERGED_DB


def test_a_model_compared_with_itself_differs_in_nothing(
    run: Callable[..., dict[str, Any]], detector: Path, tmp_path: Path
) -> None:
    run(*DEFAULT)
    arguments = ["--model", str(detector), "--quantized", str(detector), "--tensors", "c.npy"]
    compare.main([*arguments, "--output", "same.json"])
    found = json.loads((tmp_path / "same.json").read_text(encoding="utf-8"))
    assert {(row["cosine"], row["sqnr_db"], row["max_error"]) for row in found["blocks"]} == {
        (1.0, compare.MOST_DB, 0.0)
    }


def test_equal_inputs_give_equal_bytes(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    run(*DEFAULT)
    first = (tmp_path / "out.json").read_bytes()
    run(*DEFAULT)
    assert (tmp_path / "out.json").read_bytes() == first


def test_another_model_is_refused(
    run: Callable[..., dict[str, Any]], tmp_path: Path, build_detector: Callable[..., Any]
) -> None:
    run(*DEFAULT)
    other = build_detector()
    for node in other.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name not in {"images", "output0"} and "." not in name:
                    names[index] = f"other-{name}"
    for tensor in other.graph.initializer:
        if "." not in tensor.name:
            tensor.name = f"other-{tensor.name}"
    (tmp_path / "other.onnx").write_bytes(other.SerializeToString())
    with pytest.raises(StepFailure, match="none of the float model's tensors"):
        compare.main([
            "--model", str(tmp_path / "detector.onnx"), "--quantized", "other.onnx", "--tensors", "c.npy",
            "--output", "o.json",
        ])  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "other", "cosine", "sqnr"),
    [
        ([3.0, 4.0], [3.0, 4.0], 1.0, 120.0),
        ([3.0, 4.0], [0.0, 0.0], 0.0, 0.0),
        ([0.0, 0.0], [0.0, 0.0], 1.0, 120.0),
        ([0.0, 0.0], [1.0, 0.0], 0.0, -120.0),
        ([10.0, 0.0], [9.0, 0.0], 1.0, 20.0),
    ],
)
def test_the_figures(reference: list[float], other: list[float], cosine: float, sqnr: float) -> None:
    np = pytest.importorskip("numpy")
    sums = compare.Sums()
    sums.add(np.array(reference, np.float32), np.array(other, np.float32))
    row = sums.row()
    assert (row["cosine"], row["sqnr_db"]) == (cosine, sqnr)


def test_what_a_head_selects_from_is_compared_not_what_it_selects(build_graph: Callable[..., Any]) -> None:
    np = pytest.importorskip("numpy")
    model = build_graph(
        ("MatMul", ["image", "matrix"], "boxes"), ("Sigmoid", ["boxes"], "scores"),
        ("TopK", ["scores", "count"], "best"), ("GatherElements", ["boxes", "best.1"], "chosen"),
        ("Concat", ["chosen", "best"], "out"),
    )  # fmt: skip
    watched = [one for one in compare.boundaries(model) if one.label == "out"]
    assert [(one.kind, one.tensor) for one in watched] == [("candidates", "scores"), ("candidates", "boxes")]
    values = [np.full((1, 4, 2), 0.5, np.float32), np.full((1, 4, 4), 300, np.float32)]
    labels = [entry.label for entry in compare._entries(watched, values)]
    assert labels == ["out, scores", "out, coordinates"]
