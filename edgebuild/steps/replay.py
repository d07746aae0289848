"""Run a package's golden input through its artifact: ``python -m edgebuild.steps.replay``.

It proves that the artifact computes here what it computed when it was validated. Where it cannot run here,
the answer is ``not replayed`` and why; that is not a failure. What ONNX Runtime does not run needs its
toolchain's runtime file, and the place where that runs (``EDGEBUILD_RUNTIME``), as for a validation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.errors import EdgebuildError
from edgebuild.package import extract
from edgebuild.steps._step import StepFailure, fail, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from edgebuild.package import Verification

SCHEMA = 1

TOLERANCE = 1e-3
"""Absolute, and relative to the expected value: other processors round otherwise, but not by more."""


def main(argv: Sequence[str]) -> None:
    """Write ``{"schema", "status", "why", "tolerance", "outputs"}``."""
    options = _arguments(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "package"
        try:
            verification = extract(options.package, folder)
        except EdgebuildError as error:
            fail(error.message, hint=error.hint)
        document = replay(folder, verification, options.runtime)
    write_json(options.output, document)
    print(f"{document['status']}: {document['why']}" if document["why"] else document["status"])
    for row in document["outputs"]:
        print(f"{row['name']}: largest error {row['max_abs_error']}")


def replay(folder: Path, verification: Verification, runtime: str | None = None) -> dict[str, Any]:
    """Run the golden input of an unpacked package and compare.

    Args:
        folder: Where the package was unpacked.
        verification: What verifying it said.
        runtime: The toolchain's runtime file; None: ONNX Runtime.

    Returns:
        ``status`` is ``matches``, ``differs`` or ``not replayed``; ``outputs`` has one row per output.
    """
    if not (folder / "golden.npz").is_file():
        return _document("not replayed", "the package has no golden.npz")
    if runtime is None and not verification.artifact.endswith(".onnx"):
        return _document("not replayed", f"only the runtime of {verification.toolchain} runs the artifact")
    try:
        import numpy as np

        with np.load(folder / "golden.npz", allow_pickle=False) as arrays:
            golden = {name: arrays[name] for name in arrays.files}
        info = verification.documents["model.json"]
        outputs = _outputs(folder / verification.artifact, info, golden, runtime)
    except ModuleNotFoundError as missing:
        return _document("not replayed", f"the package {missing.name!r} is not installed")
    except StepFailure as failure:
        return _document("not replayed", str(failure))
    except (OSError, ValueError) as error:
        fail(f"golden.npz cannot be read: {error}", hint="build the package again")
    rows = compare(golden, outputs)
    differs = [row["name"] for row in rows if not row["matches"]]
    return _document(
        "differs" if differs else "matches",
        f"{', '.join(differs)} differs by more than {TOLERANCE:g}" if differs else "",
        rows,
    )


def compare(
    golden: Mapping[str, npt.NDArray[Any]], outputs: Sequence[npt.NDArray[Any]]
) -> list[dict[str, Any]]:
    """Compare outputs with the golden ones.

    Args:
        golden: ``output_0``, ``output_1``, ... among others.
        outputs: What the artifact gave, with the golden input repeated to its batch size.

    Returns:
        Per golden output its name, shape, largest absolute error, and whether every value is within
        :data:`TOLERANCE`; an output that is missing or of another shape does not match.
    """
    names = sorted(name for name in golden if name.startswith("output_"))
    return [_row(name, golden[name], outputs) for name in names]


def _row(name: str, expected: npt.NDArray[Any], outputs: Sequence[npt.NDArray[Any]]) -> dict[str, Any]:
    import numpy as np

    index = int(name.removeprefix("output_"))
    given = outputs[index][: len(expected)] if index < len(outputs) else None
    row: dict[str, Any] = {"name": name, "shape": list(expected.shape), "max_abs_error": None}
    if given is None or given.shape != expected.shape:
        return row | {"matches": False}
    error = np.abs(given.astype(np.float64) - expected.astype(np.float64))
    largest = float(error.max()) if error.size else 0.0
    close = bool(np.all(error <= TOLERANCE + TOLERANCE * np.abs(expected.astype(np.float64))))
    return row | {"max_abs_error": round(largest, 6) if np.isfinite(largest) else None, "matches": close}


def _outputs(
    artifact: Path, info: Mapping[str, Any], golden: Mapping[str, npt.NDArray[Any]], runtime: str | None
) -> list[npt.NDArray[Any]]:
    from edgebuild.steps._runtime import open_artifact

    return open_artifact(str(artifact), info, threads=1, runtime=runtime).raw(_image(golden))


def _image(golden: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Return the golden input, (1, channels, height, width) from 0 to 1."""
    import numpy as np

    if "image_u8" in golden:
        image: npt.NDArray[np.float32] = golden["image_u8"].astype(np.float32) / np.float32(255)
    elif "image" in golden:
        image = golden["image"].astype(np.float32)
    else:
        fail("golden.npz has no input image", hint="build the package again")
    return image[None]


def _document(status: str, why: str, outputs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "status": status,
        "why": why,
        "tolerance": TOLERANCE,
        "outputs": list(outputs),
    }


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.replay", description=__doc__)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--runtime", help="runtime.py of a toolchain; ONNX Runtime otherwise")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_step(main)
