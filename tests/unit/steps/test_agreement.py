from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps.agreement import HUGE, compare, main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.yolo


def arrays(**given: list[Any]) -> dict[str, Any]:
    import numpy as np

    return {name: np.array(value, np.float32) for name, value in given.items()}


def deviation(wanted: list[Any], found: list[Any]) -> float:
    (row,) = compare(arrays(output_0=wanted), arrays(output_0=found))
    return float(row["deviation"])


def test_differences_are_a_share_of_how_far_values_spread() -> None:
    rows = compare(arrays(output_0=[0, 2, 4, 6]), arrays(output_0=[1, 1, 5, 5]))
    assert rows == [
        {"name": "output_0", "expected": [4], "shape": [4], "deviation": 0.447214, "max_abs": 1.0},
    ]
    assert deviation([0, 2, 4, 6], [0, 2, 4, 6]) == 0


def test_another_scale_another_offset_and_another_order_show() -> None:
    assert deviation([0, 1, 2, 3], [0, 2, 4, 6]) > 1
    assert deviation([0, 1, 2, 3], [2, 3, 4, 5]) > 1
    assert deviation([0, 1, 2, 3], [3, 2, 1, 0]) > 1


def test_scores_that_are_wrong_show_beside_pixels_that_are_right() -> None:
    pixels = [10.0, 200.0, 300.0]
    assert deviation([[pixels, [0.9, 0.1, 0.1]]], [[pixels, [0.1, 0.1, 0.9]]]) > 1


def test_another_shape_and_a_missing_output_have_no_figures() -> None:
    rows = compare(arrays(output_0=[[1, 2, 3]], output_1=[1]), arrays(output_0=[[1], [2], [3]]))
    assert rows == [
        {"name": "output_0", "expected": [1, 3], "shape": [3, 1]},
        {"name": "output_1", "expected": [1], "shape": []},
    ]


def test_of_a_cut_head_the_decoded_outputs_are_compared() -> None:
    cut = arrays(output_0=[[1, 2, 3]], output_1=[[4, 5, 6]], decoded_0=[[1, 2]])
    (row,) = compare(arrays(output_0=[[1, 2]]), cut)
    assert (row["shape"], row["deviation"]) == ([1, 2], 0.0)


def test_values_that_are_no_numbers_do_not_agree() -> None:
    assert deviation([1, 2], [float("nan"), 2]) == HUGE


def test_nothing_at_all_agrees_with_nothing_at_all() -> None:
    assert deviation([0, 0], [0, 0]) == 0
    assert deviation([0, 0], [0, 1]) == HUGE


def test_the_program_reads_two_golden_files(tmp_path: Path) -> None:
    import numpy as np

    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", image_u8=np.zeros(3), output_0=np.ones(4))
    words = ["--reference", str(tmp_path / "a.npz"), "--other", str(tmp_path / "b.npz")]
    main([*words, "--output", str(tmp_path / "o.json")])
    document = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    assert [row["deviation"] for row in document["outputs"]] == [0.0]
