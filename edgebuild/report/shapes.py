"""Objects drawn over a picture: boxes, outlines of masks and rotated boxes, keypoints, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebuild.report.axis import Rect
from edgebuild.report.markup import Markup, el, fixed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_LABELLED = 16
"""With more objects than this in an image, their names are shown only when pointed at."""


def is_object(one: Mapping[str, Any]) -> bool:
    """Say whether the shape of an object is one: a box of four numbers, points of two; or none at all."""
    points = [*(one.get("outline") or ()), *(one.get("points") or ())]
    numbers = [*one.get("box", (0, 0, 0, 0)), *(value for point in points for value in point)]
    return (
        len(one.get("box", (0, 0, 0, 0))) == 4
        and all(len(point) == 2 for point in points)
        and all(isinstance(value, int | float) and abs(value) < 1e9 for value in numbers)
    )


def draw_objects(
    image: Mapping[str, Any], known: Sequence[bool], lost: Sequence[Any], classes: Mapping[str, str]
) -> Iterator[Markup]:
    """Yield the shapes and names of an image's labelled, lost and found objects, in this order.

    Args:
        image: An entry of the detections document.
        known: For each detection, whether float has it too.
        lost: Objects that only float has.
        classes: Class of the style sheet by class name.
    """
    unit = max(image["width"], image["height"]) / 100
    for one in image["truth"]:
        yield _object(one, unit, f"truth {classes[one['class']]}", f"labelled {one['class']}")
    for one in lost:
        yield _object(one, unit, "lost", f"lost: float found {one['class']} {one['score']:.2f}")
    for one, is_known in zip(image["detections"], known, strict=True):
        tip = f"{one['class']} {one['score']:.2f}" + ("" if is_known else ", not found by float")
        yield _object(one, unit, f"found {classes[one['class']]}" + ("" if is_known else " new"), tip)
    if len(image["detections"]) <= MAX_LABELLED:
        yield from _tags(image, unit * 3.9, classes)


def _object(one: Mapping[str, Any], unit: float, kind: str, tip: str) -> Markup:
    """Draw an object: its outline if it has one, else its box, and its keypoints."""
    title = el("title", tip)
    width = unit * 0.9
    outline = one.get("outline") or ()
    if len(outline) > 2:
        corners = " ".join(f"{fixed(float(x))},{fixed(float(y))}" for x, y in outline)
        shape = el("polygon", title, points=corners, stroke_width=width, class_=f"box outline {kind}")
    else:
        left, top, right, bottom = (float(value) for value in one["box"])
        size = {"width": max(right - left, 0.0), "height": max(bottom - top, 0.0)}
        shape = el("rect", title, x=left, y=top, **size, stroke_width=width, class_=f"box {kind}")
    points = [el("circle", cx=float(x), cy=float(y), r=unit * 1.1) for x, y in one.get("points") or ()]
    return el("g", shape, el("g", points, class_=f"points {kind}")) if points else shape


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
