"""Images in, objects out, on the device: NumPy, and OpenCV or Pillow to read files. Shipped as ``device.py``.

A program beside it loads the model with the vendor's runtime and calls :func:`main`. What goes in and comes
out is read from ``model.json`` and ``labels.txt``; a model without its decoding brings ``decode.py``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__:
    from edgebuild.steps._on_device_shapes import mask, suppress, suppress_rotated, turned
else:  # in a package the two lie side by side
    from shapes import mask, suppress, suppress_rotated, turned  # type: ignore[import-not-found, no-redef]

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Infer = Callable[[Any], Sequence[Any]]

HERE = Path(__file__).resolve().parent


def main(load: Callable[[str], Infer], argv: Sequence[str] | None = None) -> None:
    """Run a model on image files and print what it sees.

    Args:
        load: Called once with the path of the artifact; returns a function from one float32 array of the
            input's shape, RGB and 0 to 1, to the list of the model's outputs, float32.
        argv: Arguments; None: those of the program.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--confidence", type=float, default=0.25)
    parser.add_argument("--iou", type=float, default=0.7)
    options = parser.parse_args(argv)
    model = Model(HERE)
    infer = load(str(artifact(HERE)))
    for first in range(0, len(options.images), model.batch):
        paths = options.images[first : first + model.batch]
        images = [model.prepare(read_image(path)) for path in paths]
        tensor = model.together([one for one, _ in images])
        start = time.perf_counter()
        outputs = infer(tensor)
        took = f"{(time.perf_counter() - start) * 1000:.1f} ms"
        took += f" for a batch of {model.batch}" if model.batch > 1 else ""
        for index, (path, (_, place)) in enumerate(zip(paths, images, strict=True)):
            print(f"{path}: {took}")
            for found in model.finish(outputs, place, options.confidence, options.iou, index):
                print(json.dumps(found))


def artifact(root: str | Path) -> Path:
    """Return the one thing in ``artifact/``: a file, the folder where there are several."""
    found = sorted((Path(root) / "artifact").iterdir())
    return found[0] if len(found) == 1 else Path(root) / "artifact"


def read_image(path: str | Path) -> Any:
    """Read an image file as (height, width, 3) RGB bytes."""
    import numpy as np

    try:
        import cv2
    except ModuleNotFoundError:
        from PIL import Image, ImageOps

        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        sys.exit(f"{path}: cannot be read as an image")
    return image[..., ::-1]


class Model:
    """What ``model.json`` and ``labels.txt`` say, put to work.

    Args:
        root: Folder of the unpacked package.
    """

    def __init__(self, root: str | Path) -> None:
        self.info = json.loads((Path(root) / "model.json").read_text(encoding="utf-8"))
        self.labels = (Path(root) / "labels.txt").read_text(encoding="utf-8").splitlines()
        self.height, self.width = self.info["imgsz"]
        self.batch = int(self.info.get("batch", 1))
        self.task = self.info["task"]

    def prepare(self, image: Any) -> tuple[Any, tuple[float, int, int, int, int]]:
        """Return one image of the input, (1, 3, height, width), and how to find the way back to it."""
        import numpy as np

        rows, columns = image.shape[:2]
        whole = not self.info["input"].get("crop")
        image = (_fit if whole else _crop)(image, self.height, self.width)
        down, across = image.shape[:2]
        top, left = round((self.height - down) / 2 - 0.1), round((self.width - across) / 2 - 0.1)
        grey = self.info["input"]["letterbox"]["pad"] if whole else 0
        canvas = np.full((self.height, self.width, 3), grey, np.uint8)
        canvas[top : top + down, left : left + across] = image
        tensor = canvas.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(tensor), (
            min(self.height / rows, self.width / columns),
            left,
            top,
            columns,
            rows,
        )

    def together(self, images: Sequence[Any]) -> Any:
        """Return the input, (batch, 3, height, width): the last image fills what is left of it."""
        import numpy as np

        return np.concatenate([*images, *[images[-1]] * (self.batch - len(images))])

    def finish(
        self,
        outputs: Sequence[Any],
        place: tuple[float, int, int, int, int],
        confidence: float,
        iou: float,
        index: int = 0,
    ) -> list[dict[str, Any]]:
        """Return what is in one image of a batch, best first: label, score, and where in pixels."""
        outputs = [_of_image(output, index) for output in outputs]
        head = self.info.get("head")
        if (HERE / "decode.py").is_file() and head:
            outputs = importlib.import_module("decode").decode(outputs, head)
        first = outputs[0][0]
        if self.task == "classify":
            best = first.ravel().argsort()[::-1][:5]
            return [{"label": self._label(i), "score": round(float(first.ravel()[i]), 4)} for i in best]
        boxes, scores, ids, more = self._objects(first, confidence)
        if self.info.get("end2end"):
            kept = list(range(len(boxes)))
        elif self.task == "obb":
            kept = suppress_rotated(boxes, more[:, 0], ids, iou)
        else:
            kept = suppress(boxes, ids, iou)
        prototypes = outputs[1][0] if self.task == "segment" and len(outputs) > 1 else None
        return [
            {"label": self._label(ids[index]), "score": round(float(scores[index]), 4)}
            | self._shape(boxes[index], more[index], prototypes, place)
            for index in kept[:300]
        ]

    def _shape(
        self, box: Any, more: Any, prototypes: Any, place: tuple[float, int, int, int, int]
    ) -> dict[str, Any]:
        """Return where an object is, in pixels of the image: its box, and what its task has besides."""
        ratio, left, top, columns, rows = place
        placed = (box - (left, top, left, top)) / ratio
        if self.task == "obb":
            return turned(placed, float(more[0]))
        x1, y1, x2, y2 = (float(value) for value in placed)
        corners = [min(max(x1, 0), columns), min(max(y1, 0), rows), min(x2, columns), min(y2, rows)]
        shape: dict[str, Any] = {"box": [round(value, 1) for value in corners]}
        if self.task == "pose":
            shape["keypoints"] = self._keypoints(more, place)
        if prototypes is not None:
            sums = (more @ prototypes.reshape(len(prototypes), -1)).reshape(prototypes.shape[1:])
            shape |= mask(sums, corners, place, (self.height, self.width))
        return shape

    def _objects(self, output: Any, confidence: float) -> tuple[Any, Any, Any, Any]:
        """Return corners, scores, class ids and the further columns of what is above the confidence."""
        import numpy as np

        if self.info.get("end2end"):
            rows = output[output[:, 4] > confidence]
            rows = rows[np.argsort(-rows[:, 4], kind="stable")]
            boxes = rows[:, :4]
            if self.task == "obb":
                boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
            return boxes, rows[:, 4], rows[:, 5].astype(int), rows[:, 6:]
        classes = len(self.labels)
        scores, ids = output[4 : 4 + classes].max(0), output[4 : 4 + classes].argmax(0)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > confidence]
        centre, half = output[:2, order].T, output[2:4, order].T / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        return boxes, scores[order], ids[order], output[4 + classes :, order].T

    def _keypoints(self, row: Any, place: tuple[float, int, int, int, int]) -> list[list[float]]:
        ratio, left, top, columns, rows = place
        shape = self.info.get("kpt_shape")
        width = shape[1] if shape else 3 if len(row) % 3 == 0 else 2
        found = []
        for x, y, *visible in row.reshape(-1, width).tolist():
            inside = min(max((x - left) / ratio, 0), columns), min(max((y - top) / ratio, 0), rows)
            found.append([*(round(value, 1) for value in inside), *(round(one, 4) for one in visible)])
        return found

    def _label(self, index: int) -> str:
        return self.labels[int(index)] if int(index) < len(self.labels) else str(int(index))


def _of_image(output: Any, index: int) -> Any:
    """Return an output of one image of a batch, with its axis kept."""
    import numpy as np

    return np.asarray(output, dtype=np.float32)[index : index + 1]


def _fit(image: Any, height: int, width: int) -> Any:
    """Resize an image to fit with its aspect kept, in the two steps of the validation: to the same pixels."""
    rows, columns = image.shape[:2]
    longest = max(height, width)
    ratio = longest / max(rows, columns)
    if ratio != 1:
        columns, rows = min(math.ceil(columns * ratio), longest), min(math.ceil(rows * ratio), longest)
        image = _resize(image, columns, rows)
    ratio = min(height / rows, width / columns, 1.0)
    fitting = max(round(columns * ratio), 1), max(round(rows * ratio), 1)
    return image if (columns, rows) == fitting else _resize(image, *fitting)


def _crop(image: Any, height: int, width: int) -> Any:
    """Resize an image to fill the input and cut out its middle: with Pillow, as the validation does."""
    import numpy as np

    rows, columns = image.shape[:2]
    if height != width:
        size = (width, height)
    elif columns <= rows:
        size = (width, int(width * rows / columns))
    else:
        size = (int(height * columns / rows), height)
    try:
        from PIL import Image

        picture = Image.fromarray(np.ascontiguousarray(image))
        image = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    except ModuleNotFoundError:
        import cv2

        smooth = cv2.INTER_AREA if size[0] < columns else cv2.INTER_LINEAR
        image = cv2.resize(np.ascontiguousarray(image), size, interpolation=smooth)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return image[top : top + height, left : left + width]


def _resize(image: Any, width: int, height: int) -> Any:
    import numpy as np

    try:
        import cv2
    except ModuleNotFoundError:
        from PIL import Image

        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR)
