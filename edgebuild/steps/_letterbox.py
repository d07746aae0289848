"""One image file as the tensor a model sees during validation: letterboxed, or cropped for classification.

The arithmetic is that of Ultralytics' validation with ``rect=False``: the long side is resized to the longer
side of the input, then the image is scaled down where it still does not fit (never up), centred, and the rest
filled with grey (``ultralytics/data/base.py: BaseDataset.load_image`` and ``ultralytics/data/augment.py:
LetterBox(auto=False, scaleup=False)``). A test compares the two bit for bit. Its ``predict`` resizes once, so
it sees other pixels where the input is not square; metrics come from a validation. It is written out here
because importing Ultralytics costs seconds in steps that need nothing else of it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.steps._step import fail
from edgebuild.steps._ultralytics import isolate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PAD_VALUE = 114
"""Grey that fills what the image does not cover, 0 to 255."""

UNUSUAL_SUFFIXES = frozenset({".avif", ".dng", ".heic", ".heif", ".jp2", ".tif", ".tiff"})
"""Formats with special cases in Ultralytics' own reader, which is used for them."""


def load_tensor(path: str | Path, imgsz: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Read an image file into the input of a model.

    Args:
        path: An image file.
        imgsz: Height and width of the model's input in pixels.

    Returns:
        An array of shape (3, height, width): RGB, 0 to 1.

    Raises:
        StepFailure: The file cannot be read as an image.
    """
    import numpy as np

    image = letterbox(read_image(path), imgsz)
    return np.ascontiguousarray(image.transpose(2, 0, 1)[::-1]).astype(np.float32) / np.float32(255)


def load_crop(path: str | Path, imgsz: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Read an image file into the input of a classification model: resized to fill it, its middle cut out.

    The arithmetic is that of Ultralytics' validation (``ultralytics/data/augment.py: classify_transforms``):
    the short side of the image becomes the side of a square input; for another input the image is resized to
    exactly that. A test compares the two bit for bit.

    Args:
        path: An image file.
        imgsz: Height and width of the model's input in pixels.

    Returns:
        An array of shape (3, height, width): RGB, 0 to 1.

    Raises:
        StepFailure: The file cannot be read as an image.
    """
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(read_image(path)[..., ::-1]))
    across, down = picture.size
    height, width = imgsz
    if height != width:
        size = (width, height)
    elif across <= down:
        size = (width, int(width * down / across))
    else:
        size = (int(height * across / down), height)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - width) / 2.0), round((size[1] - height) / 2.0)
    pixels = np.asarray(picture.crop((left, top, left + width, top + height)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read an image file as (height, width, 3) BGR, turned upright by its EXIF orientation.

    Raises:
        StepFailure: The file is missing, empty, cut short or not an image.
    """
    import cv2
    import numpy as np

    image: Any = None
    try:
        if Path(path).suffix.lower() in UNUSUAL_SUFFIXES:
            image = _read_unusual(path)
        else:
            data = np.fromfile(path, np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        image = None
    if image is None:
        fail(f"{path}: cannot be read as an image", hint="replace the file or take it out of the dataset")
    return image


def _read_unusual(path: str | Path) -> Any:
    isolate()
    from ultralytics.utils.patches import imread

    return imread(path)


def letterbox(image: npt.NDArray[np.uint8], imgsz: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize an image to fit ``imgsz`` (height, width) keeping its aspect, and pad it to exactly that."""
    import cv2

    image = _resize_long_side(image, max(imgsz))
    height, width = image.shape[:2]
    ratio = min(imgsz[0] / height, imgsz[1] / width, 1.0)
    fit_width, fit_height = max(round(width * ratio), 1), max(round(height * ratio), 1)
    if (width, height) != (fit_width, fit_height):
        image = cv2.resize(image, (fit_width, fit_height), interpolation=cv2.INTER_LINEAR)
    spare_height, spare_width = (imgsz[0] - fit_height) / 2, (imgsz[1] - fit_width) / 2
    return cv2.copyMakeBorder(
        image,
        round(spare_height - 0.1),
        round(spare_height + 0.1),
        round(spare_width - 0.1),
        round(spare_width + 0.1),
        cv2.BORDER_CONSTANT,
        value=(PAD_VALUE,) * 3,
    )


def _resize_long_side(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    import cv2

    height, width = image.shape[:2]
    ratio = size / max(height, width)
    if ratio == 1:
        return image
    target = (min(math.ceil(width * ratio), size), min(math.ceil(height * ratio), size))
    return cv2.resize(image, target, interpolation=cv2.INTER_LINEAR)
