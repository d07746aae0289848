"""What axcompile does to each calibration image: the images are resized and padded, RGB, 0 to 255."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def get_preprocess_transform(image: Any) -> torch.Tensor:
    """Return one image as the model takes it: float32, 0 to 1, (3, height, width).

    Args:
        image: ``PIL.Image.Image``, or an array of shape (height, width, 3).
    """
    array = np.array(image, dtype=np.float32) / np.float32(255)
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
