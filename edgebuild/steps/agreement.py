"""Compare what two artifacts make of one image: ``python -m edgebuild.steps.agreement``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt


HUGE = 1e6
"""Stands for figures that are none, such as those of values that are no numbers."""


def main(argv: Sequence[str]) -> None:
    """Read two golden files and write one row per output."""
    import numpy as np

    parser = argparse.ArgumentParser(prog="edgebuild.steps.agreement", description=__doc__)
    parser.add_argument("--reference", required=True, help="golden.npz of the float model")
    parser.add_argument("--other", required=True, help="golden.npz of the artifact")
    parser.add_argument("--output", required=True)
    options = parser.parse_args(argv)
    with np.load(options.reference) as reference, np.load(options.other) as other:
        write_json(options.output, {"schema": 1, "outputs": compare(reference, other)})


def compare(
    reference: Mapping[str, npt.NDArray[Any]], other: Mapping[str, npt.NDArray[Any]]
) -> list[dict[str, Any]]:
    """Return shape, worst deviation and largest difference of each output; no figures where shapes differ.

    Where an artifact's head was cut, what is left to do was done after it: the decoded outputs count.
    """
    reference, other = _whole(reference), _whole(other)
    rows = []
    for name in sorted(set(reference) | set(other)):
        if name.startswith("output_"):
            shapes = [list(arrays[name].shape) if name in arrays else [] for arrays in (reference, other)]
            row: dict[str, Any] = {"name": name, "expected": shapes[0], "shape": shapes[1]}
            if shapes[0] == shapes[1]:
                row |= _figures(reference[name], other[name])
            rows.append(row)
    return rows


def _whole(arrays: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
    """Return the outputs of the whole model, ``output_0`` and on, decoded where that was left to do."""
    decoded = [name for name in arrays if name.startswith("decoded_")]
    return {f"output_{name.removeprefix('decoded_')}": arrays[name] for name in decoded} or arrays


def _figures(wanted: npt.NDArray[Any], found: npt.NDArray[Any]) -> dict[str, float]:
    """Return the worst deviation of a channel, and the largest difference.

    Pixels and scores stand in one output: over all of it nobody would see that the scores are wrong.
    """
    import numpy as np

    wanted, found = (array.astype(np.float64) for array in (wanted, found))
    by_channel = wanted.ndim == 3 and wanted.shape[1] < wanted.shape[2]
    pairs = [(wanted[:, c], found[:, c]) for c in range(wanted.shape[1])] if by_channel else [(wanted, found)]
    largest = float(np.abs(wanted - found).max(initial=0.0))
    figures = {"deviation": max(_deviation(*pair) for pair in pairs), "max_abs": largest}
    return {name: round(value, 6) if np.isfinite(value) else HUGE for name, value in figures.items()}


def _deviation(wanted: npt.NDArray[Any], found: npt.NDArray[Any]) -> float:
    """Return the root mean square of the differences, as a share of how far the wanted values spread.

    Values that follow from another image come to more than 1, and so do values of another scale.
    """
    import numpy as np

    difference = float(np.sqrt(np.mean((wanted - found) ** 2))) if wanted.size else 0.0
    spread = float(wanted.std()) if wanted.size else 0.0
    return difference / spread if spread else difference and HUGE


if __name__ == "__main__":
    run_step(main)
