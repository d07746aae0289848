"""A slow, complete look at splits: every label row, the first and last bytes of every image, and copies.

The rules are those under which Ultralytics (``ultralytics/data/utils.py: verify_image_label``) drops an image
with a warning: silently training or validating on fewer images is worse than an error.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgebuild.amounts import counted
from edgebuild.digest import digest_file
from edgebuild.errors import Problem
from edgebuild.suggest import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgebuild.digest import Digest
    from edgebuild.manifest.values import Split

MOST = 100
"""Problems reported before the rest is left unread: by then the format is misunderstood, not mistyped."""

TOLERANCE = 0.01
"""How far outside 0..1 a coordinate may lie: annotation tools round."""

_BOX = 5
_OBB = 9
_POLYGON = 7

_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"

_MAGIC: tuple[tuple[int, bytes], ...] = (
    (0, _JPEG),  # MPO too
    (0, _PNG),
    (0, b"BM"),
    (0, b"II*\x00"),  # TIFF and DNG, little endian
    (0, b"MM\x00*"),  # TIFF and DNG, big endian
    (8, b"WEBP"),
    (4, b"ftyp"),  # AVIF, HEIC, HEIF
    (0, b"\x00\x00\x00\x0cjP  "),  # JPEG 2000
    (0, b"\xff\x4f\xff\x51"),  # JPEG 2000 code stream
)
_MAGIC_BYTES = 16


def check_images(split: Split) -> list[Problem]:
    """Return a problem for each image of a split that is empty, unreadable, cut short or no image.

    Whether it is one is told by its first bytes; cut short are JPEG and PNG files without their end.
    """
    return _first(_image_problems(split))


def check_copies(split: Split, validation: Split) -> list[Problem]:
    """Return a problem for each image of a split that a validation image equals byte for byte."""
    return _first(_copies(split, validation))


def check_objects(split: Split, file: Path, task: str) -> list[Problem]:
    """Return a problem when the labels of a split hold no object at all.

    Args:
        split: A split that trains or validates.
        file: The dataset YAML.
        task: The model's task; for ``classify`` there is nothing to check.
    """
    if task == "classify" or any(_has_text(split.root / label) for label in split.labels):
        return []
    message = f"not one object in its {counted(len(split.labels), 'label file')}"
    hint = "nothing can be learned or measured on it; look where the labels went"
    return [Problem(file=_shown(file), path=split.name, message=message, hint=hint)]


def check_labels(
    split: Split, names: Sequence[str], task: str, kpt_shape: tuple[int, int] | None
) -> list[Problem]:
    """Return what is wrong with the label files of a split, row by row.

    Args:
        split: The split; for ``classify`` there is nothing to check.
        names: The class names.
        task: The model's task, which says how many columns a row has.
        kpt_shape: Keypoints and dimensions for ``pose``, which a dataset has to have; else None.
    """
    if task == "classify":
        return []
    return _first(_label_problems(split, _Rows(names=names, task=task, kpt_shape=kpt_shape or (0, 0))))


def _first(problems: Iterator[Problem]) -> list[Problem]:
    found: list[Problem] = []
    for problem in problems:
        if len(found) == MOST:
            message = f"more than {MOST} problems; the rest was not read"
            return [*found, Problem(file=problem.file, message=message)]
        found.append(problem)
    return found


def _image_problems(split: Split) -> Iterator[Problem]:
    for image in split.images:
        path = split.root / image
        try:
            with path.open("rb") as stream:
                start = stream.read(_MAGIC_BYTES)
                cut = _is_cut(stream, start)
        except OSError as error:
            yield Problem(file=_shown(path), message=f"cannot be read: {error.strerror}")
            continue
        if not start:
            yield Problem(file=_shown(path), message="the image is empty", hint="restore or remove it")
        elif not any(start[at : at + len(magic)] == magic for at, magic in _MAGIC):
            hint = (
                "it starts with a Git LFS pointer: run git lfs pull" if start.startswith(b"version ") else ""
            )
            yield Problem(file=_shown(path), message="is not an image by its first bytes", hint=hint)
        elif cut:
            yield Problem(file=_shown(path), message="the image is cut short", hint="restore or remove it")


def _is_cut(stream: BinaryIO, start: bytes) -> bool:
    """Return whether a JPEG or PNG file lacks its end.

    Some cameras and programs write more after it: only where the file does not end as it should, all of it
    is looked at. In a JPEG's scan no end marker can occur, so one behind the last scan is the image's own.
    """
    end = _JPEG_END if start.startswith(_JPEG) else _PNG_END if start.startswith(_PNG) else b""
    if not end:
        return False
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - len(end)))
    if stream.read() == end:
        return False
    stream.seek(0)
    data = stream.read()
    found = data.rfind(end)
    return found < 0 or (end == _JPEG_END and found < data.rfind(_JPEG_SCAN))


def _copies(split: Split, validation: Split) -> Iterator[Problem]:
    theirs: dict[int, list[Path]] = {}
    for path in (validation.root / image for image in validation.images):
        theirs.setdefault(path.stat().st_size, []).append(path)
    known: dict[int, dict[Digest, Path]] = {}
    for path in (split.root / image for image in split.images):
        size = path.stat().st_size
        if size in theirs:
            if size not in known:  # most sizes occur once: hardly any image is read
                known[size] = {digest_file(other): other for other in theirs[size]}
            if other := known[size].get(digest_file(path)):
                hint = f"it is {_shown(other)}; take it out of one of the two splits"
                yield Problem(file=_shown(path), message="is a copy of a validation image", hint=hint)


def _has_text(label: Path) -> bool:
    return bool(label.read_bytes().strip())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """What the rows of label files must look like."""

    names: Sequence[str]
    task: str
    kpt_shape: tuple[int, int]

    def problem(self, words: Sequence[str]) -> str:
        """Return what is wrong with a row, or nothing."""
        wrong = next((word for word in words if not _is_number(word)), "")
        if wrong:
            return f"{wrong!r} is not a finite number"
        class_id = float(words[0])
        if not class_id.is_integer() or not 0 <= class_id < len(self.names):
            known = listed(self.names, most=6)
            return f"class {words[0]} does not exist; classes are 0 to {len(self.names) - 1} ({known})"
        return self.columns(len(words)) or self.outside(words)

    def columns(self, count: int) -> str:
        """Return what is wrong with a number of columns, or nothing."""
        polygon = count >= _POLYGON and count % 2 == 1
        points, dimensions = self.kpt_shape
        keypoints = _BOX + points * dimensions
        fine, row = {
            "detect": (count == _BOX or polygon, "class x y width height"),
            "segment": (polygon, "class x1 y1 x2 y2 x3 y3 ..."),
            "obb": (count == _OBB, "class x1 y1 x2 y2 x3 y3 x4 y4"),
            "pose": (count == keypoints, f"class, box and {points} keypoints of {dimensions} values"),
        }[self.task]
        if fine:
            return ""
        # Rows of boxes where others are asked for: it is the task that is wrong, not a hundred rows.
        boxes = "; these are boxes: is it `model.task: detect`?" if count == _BOX else ""
        return f"{count} columns; a row is: {row}{boxes}"

    def outside(self, words: Sequence[str]) -> str:
        """Return which coordinate lies outside the image, or nothing."""
        dimensions = self.kpt_shape[1] if self.task == "pose" else 0
        for index, word in enumerate(words[1:], start=1):
            # The third value of a keypoint is its visibility: 0, 1 or 2.
            visibility = dimensions == 3 and index >= _BOX and (index - _BOX) % 3 == 2
            highest = 2.0 if visibility else 1.0 + TOLERANCE
            if not -TOLERANCE <= float(word) <= highest:
                return f"{word} lies outside 0 to 1; coordinates are fractions of the image"
        return ""


def _label_problems(split: Split, rows: _Rows) -> Iterator[Problem]:
    for label in split.labels:
        path = split.root / label
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            yield Problem(file=_shown(path), message=f"cannot be read as text: {error}")
            continue
        counts: set[bool] = set()
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            message = rows.problem(words) if words else ""
            if words and not message and rows.task == "detect":
                # Ultralytics refuses files that hold both, and then drops the image.
                counts.add(len(words) == _BOX)
                message = "boxes and polygons are mixed in one file" if len(counts) == 2 else ""
            if message:
                yield Problem(file=_shown(path), line=number, message=message)


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _shown(path: Path) -> str:
    folder = Path.cwd()
    return os.path.relpath(path, folder) if path.is_relative_to(folder) else str(path)
