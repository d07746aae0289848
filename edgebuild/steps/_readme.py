"""The README.md inside a package: what this is, how to run it, what goes in and comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MEMBERS = {
    "REJECTED": "its presence says that an acceptance gate was missed",
    "calibration.json": "the images that calibrated it, by digest",
    "contents.json": "every other file here with its SHA-256 and size",
    "decode.py": "what is left to do behind the model's outputs, in NumPy: decode(outputs, head)",
    "golden.npz": "one input and the outputs expected for it, for a self-test on the device",
    "labels.txt": "class names, one per line, in the order of their ids",
    "metrics.json": "accuracy and size, where they were measured, and the protocol",
    "model.json": "preprocessing, input, outputs and class names for programs",
    "quantize.json": "what was quantized and how",
    "recipe.json": "how it was made: edgebuild's version, weights by digest, recipe and every command",
    "tools.json": "the tools that made it, by version or digest",
    "verdicts.json": "the acceptance gates and what they came to",
}

KINDS = {
    "min": "at least {}",
    "max": "at most {}",
    "max_drop": "at most {} below float",
    "max_ratio": "at most {} times float",
}

MEASURED = """\
Latency, throughput and memory differ a little in every measurement, so their values are not in this package,
which can be rebuilt byte for byte: they are in the `.measurements.json` beside it."""

CHECK = """\
`edgebuild verify PACKAGE.tar.gz` compares every file with `contents.json`. Without edgebuild, compare
`sha256sum FILE` with the value listed there."""


STARTER = {
    "device.py": "what `run.py` needs: images in, objects out",
    "shapes.py": "what `device.py` needs: overlapping boxes, rotated boxes, masks",
    "run.py": "a program to start from: loads the artifact on the device and prints what it sees",
}
"""What a toolchain may add."""


def readme(parts: Mapping[str, Any], members: Sequence[str]) -> str:
    """Return the text.

    Args:
        parts: Spec, info, metrics and verdict documents by name.
        members: Every path in the package.
    """
    spec, verdict = parts["spec"], parts["verdict"]
    artifact = sorted(path for path in members if path.startswith("artifact/"))
    lines = [
        f"# {spec['name']} {spec['version']} for {spec['target']}",
        "",
        *_status(verdict["status"]),
        *_origin(spec),
        "",
        "## Run it",
        "",
        *_run(artifact, spec, members),
        "",
        "## Input and outputs",
        "",
        *_tensors(parts["info"]),
        "",
        "## Accuracy, size and gates",
        "",
        *_figures(verdict),
        "",
        MEASURED,
        "",
        "## Files",
        "",
        *_files(members),
        "",
        "## Check it",
        "",
        CHECK,
    ]
    return "\n".join(lines) + "\n"


def _origin(spec: Mapping[str, Any]) -> Iterator[str]:
    how = f"toolchain {spec['toolchain']}, recipe {spec['recipe']}"
    yield f"Made by edgebuild {spec['edgebuild']} with {how}."
    yield ""
    yield f"- weights: SHA-256 `{spec['sources']['weights']['sha256']}`"
    if spec.get("license"):
        yield f"- license, as the model's metadata says: {' '.join(str(spec['license']).split())}"


def _status(status: str) -> Iterator[str]:
    if status == "rejected":
        yield "**Rejected: an acceptance gate was missed (see REJECTED). Do not ship it.**"
        yield ""


def _run(artifact: Sequence[str], spec: Mapping[str, Any], members: Sequence[str]) -> Iterator[str]:
    if spec.get("readme"):
        yield str(spec["readme"]).rstrip()
    elif len(artifact) == 1 and artifact[0].endswith(".onnx"):
        yield "With ONNX Runtime, where `images` is the input described below:"
        yield ""
        yield f'    session = onnxruntime.InferenceSession("{artifact[0]}")'
        yield "    outputs = session.run(None, {session.get_inputs()[0].name: images})"
    elif "run.py" in members:
        yield "On the device: `python3 run.py IMAGE...`; the first lines of `run.py` say what it needs."
    else:
        which = f"`{artifact[0]}`" if len(artifact) == 1 else "the files in `artifact/`"
        yield f"Load {which} with the runtime of {spec['toolchain']} on the device."


def _tensors(info: Mapping[str, Any]) -> Iterator[str]:
    given = info.get("input") or {}
    order = f"{given.get('channels', 'RGB')}, each value divided by 255"
    yield f"- input `{given.get('name', 'images')}`: {_shape(given.get('shape', ()))}, {order}"
    if letterbox := given.get("letterbox"):
        height, width = info.get("imgsz", ("?", "?"))
        yield (
            f"- an image is made to fit {width} x {height} (width x height) with its aspect ratio kept, "
            f"centred, and the rest filled with grey {letterbox.get('pad')}"
        )
        yield f"- for that it is {_resized(letterbox.get('long_side', max(width, height)), width, height)}"
    if given.get("crop"):
        height, width = info.get("imgsz", ("?", "?"))
        fill = f"its short side becomes {width}" if height == width else f"it becomes {width} x {height}"
        yield f"- an image is resized so that {fill}, and the middle {width} x {height} cut out"
    if (batch := info.get("batch", 1)) != 1:
        yield f"- one inference takes {batch} images, no fewer: repeat one where there are not so many"
    for index, output in enumerate(info.get("outputs", ())):
        layout = f": {output['layout']}" if output.get("layout") else ""
        yield f"- output `{output.get('name', index)}`: {_shape(output.get('shape', ()))}{layout}"
    yield f"- task {info.get('task', 'detect')}, {len(info.get('names') or ())} classes, in `labels.txt`"


def _resized(long_side: int, width: int, height: int) -> str:
    """Say how the validation resized images: other pixels are another input, and other scores."""
    first = f"resized bilinearly until its long side is {long_side}, the other one rounded up"
    again = f"; then once more, down to what fits {width} x {height}, where it does not fit yet"
    return f"{first}{again if width != height else ''}"


def _shape(shape: Sequence[Any]) -> str:
    return " x ".join(str(side) for side in shape) or "as the model says"


def _figures(verdict: Mapping[str, Any]) -> Iterator[str]:
    rows = {row["name"]: row for row in verdict["metrics"]}
    for name in ("map50_95", "map50", "map50_95_mask", "map50_95_pose", "top1", "top5", "size_mb"):
        if name in rows:
            unit = f" {rows[name]['unit']}" if rows[name]["unit"] else ""
            yield f"- {name}: {rows[name]['value']:g}{unit} ({rows[name]['evidence']})"
    for row in verdict["verdicts"]:
        limit = KINDS[row["kind"]].format(format(row["limit"], "g"))
        yield f"- gate {row['metric']} {limit}: {row['status']}"


def _files(members: Sequence[str]) -> Iterator[str]:
    yield "- `artifact/`: what runs on the device"
    for path in members:
        if path in MEMBERS or path in STARTER:
            yield f"- `{path}`: {MEMBERS.get(path) or STARTER[path]}"
