"""Validation images with what the float model and each quantized target found in them, side by side."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgebuild.amounts import counted
from edgebuild.report.markup import Markup, el, fixed
from edgebuild.report.shapes import draw_objects, is_object
from edgebuild.report.stored import read_document
from edgebuild.report.words import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgebuild.results import RunResult

MAX_IMAGES = 12
MAX_COLUMNS = 8
SAME = 0.5
"""Intersection over union from which two boxes of one class are the same object."""

COLOURS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """Detections of the targets that found exactly the same.

    Attributes:
        title: Names of the targets, or ``float``.
        images: Image entries of the detections document, by file.
        reference: Those of the float model that it is compared with, by file; empty: there is none.
    """

    title: str
    images: Mapping[str, Mapping[str, Any]]
    reference: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def pictures(run: RunResult) -> Markup | None:
    """Return the strip, or None when there are no detections."""
    columns = _columns(run)
    files = list(dict.fromkeys(file for column in columns for file in column.images))
    if not files:
        return None
    shown, drawn = files[:MAX_IMAGES], columns[:MAX_COLUMNS]
    photos = {file: _photo(index, file, columns) for index, file in enumerate(shown)}
    classes = _classes(columns)
    classified = any(_is_classified(image) for column in drawn for image in column.images.values())
    head = el("tr", [el("th", column.title, scope="col") for column in drawn])
    rows = [
        el("tr", [_cell(file, index, column, classes) for column in drawn])
        for index, file in enumerate(shown)
    ]
    return el(
        "figure",
        _controls(classes, boxes=not classified),
        el("svg", [photo for photo in photos.values() if photo], class_="store", aria_hidden="true"),
        el("div", el("table", el("thead", head), el("tbody", rows), class_="pictures",
                     style=_width(len(drawn))), class_="scroll"),
        el("figcaption", _caption(len(shown), len(files), len(drawn), len(columns), classified=classified)),
        class_="strip",
    )  # fmt: skip


def read_detections(path: Path | None) -> list[dict[str, Any]]:
    """Return the images of a detections document, or nothing when it is absent or not one."""
    try:
        document = read_document(path, rows="images")
        return [image for image in document.get("images", ()) if _is_image(image)]
    except (ValueError, AttributeError, LookupError, TypeError):
        return []


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the intersection over union of two boxes (x1, y1, x2, y2)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def compare(found: Sequence[Any], reference: Sequence[Any]) -> tuple[list[bool], list[bool]]:
    """Match detections with the float model's, best score first, each at most once.

    Returns:
        For each of ``found`` whether float has it too; for each of ``reference`` whether it is lost.
    """
    lost = [True] * len(reference)
    known = [False] * len(found)
    for index in sorted(range(len(found)), key=lambda i: -found[i]["score"]):
        one = found[index]
        matches = [
            (overlap(one["box"], other["box"]), place)
            for place, other in enumerate(reference)
            if lost[place] and other["class"] == one["class"]
        ]
        best, place = max(matches, default=(0.0, -1))
        if best >= SAME:
            lost[place], known[index] = False, True
    return known, lost


def _width(columns: int) -> str:
    """Return the style that keeps pictures large enough to see something and small enough to compare."""
    return f"min-width: {columns * 230}px; max-width: {columns * 380}px"


def _is_image(image: Any) -> bool:
    objects = [*image["truth"], *image["detections"]]
    return (
        image["width"] > 0
        and image["height"] > 0
        and isinstance(image["file"], str)
        and all(isinstance(one["class"], str) and is_object(one) for one in objects)
        and len({"box" in one for one in objects}) <= 1
        and all(isinstance(one["score"], int | float) for one in image["detections"])
    )


def _columns(run: RunResult) -> list[Column]:
    """Return float first, then one column per distinct set of detections."""
    floats = _by_file(run.baseline_detections)
    columns = [Column(title="float", images=floats)] if floats else []
    same: dict[str, tuple[list[str], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]] = {}
    for target in run.targets:
        if images := _by_file(target.detections):
            reference = _by_file(target.baseline_detections) or floats
            seen = [[file, image["detections"]] for file, image in images.items()]
            key = json.dumps([str(target.baseline_detections), seen])
            same.setdefault(key, ([], images, reference))[0].append(target.name)
    columns += [
        Column(title=shortened(names), images=images, reference=reference)
        for names, images, reference in same.values()
    ]
    return columns


def _by_file(path: Path | None) -> dict[str, dict[str, Any]]:
    return {image["file"]: image for image in read_detections(path)}


def _photo(index: int, file: str, columns: Sequence[Column]) -> Markup | None:
    """Return the picture as a symbol, kept once however often it is shown."""
    for column in columns:
        image = column.images.get(file)
        if image and (data := _jpeg(image.get("jpeg_base64"))):
            box = {"width": image["width"], "height": image["height"]}
            picture = el("image", href=f"data:image/jpeg;base64,{data}", preserveAspectRatio="none", **box)
            return el("symbol", picture, id=f"photo-{index}", viewBox=_view(image))
    return None


def _jpeg(data: Any) -> str:
    """Return the base64 text when it is a JPEG file, and nothing else."""
    try:
        return data if base64.b64decode(data, validate=True).startswith(b"\xff\xd8") else ""
    except (TypeError, ValueError):
        return ""


def _view(image: Mapping[str, Any]) -> str:
    return f"0 0 {fixed(float(image['width']))} {fixed(float(image['height']))}"


def _classes(columns: Sequence[Column]) -> dict[str, str]:
    """Return a colour per class name, in the order they first appear."""
    names = dict.fromkeys(
        box["class"]
        for column in columns
        for image in column.images.values()
        for box in (*image["truth"], *image["detections"])
    )
    return {name: f"c{index % COLOURS}" for index, name in enumerate(names)}


def _controls(classes: Mapping[str, str], *, boxes: bool) -> Markup | None:
    if not boxes:
        return None  # nothing is coloured
    entries = [
        el("li", el("span", class_=f"swatch {shade}"), name) for name, shade in list(classes.items())[:40]
    ]
    more = [el("li", f"and {len(classes) - 40} more")] if len(classes) > 40 else []
    return el(
        "div",
        el("ul", entries, more, class_="legend"),
        el("label", el("input", type="checkbox", id="truth"), " show labelled boxes (dashed)"),
        class_="controls",
    )


def _cell(file: str, index: int, column: Column, classes: Mapping[str, str]) -> Markup:
    image = column.images.get(file)
    if image is None:
        return el("td", el("p", "not run on this image", class_="muted"))
    words, shapes = _compared(image, column.reference.get(file), classes)
    return el(
        "td",
        el(
            "svg",
            el("title", f"{file}, {column.title}: {words}"),
            el("use", href=f"#photo-{index}", width=image["width"], height=image["height"]),
            shapes,
            viewBox=_view(image),
            class_="photo",
            role="img",
        ),
        el("p", words, class_="muted"),
    )


def _compared(
    image: Mapping[str, Any], reference: Mapping[str, Any] | None, classes: Mapping[str, str]
) -> tuple[str, tuple[Markup, ...]]:
    """Return what was found in words, and drawn."""
    if _is_classified(image):
        return _said(image, reference), ()
    found, others = image["detections"], reference["detections"] if reference else ()
    known, lost = compare(found, others if reference else found)
    gone = [one for one, is_lost in zip(others, lost, strict=False) if is_lost]
    words = _words(len(found), known.count(False), len(gone)) if reference else _words(len(found))
    return words, tuple(draw_objects(image, known, gone, classes))


def _is_classified(image: Mapping[str, Any]) -> bool:
    """Say whether an image as a whole was classified: what was found in it has no place."""
    return any("box" not in one for one in (*image["detections"], *image["truth"]))


def _said(image: Mapping[str, Any], reference: Mapping[str, Any] | None) -> str:
    """Return the likely classes of an image, whether the first is right, and where float says another."""
    likely = image["detections"]
    said = [", ".join(f"{one['class']} {one['score']:.2f}" for one in likely) or "nothing"]
    first = likely[0]["class"] if likely else ""
    labelled = [one["class"] for one in image["truth"]]
    if labelled:
        said.append("as labelled" if first in labelled else f"labelled {', '.join(labelled)}")
    others = reference["detections"] if reference else ()
    if others and others[0]["class"] != first:
        said.append(f"float says {others[0]['class']}")
    return " · ".join(said)


def _words(found: int, new: int = 0, lost: int = 0) -> str:
    said = [f"{found} found"]
    said += [f"{lost} lost"] if lost else []
    said += [f"{new} new"] if new else []
    return " · ".join(said)


def _caption(shown: int, images: int, drawn: int, columns: int, *, classified: bool) -> str:
    said = [f"{counted(shown, 'validation image')}"]
    if shown < images:
        said[0] = f"{shown} of {images} validation images"
    if classified:
        said.append("below each, the classes that the model takes for most likely")
    else:
        said.append("what is dashed in red is an object that float finds and the target does not; "
                    "what is dotted is found by the target only")  # fmt: skip
    if drawn < columns:
        said.append(f"{columns - drawn} more distinct results are not drawn")
    return "; ".join(said) + "."
