from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.suggest import did_you_mean, listed, near_file

if TYPE_CHECKING:
    from pathlib import Path


def test_the_nearest_word_is_suggested_in_its_own_spelling() -> None:
    assert did_you_mean("bacth", ["batch", "cpu"]) == "did you mean 'batch'?"
    assert did_you_mean("ascend310p3", ["Ascend310P3", "Ascend910"]) == "did you mean 'Ascend310P3'?"


def test_the_beginning_of_a_word_is_near() -> None:
    assert (
        did_you_mean("onnx", ["onnxruntime", "onnxruntime-gpu", "tensorrt"]) == "did you mean 'onnxruntime'?"
    )
    assert did_you_mean("o", ["onnxruntime"]) == did_you_mean("", ["onnxruntime"]) == ""


def test_without_a_near_word_the_alternative_is_said() -> None:
    assert did_you_mean("zebra", ["batch"], otherwise="known: batch") == "known: batch"
    assert did_you_mean("zebra", []) == ""


def test_long_lists_are_cut() -> None:
    assert listed("abc") == "a, b, c"
    assert listed("abcd", most=2) == "a, b and 2 more"


def test_only_files_of_nearly_the_same_name_are_suggested(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()

    assert near_file(tmp_path / "wieghts.pt") == "did you mean 'weights.pt'?"
    assert near_file(tmp_path / "model.pt") == ""
    assert near_file(tmp_path / "nowhere" / "weights.pt") == ""
