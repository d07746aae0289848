from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgebuild.steps._letterbox import load_tensor
from edgebuild.steps._step import StepFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.yolo

_COMPARE = """
import json, sys
from types import SimpleNamespace
import cv2, numpy as np, torch
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader, build_yolo_dataset
from ultralytics.models.yolo.detect import DetectionValidator
from edgebuild.steps._letterbox import load_tensor
from pathlib import Path

folder = Path("tree/images")
folder.mkdir(parents=True)
random = np.random.default_rng(0)
def noise(height, width, channels=3, dtype=np.uint8):
    return random.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype=dtype)
sizes = [(480, 640), (640, 480), (64, 64), (64, 96), (20, 31), (33, 300), (301, 17), (1080, 1920)]
for height, width in sizes:
    cv2.imwrite(str(folder / f"{height}x{width}.jpg"), noise(height, width))
for suffix in ("png", "bmp", "webp", "tif"):
    cv2.imwrite(str(folder / f"format.{suffix}"), noise(100, 77))
cv2.imwrite(str(folder / "grey.png"), noise(50, 70, 1))
cv2.imwrite(str(folder / "alpha.png"), noise(50, 70, 4))
cv2.imwrite(str(folder / "deep.png"), noise(50, 70, 3, np.uint16))
exif = Image.Exif()
exif[274] = 6
Image.fromarray(noise(60, 90)).save(folder / "turned.jpg", exif=exif)

compared = 0
for size in ((64, 64), (64, 96), (160, 96)):
    settings = get_cfg(overrides={"imgsz": list(size) if size[0] != size[1] else size[0], "task": "detect"})
    settings.imgsz = size if size[0] != size[1] else size[0]
    data = {"names": {0: "a"}, "channels": 3}
    dataset = build_yolo_dataset(settings, str(folder), 4, data, mode="val", rect=False, stride=32)
    validator = SimpleNamespace(device=torch.device("cpu"), args=settings)
    for batch in build_dataloader(dataset, batch=4, workers=0, shuffle=False):
        tensors = DetectionValidator.preprocess(validator, batch)["img"].numpy()
        for file, tensor in zip(batch["im_file"], tensors):
            ours = load_tensor(file, size)
            assert ours.dtype == tensor.dtype and ours.shape == tensor.shape, file
            assert np.array_equal(ours.view(np.uint32), tensor.view(np.uint32)), (file, size)
            compared += 1
print(json.dumps({"compared": compared}))
"""


def test_pads_with_grey_and_keeps_the_aspect(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    np = pytest.importorskip("numpy")
    red = np.zeros((32, 64, 3), np.uint8)
    red[..., 2] = 255
    cv2.imwrite(str(tmp_path / "red.png"), red)

    tensor = load_tensor(tmp_path / "red.png", (64, 64))

    assert tensor.shape == (3, 64, 64)
    assert tensor.dtype == np.float32
    assert np.all(tensor[:, :16] == np.float32(114) / np.float32(255))
    assert np.all(tensor[:, 48:] == np.float32(114) / np.float32(255))
    assert np.all(tensor[0, 16:48] == 1)
    assert np.all(tensor[1:, 16:48] == 0)


def test_imgsz_is_height_then_width(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    assert load_tensor(write_image(tmp_path / "a.png"), (32, 96)).shape == (3, 32, 96)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0cut"])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(StepFailure, match=r"broken\.jpg: cannot be read as an image"):
        load_tensor(tmp_path / "broken.jpg", (32, 32))


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailure, match=r"gone\.png"):
        load_tensor(tmp_path / "gone.png", (32, 32))


@pytest.mark.slow
def test_equals_ultralytics_validation_bit_for_bit(tmp_path: Path, run_python: Callable[..., Any]) -> None:
    done = run_python(tmp_path, "-c", _COMPARE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"compared": 3 * 16}
