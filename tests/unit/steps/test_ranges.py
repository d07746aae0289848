from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import preprocess, ranges
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


@pytest.fixture
def run(detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Measure the small detector on forty random tensors and return the document."""
    np = pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    preprocess.main(["--model", detector.name, "--output", "p.onnx"])
    np.save("t.npy", np.random.default_rng(0).random((40, 3, 8, 8), dtype=np.float32))

    def start(*arguments: object) -> dict[str, Any]:
        common = ["--model", "p.onnx", "--tensors", "t.npy", "--output", "out/r.json"]
        ranges.main([*common, *map(str, arguments)])
        document: dict[str, Any] = json.loads((tmp_path / "out/r.json").read_text(encoding="utf-8"))
        return document

    return start


def test_minmax_is_the_minimum_and_maximum_over_all_images(run: Callable[..., dict[str, Any]]) -> None:
    np = pytest.importorskip("numpy")
    onnxruntime = pytest.importorskip("onnxruntime")
    document = run()
    tensors = np.load("t.npy")
    session = onnxruntime.InferenceSession("p.onnx", providers=["CPUExecutionProvider"])
    results = [session.run(["output0"], {"images": tensor[None]})[0] for tensor in tensors]
    low, high = document["tensors"]["output0"]
    assert np.isclose(low, min(result.min() for result in results), rtol=1e-6)
    assert np.isclose(high, max(result.max() for result in results), rtol=1e-6)
    assert document["tensors"]["images"] == [float(tensors.min()), float(tensors.max())]
    assert (document["method"], document["images"]) == ("minmax", 40)


def test_every_activation_is_measured_and_sorted(run: Callable[..., dict[str, Any]]) -> None:
    tensors = run()["tensors"]
    assert list(tensors) == sorted(tensors)
    assert {"images", "stem", "relu", "box0", "class1", "pixels", "chance", "output0"} <= tensors.keys()
    assert not any(name.startswith("stem.") for name in tensors)


def test_the_size_of_a_chunk_does_not_change_minmax(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run()
    monkeypatch.setattr(ranges, "_CHUNK_IMAGES", 3)
    assert run() == whole


def test_the_first_images_can_be_enough(run: Callable[..., dict[str, Any]]) -> None:
    few, all_of_them = run("--images", 2), run()
    assert few["images"] == 2
    assert few["tensors"]["images"][1] <= all_of_them["tensors"]["images"][1]
    assert few != all_of_them


def test_percentile_cuts_the_tails(run: Callable[..., dict[str, Any]]) -> None:
    full = run()["tensors"]["stem"]
    cut = run("--method", "percentile", "--percentile", 90)
    assert cut["percentile"] == 90
    low, high = cut["tensors"]["stem"]
    assert full[0] < low < high < full[1]


def test_entropy_stays_inside_the_extremes(run: Callable[..., dict[str, Any]]) -> None:
    full = run()["tensors"]["stem"]
    low, high = run("--method", "entropy")["tensors"]["stem"]
    assert full[0] <= low < high <= full[1]


def test_a_batch_that_does_not_divide_the_images(
    run: Callable[..., dict[str, Any]], tmp_path: Path, build_detector: Callable[..., Any]
) -> None:
    single = run()["tensors"]
    (tmp_path / "b.onnx").write_bytes(build_detector(batch=16).SerializeToString())
    preprocess.main(["--model", "b.onnx", "--output", "p.onnx"])
    batched = run()["tensors"]
    assert batched.keys() == single.keys()
    assert all(batched[name] == pytest.approx(single[name], rel=1e-5) for name in single)


def test_the_bytes_do_not_depend_on_the_hash_seed(
    run: Callable[..., dict[str, Any]], tmp_path: Path, run_step_at: Callable[..., Any]
) -> None:
    run()
    for seed in ("1", "2"):
        done = run_step_at(
            tmp_path, "ranges", "--model", "p.onnx", "--tensors", "t.npy", "--method", "percentile",
            "--output", f"{seed}.json", PYTHONHASHSEED=seed,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "@progress 40/40 images" in done.stdout
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_fewer_images_than_asked_for_is_refused(run: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(StepFailure, match=r"t\.npy: holds 40 images, 41 were asked for"):
        run("--images", 41)


def test_tensors_of_another_size_are_refused(run: Callable[..., dict[str, Any]]) -> None:
    np = pytest.importorskip("numpy")
    np.save("t.npy", np.zeros((2, 3, 16, 8), np.float32))
    with pytest.raises(StepFailure, match=r"t\.npy: holds float32 \[2, 3, 16, 8\]"):
        run()


def test_a_damaged_array_file_is_named(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "t.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00cut")
    with pytest.raises(StepFailure, match=r"t\.npy: not an array file"):
        run()


def test_infinities_are_refused_with_the_tensor(run: Callable[..., dict[str, Any]]) -> None:
    np = pytest.importorskip("numpy")
    np.save("t.npy", np.full((1, 3, 8, 8), np.inf, np.float32))
    with pytest.raises(StepFailure, match=r"tensor .*: its range on the calibration images is"):
        run()


@pytest.mark.parametrize("percentile", [50, 100.1])
def test_a_percentile_that_makes_no_sense_is_refused(
    run: Callable[..., dict[str, Any]], percentile: float
) -> None:
    with pytest.raises(StepFailure, match="--percentile"):
        run("--method", "percentile", "--percentile", percentile)


def test_memory_decides_the_chunk_by_shapes_alone(build_detector: Callable[..., Any]) -> None:
    onnx = pytest.importorskip("onnx")
    small = onnx.shape_inference.infer_shapes(build_detector())
    assert ranges.images_per_chunk(small) == 16
    large = build_detector(size=20_000)
    assert ranges.images_per_chunk(onnx.shape_inference.infer_shapes(large)) == 1
