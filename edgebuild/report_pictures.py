"""Validation images with the boxes that the float model and each quantized target found, side by side."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebuild.report_axis import Rect
from edgebuild.report_markup import Markup, el, fixed
from edgebuild.report_words import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from edgebuild.results import RunResult

MAX_IMAGES = 12
MAX_COLUMNS = 8
MAX_LABELLED = 16
"""With more boxes than this in an image, their names are shown only when pointed at."""

SAME = 0.5
"""Intersection over union from which two boxes of one class are the same object."""

COLOURS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """Detections of the targets that found exactly the same.

    Attributes:
        title: Names of the targets, or ``float``.
        images: Image entries of the detections document, by file.
        float_model: This is the column the others are compared with.
    """

    title: str
    images: Mapping[str, Mapping[str, Any]]
    float_model: bool = False


def pictures(run: RunResult) -> Markup | None:
    """Return the strip, or None when there are no detections."""
    columns = _columns(run)
    files = list(dict.fromkeys(file for column in columns for file in column.images))
    if not files:
        return None
    shown, drawn = files[:MAX_IMAGES], columns[:MAX_COLUMNS]
    photos = {file: _photo(index, file, columns) for index, file in enumerate(shown)}
    classes = _classes(columns)
    head = el("tr", [el("th", column.title, scope="col") for column in drawn])
    rows = [
        el("tr", [_cell(file, index, column, drawn[0], classes) for column in drawn])
        for index, file in enumerate(shown)
    ]
    return el(
        "figure",
        _controls(classes),
        el("svg", [photo for photo in photos.values() if photo], class_="store", aria_hidden="true"),
        el("div", el("table", el("thead", head), el("tbody", rows), class_="pictures",
                     style=_width(len(drawn))), class_="scroll"),
        el("figcaption", _caption(len(shown), len(files), len(drawn), len(columns))),
        class_="strip",
    )  # fmt: skip


def read_detections(path: Path | None) -> list[dict[str, Any]]:
    """Return the images of a detections document, or nothing when it is absent or not one.

    A report is made even when something went wrong, so it shows what there is.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return [image for image in document.get("images", ()) if _is_image(image)]
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
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
    boxes = [*image["truth"], *image["detections"]]
    return (
        image["width"] > 0
        and image["height"] > 0
        and isinstance(image["file"], str)
        and all(len(box["box"]) == 4 and isinstance(box["class"], str) for box in boxes)
        and all(isinstance(box["score"], int | float) for box in image["detections"])
    )


def _columns(run: RunResult) -> list[Column]:
    """Return float first, then one column per distinct set of detections."""
    columns = []
    if images := read_detections(run.baseline_detections):
        columns.append(Column(title="float", images={i["file"]: i for i in images}, float_model=True))
    same: dict[str, tuple[list[str], list[dict[str, Any]]]] = {}
    for target in run.targets:
        if images := read_detections(target.detections):
            key = json.dumps([[i["file"], i["detections"]] for i in images])
            same.setdefault(key, ([], images))[0].append(target.name)
    for names, found in same.values():
        title = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        columns.append(Column(title=title, images={image["file"]: image for image in found}))
    return columns


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


def _controls(classes: Mapping[str, str]) -> Markup:
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


def _cell(file: str, index: int, column: Column, first: Column, classes: Mapping[str, str]) -> Markup:
    image = column.images.get(file)
    if image is None:
        return el("td", el("p", "not run on this image", class_="muted"))
    reference = first.images.get(file) if first.float_model and not column.float_model else None
    found = image["detections"]
    known, lost = compare(found, reference["detections"] if reference else found)
    gone = [
        one
        for one, is_lost in zip(reference["detections"] if reference else (), lost, strict=False)
        if is_lost
    ]
    words = _words(len(found), known.count(False), len(gone)) if reference else _words(len(found))
    return el(
        "td",
        el(
            "svg",
            el("title", f"{file}, {column.title}: {words}"),
            el("use", href=f"#photo-{index}", width=image["width"], height=image["height"]),
            _boxes(image, known, gone, classes),
            viewBox=_view(image),
            class_="photo",
            role="img",
        ),
        el("p", words, class_="muted"),
    )


def _words(found: int, new: int = 0, lost: int = 0) -> str:
    said = [f"{found} found"]
    said += [f"{lost} lost"] if lost else []
    said += [f"{new} new"] if new else []
    return " · ".join(said)


def _boxes(
    image: Mapping[str, Any], known: Sequence[bool], lost: Sequence[Any], classes: Mapping[str, str]
) -> Iterator[Markup]:
    unit = max(image["width"], image["height"]) / 100
    for one in image["truth"]:
        yield _box(one, unit, f"truth {classes[one['class']]}", f"labelled {one['class']}")
    for one in lost:
        yield _box(one, unit, "lost", f"lost: float found {one['class']} {one['score']:.2f}")
    for one, is_known in zip(image["detections"], known, strict=True):
        tip = f"{one['class']} {one['score']:.2f}" + ("" if is_known else ", not found by float")
        yield _box(one, unit, f"found {classes[one['class']]}" + ("" if is_known else " new"), tip)
    if len(image["detections"]) <= MAX_LABELLED:
        yield from _tags(image, unit * 3.9, classes)


def _box(one: Mapping[str, Any], unit: float, kind: str, tip: str) -> Markup:
    left, top, right, bottom = (float(value) for value in one["box"])
    size = {"width": max(right - left, 0.0), "height": max(bottom - top, 0.0)}
    return el("rect", el("title", tip), x=left, y=top, **size, stroke_width=unit * 0.9, class_=f"box {kind}")


def _tags(image: Mapping[str, Any], size: float, classes: Mapping[str, str]) -> Iterator[Markup]:
    """Write class and score at the boxes, best score first; a name that finds no room is left out."""
    area = Rect(left=0.0, top=0.0, right=float(image["width"]), bottom=float(image["height"]))
    taken: list[Rect] = []
    for one in sorted(image["detections"], key=lambda box: -box["score"]):
        text = f"{one['class']} {one['score']:.2f}"
        places = _plates(one["box"], len(text) * size * 0.6 + size * 0.5, size * 1.25, area)
        plate = next((place for place in places if not any(place.overlaps(other) for other in taken)), None)
        if plate:
            taken.append(plate)
            yield _tag(text, plate, size, classes[one["class"]])


def _plates(box: Sequence[float], width: float, height: float, area: Rect) -> Iterator[Rect]:
    """Yield places for a name: above the box, below it, and inside at its top, all within the image."""
    left = max(min(float(box[0]), area.right - width), 0.0)
    for top in (float(box[1]) - height, float(box[3]), float(box[1])):
        inside = max(min(top, area.bottom - height), 0.0)
        yield Rect(left=left, top=inside, right=left + width, bottom=inside + height)


def _tag(text: str, plate: Rect, size: float, shade: str) -> Markup:
    return el(
        "g",
        el(
            "rect", x=plate.left, y=plate.top, width=plate.right - plate.left, height=plate.bottom - plate.top
        ),
        el("text", text, x=plate.left + size * 0.25, y=plate.top + size * 0.95),
        font_size=size,
        class_=f"tag {shade}",
    )


def _caption(shown: int, images: int, drawn: int, columns: int) -> str:
    said = [f"{plural(shown, 'validation image')}"]
    if shown < images:
        said[0] = f"{shown} of {images} validation images"
    said.append("a dashed red box is an object that float finds and the target does not; "
                "a dotted one is found by the target only")  # fmt: skip
    if drawn < columns:
        said.append(f"{columns - drawn} more distinct results are not drawn")
    return "; ".join(said) + "."
