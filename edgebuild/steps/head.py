"""End a model at its last convolutions, or with boxes from 0 to 1: ``python -m edgebuild.steps.head``.

What is left to do is in ``_decode``. The result is proven before it is written: both models run on the same
image, and the decoded outputs have to be the whole model's.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from edgebuild.steps import _head
from edgebuild.steps._onnx_file import load_onnx, name_nodes, save_onnx
from edgebuild.steps._ort import first_line, import_onnxruntime
from edgebuild.steps._step import fail, read_json, run_step, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

PIXELS = 0.05
"""Greatest difference of a coordinate in pixels that rounding explains."""

SHARE = 0.97
"""Rows of an end-to-end head that must be found again: of almost equal scores others may be chosen."""


def main(argv: Sequence[str]) -> None:
    """Read the arguments, rewrite the head, prove it, and write the model and its description."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.head", description=__doc__)
    parser.add_argument("--model", required=True, help="exported ONNX model")
    parser.add_argument("--info", required=True, help="its description (model.json)")
    parser.add_argument("--head", choices=("normalised", "cut"), required=True)
    parser.add_argument("--output", required=True, help="where to write the model")
    parser.add_argument("--output-info", required=True, help="where to write its description")
    arguments = parser.parse_args(argv)
    model, info = load_onnx(arguments.model), read_json(arguments.info)
    if info.get("dynamic"):
        fail("the model has dynamic shapes", hint="set model.export.dynamic to false, or use `head: full`")
    name_nodes(model)
    rewritten, described = rewrite(model, info, kind=arguments.head)
    save_onnx(rewritten, arguments.output)
    write_json(arguments.output_info, described)


def rewrite(model: Any, info: Mapping[str, Any], *, kind: str) -> tuple[Any, dict[str, Any]]:
    """Return the model with another head, and its description.

    Args:
        model: An ``onnx.ModelProto`` as exported, whose nodes all have names.
        info: Its description (model.json).
        kind: ``normalised`` or ``cut``.

    Raises:
        StepFailure: The head is not known, or what is left to do does not give the whole model's outputs.
    """
    from edgebuild.steps._decode import decode

    changed, proposals = (_head.cut if kind == "cut" else _head.normalise)(model, info)
    image = _image(info)
    whole, found = _run(model, image), _run(changed, image)
    head = next((one for one in proposals if same_outputs(whole, decode(found, one), info)), None)
    if head is None:
        fail(f"the model's head is not known: decoding the {kind} outputs does not give the whole model's",
             hint="use `head: full`")  # fmt: skip
    _head.mark(changed, kind)
    if kind == "cut":
        head = _head.order_outputs(changed, head)
        known = {row["name"]: row for row in info["outputs"]}
        outputs = [known.get(row["name"], row) for row in _head.name_outputs(changed, head)]
    else:
        first, *others = info["outputs"]
        outputs = [first | {"layout": first["layout"].replace("in pixels", "from 0 to 1")}, *others]
    return changed, dict(info) | {"head": head, "outputs": outputs}


def same_outputs(
    whole: Sequence[npt.NDArray[np.float32]],
    decoded: Sequence[npt.NDArray[np.float32]],
    info: Mapping[str, Any],
) -> bool:
    """Say whether decoded outputs are those of the whole model, up to rounding.

    Args:
        whole: Outputs of the model as exported.
        decoded: What was made of the other model's.
        info: The exported model's description.
    """
    import numpy as np

    if [one.shape for one in whole] != [one.shape for one in decoded]:
        return False
    first, second = whole[0], decoded[0]
    if info.get("end2end"):
        rows = np.abs(first[0][:, None] - second[0][None]).max(axis=2).min(axis=1)
        return bool((rows < PIXELS).mean() >= SHARE and np.allclose(first[..., 4], second[..., 4], atol=1e-4))
    if not np.allclose(first, second, rtol=1e-3, atol=PIXELS):
        return False
    start, end = (0, None) if info["task"] == "classify" else (4, 4 + len(info["names"]))
    scores = np.allclose(first[:, start:end], second[:, start:end], rtol=1e-2, atol=1e-6)
    rest = all(np.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(whole[1:], decoded[1:], strict=True))
    return scores and rest


def _image(info: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Return a fixed image with something on every scale: noise over coarse patches."""
    import numpy as np

    shape = [int(side) for side in info["input"]["shape"]]
    random = np.random.default_rng(0)
    coarse = random.random((*shape[:2], -(-shape[2] // 32), -(-shape[3] // 32)), dtype=np.float32)
    patches = coarse.repeat(32, axis=2).repeat(32, axis=3)[:, :, : shape[2], : shape[3]]
    return np.asarray(0.7 * patches + 0.3 * random.random(shape, dtype=np.float32), dtype=np.float32)


def _run(model: Any, image: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        outputs: list[npt.NDArray[np.float32]] = session.run(None, {session.get_inputs()[0].name: image})
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises bare exceptions of many kinds
        fail(f"the model cannot run ({first_line(error)})", hint="see whether the exported model runs")
    return outputs


if __name__ == "__main__":
    run_step(main)
