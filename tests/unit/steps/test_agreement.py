from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps.agreement import compare, main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.yolo


def arrays(**given: list[Any]) -> dict[str, Any]:
    import numpy as np

    return {name: np.array(value, np.float32) for name, value in given.items()}


def test_equal_and_scaled_outputs_point_the_same_way() -> None:
    rows = compare(arrays(output_0=[[1, 2], [3, 4]]), arrays(output_0=[[2, 4], [6, 8]]))
    assert rows == [
        {"name": "output_0", "expected": [2, 2], "shape": [2, 2], "cosine": 1.0, "max_abs": 4.0},
    ]


def test_scores_that_are_wrong_show_beside_pixels_that_are_right() -> None:
    pixels = [10.0, 200.0, 300.0]
    rows = compare(arrays(output_0=[[pixels, [0.9, 0.1, 0.1]]]), arrays(output_0=[[pixels, [0.1, 0.1, 0.9]]]))
    assert rows[0]["cosine"] < 0.5


def test_another_shape_and_a_missing_output_have_no_figures() -> None:
    rows = compare(arrays(output_0=[[1, 2, 3]], output_1=[1]), arrays(output_0=[[1], [2], [3]]))
    assert rows == [
        {"name": "output_0", "expected": [1, 3], "shape": [3, 1]},
        {"name": "output_1", "expected": [1], "shape": []},
    ]


def test_of_a_cut_head_the_decoded_outputs_are_compared() -> None:
    cut = arrays(output_0=[[1, 2, 3]], output_1=[[4, 5, 6]], decoded_0=[[1, 2]])
    (row,) = compare(arrays(output_0=[[1, 2]]), cut)
    assert (row["shape"], row["cosine"]) == ([1, 2], 1.0)


def test_values_that_are_no_numbers_do_not_agree() -> None:
    (row,) = compare(arrays(output_0=[1, 2]), arrays(output_0=[float("nan"), 2]))
    assert row["cosine"] == 0.0


def test_nothing_at_all_agrees_with_nothing_at_all() -> None:
    assert compare(arrays(output_0=[0, 0]), arrays(output_0=[0, 0]))[0]["cosine"] == 1.0
    assert compare(arrays(output_0=[0, 0]), arrays(output_0=[0, 1]))[0]["cosine"] == 0.0


def test_the_program_reads_two_golden_files(tmp_path: Path) -> None:
    import numpy as np

    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", image_u8=np.zeros(3), output_0=np.ones(4))
    words = ["--reference", str(tmp_path / "a.npz"), "--other", str(tmp_path / "b.npz")]
    main([*words, "--output", str(tmp_path / "o.json")])
    document = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert [row["cosine"] for row in document["outputs"]] == [1.0]
