"""Turn weights into a canonical ONNX model: ``python -m edgebuild.steps.export``.

The same weights and options give the same bytes: what depends on the day and the machine is removed and the
rest is written in a fixed order. An ONNX model given as weights is checked and made canonical the same way.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._model_info import describe_model, is_end2end
from edgebuild.steps._onnx_file import (
    check_model,
    input_of,
    load_onnx,
    name_nodes,
    opset_of,
    read_metadata,
    refuse_reduced,
    remove_host_traces,
    save_onnx,
    shape_of,
)
from edgebuild.steps._ort import disable_telemetry
from edgebuild.steps._step import fail, run_step, write_json
from edgebuild.steps._ultralytics import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the exported model must be.

    Attributes:
        weights: A ``.pt`` or ``.onnx`` file.
        task: detect, segment, pose, classify or obb.
        imgsz: Height and width of the input in pixels.
        batch: Images per inference; ignored by a dynamic model.
        opset: Version of the standard operator set; an ONNX model may use a lower one.
        simplify: Fold and fuse with onnxslim.
        dynamic: Leave batch, height and width open.
        end2end: True: the head that selects its boxes itself. False: the one whose overlapping boxes are
            suppressed afterwards. None: that one too, unless the file holds the other alone.
    """

    weights: str
    task: str
    imgsz: tuple[int, int]
    batch: int
    opset: int
    simplify: bool
    dynamic: bool
    end2end: bool | None = None


def main(argv: Sequence[str]) -> None:
    """Read the arguments, export, and write the model and its description."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.export", description=__doc__)
    parser.add_argument("--weights", required=True, help=".pt or .onnx")
    parser.add_argument("--task", required=True)
    parser.add_argument("--imgsz", nargs=2, type=int, required=True, metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--simplify", action="store_true")
    parser.add_argument("--dynamic", action="store_true")
    parser.add_argument(
        "--end2end", action=argparse.BooleanOptionalAction, help="the head that selects its boxes itself"
    )
    parser.add_argument("--model", required=True, help="where to write the ONNX model")
    parser.add_argument("--info", required=True, help="where to write its description")
    arguments = parser.parse_args(argv)
    height, width = arguments.imgsz
    options = Options(
        weights=arguments.weights, task=arguments.task, imgsz=(height, width), batch=arguments.batch,
        opset=arguments.opset, simplify=arguments.simplify, dynamic=arguments.dynamic,
        end2end=arguments.end2end,
    )  # fmt: skip
    model = export(options)
    info = describe_model(
        model, task=options.task, name=options.weights, imgsz=options.imgsz, batch=options.batch
    )
    save_onnx(model, arguments.model)
    write_json(arguments.info, info)


def export(options: Options) -> Any:
    """Return the canonical ``onnx.ModelProto`` of the weights.

    Raises:
        StepFailure: The weights are damaged, for another task, or cannot become what the options ask for.
    """
    suffix = Path(options.weights).suffix.lower()
    if suffix == ".pt":
        model = export_weights(options)
    elif suffix == ".onnx":
        model = adapt_onnx(options)
    else:
        fail(f"{options.weights}: weights are .pt or .onnx", hint="convert them first")
    if options.simplify:
        model = simplify(model, name=options.weights)
    remove_host_traces(model)
    name_nodes(model)
    check_shape(model, options)
    check_head(model, options)
    return model


def export_weights(options: Options) -> Any:
    """Export ``.pt`` weights with Ultralytics, in the working directory and not beside the weights."""
    place = Path("export")
    place.mkdir(exist_ok=True)
    copy = place / "model.pt"
    try:
        shutil.copyfile(options.weights, copy)
    except OSError as error:
        fail(
            f"{options.weights}: cannot be read ({error.strerror})", hint="check the path and its permissions"
        )
    model = load_model(copy, task=options.task, name=options.weights)
    try:
        written = model.export(
            format="onnx", imgsz=list(options.imgsz), batch=options.batch, opset=options.opset,
            dynamic=options.dynamic, simplify=False, device="cpu", verbose=False, **_head_arguments(options),
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - torch and Ultralytics raise anything; the reason is what counts
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        fail(f"{options.weights}: the export failed: {reason}", hint="see the log above")
    exported = load_onnx(written)
    shutil.rmtree(place)
    return exported


def _head_arguments(options: Options) -> dict[str, Any]:
    """Return how this version of Ultralytics is asked for one head or the other."""
    from ultralytics.utils import DEFAULT_CFG_DICT

    if "end2end" in DEFAULT_CFG_DICT:
        return {"end2end": bool(options.end2end)}
    return {"nms": False} if options.end2end else {}


def simplify(model: Any, *, name: str) -> Any:
    """Fold constants and remove what does nothing with onnxslim; the metadata stays."""
    disable_telemetry()  # onnxslim imports ONNX Runtime
    import onnxslim

    try:
        slim = onnxslim.slim(model)
    except Exception as error:  # noqa: BLE001 - onnxslim raises anything
        fail(f"{name}: onnxslim cannot simplify it: {str(error).splitlines()[0]}",
             hint="set model.export.simplify to false")  # fmt: skip
    check_model(slim, name=name)
    if not slim.metadata_props:
        slim.metadata_props.extend(model.metadata_props)
    return slim


def adapt_onnx(options: Options) -> Any:
    """Check that an ONNX model is what the options ask for; fix open dimensions unless they may stay open."""
    model = load_onnx(options.weights)
    refuse_reduced(model, name=options.weights)
    said = read_metadata(model).get("task", options.task)
    if said != options.task:
        fail(f"{options.weights}: the weights are for task {said!r}, the manifest says {options.task!r}",
             hint=f"set model.task to {said} or use other weights")  # fmt: skip
    if opset_of(model) > options.opset:
        fail(f"{options.weights}: uses opset {opset_of(model)}, the manifest allows {options.opset}",
             hint="an opset cannot be lowered: export again, or raise model.export.opset")  # fmt: skip
    if not options.dynamic:
        fix_dimensions(model, (options.batch, 3, *options.imgsz), name=options.weights)
    return model


def fix_dimensions(model: Any, wanted: tuple[int, ...], *, name: str) -> None:
    """Give the open dimensions of the input the sizes that are wanted, and infer all other shapes anew."""
    import onnx

    image = input_of(model, name=name)
    sizes = shape_of(image)
    if len(sizes) != len(wanted) or all(isinstance(size, int) for size in sizes):
        return
    for dim, size in zip(image.type.tensor_type.shape.dim, wanted, strict=True):
        if not dim.HasField("dim_value"):
            dim.dim_value = size
    del model.graph.value_info[:]
    for output in model.graph.output:
        for dim in output.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.Clear()
    model.CopyFrom(onnx.shape_inference.infer_shapes(model, data_prop=True))


def check_shape(model: Any, options: Options) -> None:
    """Make sure that the input is what was asked for.

    Raises:
        StepFailure: It is not, and says what to change.
    """
    shape = shape_of(input_of(model, name=options.weights))
    fixed = all(isinstance(size, int) for size in shape)
    wanted = [options.batch, 3, *options.imgsz]
    if options.dynamic and fixed:
        fail(f"{options.weights}: its input is fixed to {shape}, the manifest asks for a dynamic one",
             hint="a fixed ONNX model cannot be opened: export it again with dynamic axes")  # fmt: skip
    if not options.dynamic and shape != wanted:
        fail(f"{options.weights}: its input is {shape}, the manifest asks for {wanted}",
             hint="export the ONNX model again, or set batch and imgsz to its input")  # fmt: skip


def check_head(model: Any, options: Options) -> None:
    """Make sure that the head is the one that was asked for, if one was.

    Raises:
        StepFailure: The weights do not have it, or the ONNX model has the other.
    """
    if options.end2end is None or is_end2end(model, task=options.task) is options.end2end:
        return
    if options.end2end:
        fail(f"{options.weights}: it has no head that selects its boxes itself; YOLO26 and YOLOv10 have one",
             hint="set model.export.end2end to false")  # fmt: skip
    fail(f"{options.weights}: it has only the head that selects its boxes itself",
         hint="take weights as training writes them: they have both heads")  # fmt: skip


if __name__ == "__main__":
    run_step(main)
