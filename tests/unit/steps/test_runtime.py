from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps._runtime import Artifact, fixed_batch, open_artifact
from edgebuild.steps._step import StepFailure
from tests.unit.steps.fixtures_evaluate import write_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("info", "batch"),
    [
        ({"dynamic": True, "batch": 4}, None),
        ({"dynamic": False, "batch": 4}, 4),
        ({"batch": 1, "input": {"shape": [2, 3, 64, 64]}}, 2),
        ({"batch": 1, "input": {"shape": ["batch", 3, 64, 64]}}, None),
    ],
)
def test_batch_the_model_was_built_for(info: dict[str, Any], batch: int | None) -> None:
    assert fixed_batch(info) == batch


@pytest.mark.yolo
def test_a_short_batch_is_filled_and_cut_back() -> None:
    import numpy as np

    seen = []

    def infer(images: Any) -> list[Any]:
        seen.append(images.copy())
        return [images.sum((1, 2, 3)), images[:, :1]]

    images = np.ones((2, 3, 4, 4), np.float32)
    promised: list[dict[str, Any]] = [{"shape": [4]}, {"shape": [4, 1, 4, "width"]}]
    outputs = Artifact(infer=infer, batch=4, outputs=promised)(images)
    assert seen[0].shape == (4, 3, 4, 4)
    assert not seen[0][2:].any()
    assert outputs[0].tolist() == [48, 48]
    assert outputs[1].shape == (2, 1, 4, 4)


@pytest.mark.yolo
def test_what_the_head_leaves_to_do_is_done_behind_any_runtime() -> None:
    import numpy as np

    logits = np.log(np.array([[1.0, 3.0]], np.float32))
    head = {"kind": "cut", "task": "classify"}
    artifact = Artifact(infer=lambda _: [logits], batch=1, outputs=[{"shape": [1, 2]}], head=head)
    image = np.zeros((1, 3, 4, 4), np.float32)
    assert artifact(image)[0][0] == pytest.approx([0.25, 0.75])
    assert np.array_equal(artifact.raw(image)[0], logits)


@pytest.mark.yolo
def test_onnx_runtime_runs_an_artifact_bound_or_called(tmp_path: Path) -> None:
    import numpy as np

    info = write_model(tmp_path, batch=2)
    artifact = open_artifact(str(tmp_path / "artifact/model.onnx"), info, threads=2, runtime=None)
    images = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    assert artifact(images)[0].shape == (2, 7, 9)
    assert np.array_equal(artifact(images[:1])[0], artifact(images)[0][:1])
    run = artifact.bind(images)
    run()
    run()


@pytest.mark.yolo
def test_half_precision_models_are_fed_and_answer_in_single_precision(tmp_path: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper

    half = TensorProto.FLOAT16
    graph = helper.make_graph(
        [helper.make_node("Add", ["images", "images"], ["twice"])],
        "half",
        [helper.make_tensor_value_info("images", half, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("twice", half, [1, 3, 2, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "half.onnx")
    artifact = open_artifact(str(tmp_path / "half.onnx"), {"batch": 1}, threads=1, runtime=None)
    output = artifact(np.full((1, 3, 2, 2), 0.25, np.float32))[0]
    assert output.dtype == np.float32
    assert output.ravel()[0] == 0.5


@pytest.mark.yolo
def test_a_file_that_is_no_model_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(StepFailure, match="ONNX Runtime cannot open it") as caught:
        open_artifact(str(tmp_path / "model.onnx"), {}, threads=1, runtime=None)
    assert "\n" not in str(caught.value)


@pytest.mark.yolo
def test_a_wrong_input_shape_is_told_in_one_line(tmp_path: Path) -> None:
    import numpy as np

    info = write_model(tmp_path)
    artifact = open_artifact(str(tmp_path / "artifact/model.onnx"), info, threads=1, runtime=None)
    with pytest.raises(StepFailure, match=r"cannot run an input of shape \(1, 3, 32, 32\)"):
        artifact(np.zeros((1, 3, 32, 32), np.float32))


def test_a_missing_artifact_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepFailure, match="no such artifact"):
        open_artifact(str(tmp_path / "model.om"), {}, threads=1, runtime=None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "not a Python file"),
        ("x = 1\n", r"defines no load\(\)"),
        ("raise OSError('no driver')\n", "cannot be imported: no driver"),
        ("def load(artifact, info, threads):\n    raise OSError('no device')\n", "cannot load it: no device"),
    ],
)
def test_a_broken_runtime_file_is_told(tmp_path: Path, source: str | None, message: str) -> None:
    artifact, runtime = tmp_path / "model.om", tmp_path / "runtime.py"
    artifact.write_bytes(b"")
    if source is not None:
        runtime.write_text(source, encoding="utf-8")
    with pytest.raises(StepFailure, match=message):
        open_artifact(str(artifact), {}, threads=1, runtime=str(runtime))


def test_a_runtime_that_lacks_its_package_says_which(tmp_path: Path) -> None:
    artifact, runtime = tmp_path / "model.om", tmp_path / "runtime.py"
    artifact.write_bytes(b"")
    runtime.write_text("import no_such_vendor_package\n", encoding="utf-8")
    with pytest.raises(ModuleNotFoundError, match="no_such_vendor_package"):
        open_artifact(str(artifact), {}, threads=1, runtime=str(runtime))


@pytest.mark.yolo
def test_a_runtime_with_too_few_outputs_is_refused() -> None:
    import numpy as np

    artifact = Artifact(infer=lambda images: [images], batch=1, outputs=[{}, {}])
    with pytest.raises(StepFailure, match="gave 1 outputs, the float model has 2"):
        artifact(np.zeros((1, 3, 4, 4), np.float32))


@pytest.mark.yolo
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda images: [images.transpose(0, 1, 3, 2)],
            r"output 0 \(maps\) has the shape \(2, 3, 8, 4\), not \(2, 3, 4, 8\)",
        ),
        (lambda images: [images[0]], r"has the shape \(3, 4, 8\)"),
        (lambda images: [images[:1]], r"has the shape \(1, 3, 4, 8\), not \(2, 3, 4, 8\)"),
        (lambda images: images, "gave ndarray, not a list of arrays"),
        (lambda images: [images.tolist()], "gave list, not a list of arrays"),
        (lambda _: None, "gave NoneType"),
        (lambda images: [images * float("nan")], r"holds values that are no numbers \(NaN\)"),
    ],
)
def test_outputs_that_are_not_the_model_s_are_refused(change: Any, message: str) -> None:
    import numpy as np

    artifact = Artifact(infer=change, batch=None, outputs=[{"name": "maps", "shape": ["batch", 3, 4, 8]}])
    with pytest.raises(StepFailure, match=message):
        artifact.raw(np.ones((2, 3, 4, 8), np.float32))
