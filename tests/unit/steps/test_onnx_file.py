from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps import _onnx_file
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\x08\x08"])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(StepFailure, match=r"model\.onnx: not an ONNX model"):
        _onnx_file.load_onnx(tmp_path / "model.onnx")


def test_a_truncated_model_is_named(detector: Path) -> None:
    detector.write_bytes(detector.read_bytes()[:-300])
    with pytest.raises(StepFailure, match=r"detector\.onnx: not an? (valid )?ONNX model"):
        _onnx_file.load_onnx(detector)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailure, match=r"gone\.onnx: no such file"):
        _onnx_file.load_onnx(tmp_path / "gone.onnx")


def test_a_model_with_its_weights_in_another_file_is_refused(
    tmp_path: Path, build_detector: Callable[..., Any]
) -> None:
    onnx = pytest.importorskip("onnx")
    onnx.save(
        build_detector(), tmp_path / "m.onnx", save_as_external_data=True, location="m.data",
        size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    with pytest.raises(
        StepFailure, match=r"m\.onnx: keeps .* in another file, m\.data; write it as one file"
    ):
        _onnx_file.load_onnx(tmp_path / "m.onnx")


def test_weights_outside_that_no_file_could_hold_cannot_be_moved_in(
    build_detector: Callable[..., Any],
) -> None:
    onnx = pytest.importorskip("onnx")
    model = build_detector()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "m.data", offset=0, length=3 << 30)
    with pytest.raises(StepFailure, match=r"keeps 3\.22 GB .* use a smaller model"):
        _onnx_file.refuse_external_data(model, name="m.onnx")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "m.onnx").open("wb") as stream:
        stream.truncate(_onnx_file.LARGEST + 1)  # a hole: nothing is written
    with pytest.raises(StepFailure, match=r"m\.onnx: holds 2\.1 GB, an ONNX file at most 2\.1"):
        _onnx_file.load_onnx(tmp_path / "m.onnx")


def test_a_quantized_model_is_refused(build_detector: Callable[..., Any]) -> None:
    helper = pytest.importorskip("onnx.helper")
    model = build_detector()
    _onnx_file.refuse_reduced(model, name="m.onnx")
    model.graph.node.insert(0, helper.make_node("QuantizeLinear", ["images", "s", "z"], ["q"], name="first"))
    with pytest.raises(StepFailure, match=r"m\.onnx: is quantized already \(QuantizeLinear at node first\)"):
        _onnx_file.refuse_reduced(model, name="m.onnx")


def test_a_model_in_half_precision_is_refused(build_detector: Callable[..., Any]) -> None:
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    model = build_detector()
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "stem.w")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float16"), "stem.w"))
    with pytest.raises(StepFailure, match=r"half precision: 1 of its tensors are float16, such as stem\.w"):
        _onnx_file.refuse_reduced(model, name="m.onnx")


def test_the_order_of_metadata_does_not_change_the_bytes(
    tmp_path: Path, build_detector: Callable[..., Any]
) -> None:
    for name, metadata in (("a", {"x": "1", "y": "2"}), ("b", {"y": "2", "x": "1"})):
        _onnx_file.save_onnx(build_detector(metadata=metadata), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_host_traces_go_and_the_rest_stays(build_detector: Callable[..., Any]) -> None:
    metadata = {
        "date": "2026-01-02T03:04:05",
        "description": "Ultralytics YOLO11n model trained on /home/me/data.yaml",
        "args": "{'batch': 1, 'data': '/home/me/data.yaml', 'opset': 17}",
        "names": "{0: 'a'}",
    }
    model = build_detector(metadata=metadata)
    model.doc_string = "exported by /home/me/train.py"
    model.graph.node[0].doc_string = 'File "/home/me/train.py", line 3'

    _onnx_file.remove_host_traces(model)

    assert _onnx_file.read_metadata(model) == {
        "description": "Ultralytics YOLO11n model", "args": "{'batch': 1, 'opset': 17}", "names": "{0: 'a'}",
    }  # fmt: skip
    assert b"/home/me" not in model.SerializeToString()


def test_arguments_that_are_no_dictionary_stay_as_they_are(build_detector: Callable[..., Any]) -> None:
    model = build_detector(metadata={"args": "--fast"})
    _onnx_file.remove_host_traces(model)
    assert _onnx_file.read_metadata(model) == {"args": "--fast"}


def test_every_node_gets_a_name_of_its_own(build_detector: Callable[..., Any]) -> None:
    model = build_detector()
    model.graph.node[0].name = ""
    model.graph.node[2].name = model.graph.node[1].name
    _onnx_file.name_nodes(model)
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert names[0].startswith("Conv")


def test_unused_operator_sets_go(build_detector: Callable[..., Any]) -> None:
    model = build_detector()
    entry = model.opset_import.add()
    entry.domain, entry.version = "com.example", 1
    _onnx_file.remove_unused_domains(model)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]


def test_input_shape_and_type(build_detector: Callable[..., Any]) -> None:
    image = _onnx_file.input_of(build_detector(batch="batch", size="side"), name="x")
    assert _onnx_file.shape_of(image) == ["batch", 3, "side", "side"]
    assert _onnx_file.dtype_of(image) == "float32"


def test_a_model_with_two_inputs_is_refused(build_detector: Callable[..., Any]) -> None:
    model = build_detector()
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[1].name = "mask"
    with pytest.raises(StepFailure, match=r"needs exactly one input, has 2 \(images, mask\)"):
        _onnx_file.input_of(model, name="x.onnx")
