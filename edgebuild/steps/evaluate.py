"""Score an artifact on the validation images: ``python -m edgebuild.steps.evaluate``."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._dataset import read_dataset
from edgebuild.steps._protocol import Protocol, Scores, check_model, images_digest, validate
from edgebuild.steps._runtime import fixed_batch, open_artifact
from edgebuild.steps._step import fail, read_json, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every archive member, so that equal arrays are equal bytes."""


def main(argv: Sequence[str]) -> None:
    """Validate, then write the metrics and one golden input with its outputs."""
    options = _parse(argv)
    info = read_json(options.info)
    dataset = read_dataset(options.dataset)
    imgsz = (options.imgsz[0], options.imgsz[1])
    check_model(info, dataset, task=options.task, imgsz=imgsz)
    artifact = open_artifact(options.artifact, info, threads=options.threads, runtime=options.runtime)
    protocol = Protocol(
        task=options.task,
        imgsz=imgsz,
        confidence=options.confidence,
        iou=options.iou,
        max_detections=options.max_detections,
        batch=fixed_batch(info) or 1,
    )
    _limit_torch()
    scores = validate(
        artifact, protocol, dataset, options.validation, end2end=bool(info.get("end2end", False))
    )
    if scores.ignored:
        # A score over fewer images than the dataset holds would compare with nothing.
        named = ", ".join(scores.ignored[:5]) + (", ..." if len(scores.ignored) > 5 else "")
        what = f"{len(scores.ignored)} validation images cannot be used, or their labels cannot: {named}"
        fail(what, hint="`edgebuild check` says what is wrong with each")
    digest = images_digest(options.validation)
    write_json(options.metrics, _document(options.evidence, protocol, scores, digest))
    outputs = artifact.raw(scores.first)
    golden = golden_arrays(scores.first, outputs)
    if artifact.head.get("kind", "full") != "full":
        golden |= {f"decoded_{index}": one for index, one in enumerate(artifact.decoded(outputs))}
    write_npz(options.golden, golden)


def golden_arrays(
    image: npt.NDArray[np.float32], outputs: Sequence[npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Return what another runtime needs to prove that it computes the same.

    Args:
        image: One preprocessed input, (1, channels, height, width).
        outputs: What the artifact makes of it.

    Returns:
        ``image_u8`` (channels, height, width), the input times 255, or ``image`` as it is where its values
        are no 255ths; and ``output_0``, ``output_1``, ...
    """
    import numpy as np

    levels = np.rint(image[0] * 255).astype(np.uint8)
    exact = np.array_equal(levels.astype(np.float32) / np.float32(255), image[0])
    arrays: dict[str, npt.NDArray[Any]] = {"image_u8": levels} if exact else {"image": image[0]}
    return arrays | {f"output_{index}": output for index, output in enumerate(outputs)}


def write_npz(path: str | Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an ``.npz`` file whose bytes depend on the arrays alone: no dates, no compression library."""
    import numpy as np

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", ZIP_DATE)
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def _document(evidence: str, protocol: Protocol, scores: Scores, digest: str) -> dict[str, Any]:
    """Return the metrics file: no time, host or path is in it, so a rerun gives the same bytes."""
    return {
        "schema": 1,
        "evidence": evidence,
        "protocol": {
            "task": protocol.task,
            "images": scores.images,
            "images_digest": digest,
            "ignored": len(scores.ignored),
            "confidence": protocol.confidence,
            "iou": protocol.iou,
            "max_detections": scores.max_detections,
            "imgsz": list(protocol.imgsz),
        },
        "metrics": scores.metrics,
    }


def _limit_torch() -> None:
    """Give torch one thread: its tensors are small here, and its threads would fight the artifact's."""
    import torch

    torch.set_num_threads(1)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.evaluate", description=__doc__)
    parser.add_argument("--artifact", required=True, help="what to score: a file or a folder")
    parser.add_argument("--info", required=True, help="the model's description (model.json)")
    parser.add_argument("--dataset", required=True, help="class names and task (dataset.json)")
    parser.add_argument("--validation", required=True, help="tree with the validation split's files")
    parser.add_argument("--task", required=True)
    parser.add_argument("--imgsz", type=int, nargs=2, metavar=("H", "W"), required=True)
    parser.add_argument("--confidence", type=float, default=0.001)
    parser.add_argument("--iou", type=float, default=0.7)
    parser.add_argument("--max-detections", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evidence", choices=("host", "proxy", "emulator", "device"), required=True)
    parser.add_argument("--runtime", help="runtime.py of a toolchain; ONNX Runtime otherwise")
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--golden", required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_step(main)
