from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import preprocess, quantize, ranges
from edgebuild.steps._onnx_file import load_onnx, read_metadata
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


@pytest.fixture
def run(detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Any]]:
    """Quantize the small detector and return the model and the report."""
    np = pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    preprocess.main(["--model", detector.name, "--output", "p.onnx"])
    np.save("t.npy", np.random.default_rng(0).random((8, 3, 8, 8), dtype=np.float32))
    ranges.main(["--model", "p.onnx", "--tensors", "t.npy", "--output", "r.json"])

    def start(*arguments: str, keep: tuple[str, ...] = ("decode", "last")) -> tuple[Any, Any]:
        quantize.main([
            "--model", "p.onnx", "--ranges", "r.json", "--keep-float", *keep, *arguments,
            "--output", "out/q.onnx", "--report", "out/q.json",
        ])  # fmt: skip
        report = json.loads((tmp_path / "out/q.json").read_text(encoding="utf-8"))
        return load_onnx(tmp_path / "out/q.onnx"), report

    return start


def _sources(model: Any, name: str) -> set[str]:
    """Operator types that compute the inputs of the node of that name."""
    producer = {output: node.op_type for node in model.graph.node for output in node.output}
    node = next(node for node in model.graph.node if node.name == name)
    return {producer[source] for source in node.input if source in producer}


def _zero_points(model: Any, kind: str) -> list[Any]:
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == kind]
    return [numpy_helper.to_array(tensors[node.input[2]]) for node in nodes]


def test_what_is_kept_reads_no_quantized_weights(run: Callable[..., tuple[Any, Any]]) -> None:
    model, report = run()
    assert _sources(model, "hidden0") == {"DequantizeLinear"}
    producer = {output: node for node in model.graph.node for output in node.output}
    for name in ("box0", "box1", "class0", "class1"):
        node = next(node for node in model.graph.node if node.name == name)
        assert node.input[1] not in producer
        assert name in report["kept_float"]
    assert _sources(model, "output0") == {"Mul", "Sigmoid"}


def test_the_result_is_close_to_the_float_model(run: Callable[..., tuple[Any, Any]]) -> None:
    np = pytest.importorskip("numpy")
    onnxruntime = pytest.importorskip("onnxruntime")
    run("--per-channel")
    images = np.load("t.npy")[:1]
    results = [
        onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"]).run(None, {"images": images})[
            0
        ]
        for name in ("p.onnx", "out/q.onnx")
    ]
    spread = float(np.ptp(results[0]))
    assert float(np.abs(results[0] - results[1]).max()) < 0.05 * spread
    assert not np.array_equal(*results)


def test_unsigned_activations_use_the_whole_range_signed_ones_are_symmetric(
    run: Callable[..., tuple[Any, Any]],
) -> None:
    unsigned = _zero_points(run("--activation", "u8")[0], "QuantizeLinear")
    assert {str(point.dtype) for point in unsigned} == {"uint8"}
    signed = _zero_points(run("--activation", "s8")[0], "QuantizeLinear")
    assert {str(point.dtype) for point in signed} == {"int8"}
    assert all(point == 0 for point in signed)


@pytest.mark.parametrize(("activation", "dtype"), [("u16", "uint16"), ("s16", "int16")])
def test_sixteen_bit_activations(run: Callable[..., tuple[Any, Any]], activation: str, dtype: str) -> None:
    model, _ = run("--activation", activation)
    assert {str(point.dtype) for point in _zero_points(model, "QuantizeLinear")} == {dtype}


def test_weights_per_channel_or_per_tensor(run: Callable[..., tuple[Any, Any]]) -> None:
    def scales(model: Any) -> list[int]:
        shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
        return next(shapes[name] for name in shapes if name.startswith("hidden0.w") and "scale" in name)

    assert scales(run("--per-channel")[0]) == [8]
    assert scales(run()[0]) == []


def test_pairs_leave_weights_and_biases_float(run: Callable[..., tuple[Any, Any]]) -> None:
    model, report = run("--pairs", "--activation", "s8")
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert report["settings"]["pairs"] is True
    node = next(node for node in model.graph.node if node.name == "hidden0")
    producer = {output: made for made in model.graph.node for output in made.output}
    dequantize = producer[node.input[1]]
    quantize_ = producer[dequantize.input[0]]
    assert (dequantize.op_type, quantize_.op_type) == ("DequantizeLinear", "QuantizeLinear")
    assert kinds[quantize_.input[0]] == 1  # float32
    assert [one for one in node.input[2:] if kinds.get(one) != 1] == []
    assert not any(_zero_points(model, "QuantizeLinear")[0].ravel())


def test_reduced_range_uses_seven_bits(run: Callable[..., tuple[Any, Any]]) -> None:
    numpy_helper = pytest.importorskip("onnx.numpy_helper")

    def largest(model: Any) -> int:
        weight = next(one for one in model.graph.initializer if one.name == "hidden0.w_quantized")
        return int(abs(numpy_helper.to_array(weight).astype(int)).max())

    assert largest(run()[0]) == 127
    assert largest(run("--reduce-range")[0]) == 64


def test_one_scale_for_boxes_and_scores_is_refused(run: Callable[..., tuple[Any, Any]]) -> None:
    with pytest.raises(StepFailure, match=r"node output0 joins box coordinates and scores.*add decode"):
        run(keep=())
    with pytest.raises(StepFailure, match="node output0 joins"):
        run(keep=("last",))


@pytest.mark.parametrize("keep", [("output0",), ("head",), ("op:Concat",)])
def test_keeping_that_one_tensor_float_is_enough(
    run: Callable[..., tuple[Any, Any]], keep: tuple[str, ...]
) -> None:
    model, _ = run(keep=keep)
    assert _sources(model, "output0") <= {"Mul", "Sigmoid", "DequantizeLinear"}


def test_naive_quantizes_everything(run: Callable[..., tuple[Any, Any]]) -> None:
    model, report = run("--naive")
    assert report["kept_float"] == report["keep_float"] == []
    assert report["nodes"]["float"] == 0
    assert _sources(model, "output0") == {"DequantizeLinear"}


def test_a_model_with_open_dimensions_is_quantized_like_any_other(
    build_detector: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np = pytest.importorskip("numpy")
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(build_detector(size="side", batch="batch").SerializeToString())
    preprocess.main(["--model", "m.onnx", "--output", "p.onnx"])
    np.save("t.npy", np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32))
    ranges.main(["--model", "p.onnx", "--tensors", "t.npy", "--output", "r.json"])
    quantize.main([
        "--model", "p.onnx", "--ranges", "r.json", "--keep-float", "decode", "last", "--output", "q.onnx",
        "--report", "q.json",
    ])  # fmt: skip
    assert json.loads((tmp_path / "q.json").read_text(encoding="utf-8"))["nodes"]["quantized"] > 3
    session = onnxruntime.InferenceSession("q.onnx", providers=["CPUExecutionProvider"])
    for batch, side in ((1, 8), (2, 16)):
        (found,) = session.run(None, {"images": np.zeros((batch, 3, side, side), np.float32)})
        assert found.shape[0] == batch


def test_an_entry_that_matches_nothing_is_refused(run: Callable[..., tuple[Any, Any]]) -> None:
    with pytest.raises(StepFailure, match="'neck' matches no node"):
        run(keep=("decode", "neck"))


def test_the_report_says_what_was_done(run: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
    model, report = run("--per-channel")
    assert report["settings"]["per_channel"] is True
    assert report["bytes"]["before"] == (tmp_path / "p.onnx").stat().st_size
    assert report["bytes"]["after"] == (tmp_path / "out/q.onnx").stat().st_size
    assert set(report["groups"]["last"]) == {"box0", "box1", "class0", "class1"}
    real = [node for node in model.graph.node if not node.op_type.endswith("Linear")]
    assert report["nodes"]["quantized"] + report["nodes"]["float"] == len(real)
    assert report["nodes"]["float_by_type"]["Conv"] == 4


def test_metadata_is_kept(run: Callable[..., tuple[Any, Any]]) -> None:
    metadata = read_metadata(run()[0])
    assert metadata["names"] == "{0: 'a', 1: 'b'}"
    assert metadata["task"] == "detect"


def test_ranges_of_another_model_are_refused(run: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
    document = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    document["tensors"]["strange"] = [0.0, 1.0]
    (tmp_path / "r.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(StepFailure, match=r"of another model .it has no tensor strange"):
        run()
    document["tensors"] = {"images": [0.0, 1.0]}
    (tmp_path / "r.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(StepFailure, match="cannot be quantized"):
        run()


def test_a_damaged_ranges_file_is_named(run: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"tensors": [1]}', encoding="utf-8")
    with pytest.raises(StepFailure, match=r"r\.json: not a ranges file"):
        run()


def test_the_bytes_do_not_depend_on_the_hash_seed(
    run: Callable[..., tuple[Any, Any]], tmp_path: Path, run_step_at: Callable[..., Any]
) -> None:
    run()
    for seed in ("1", "2"):
        done = run_step_at(
            tmp_path, "quantize", "--model", "p.onnx", "--ranges", "r.json", "--keep-float", "decode",
            "--output", f"{seed}.onnx", "--report", f"{seed}.json", PYTHONHASHSEED=seed,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    for suffix in ("onnx", "json"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "end2end"), [("yolo11n", False), ("yolo26n", False), ("yolo26n", True)])
def test_real_exports(
    zoo: Path, tmp_path: Path, run_step_at: Callable[..., Any], name: str, *, end2end: bool
) -> None:
    np = pytest.importorskip("numpy")
    np.save(tmp_path / "t.npy", np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32))
    shutil.copy(zoo / f"{name}.pt", tmp_path / "w.pt")
    steps: list[list[object]] = [
        ["export", "--weights", "w.pt", "--task", "detect", "--imgsz", 64, 64, "--simplify",
         "--model", "m.onnx", "--info", "m.json", *(["--end2end"] if end2end else [])],
        ["preprocess", "--model", "m.onnx", "--output", "p.onnx"],
        ["ranges", "--model", "p.onnx", "--tensors", "t.npy", "--output", "r.json"],
        ["quantize", "--model", "p.onnx", "--ranges", "r.json", "--per-channel",
         "--keep-float", "decode", "last", "--output", "q.onnx", "--report", "q.json"],
    ]  # fmt: skip
    for step in steps:
        done = run_step_at(tmp_path, *step)
        assert done.returncode == 0, done.stderr
    nodes = json.loads((tmp_path / "q.json").read_text(encoding="utf-8"))["nodes"]
    assert nodes["float_by_type"]["Conv"] == (7 if name == "yolo11n" else 6)
    assert nodes["quantized_by_type"]["Conv"] > 50
    done = run_step_at(
        tmp_path,
        "quantize",
        "--model",
        "p.onnx",
        "--ranges",
        "r.json",
        "--output",
        "n.onnx",
        "--report",
        "n.json",
    )
    assert done.returncode == 3
    assert "joins box coordinates and scores" in done.stderr
