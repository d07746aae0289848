"""What strict fakes look at in calibration data, and an argument parser that refuses as the tools' own do."""

from __future__ import annotations

import argparse
import ast
import struct
from pathlib import Path
from typing import NoReturn

from tests.fakes.fake_common import Onnx, Refused, read_onnx

PNG = b"\x89PNG\r\n\x1a\n"
IMAGES = {".png", ".jpg", ".jpeg", ".bmp"}


class Parser(argparse.ArgumentParser):
    """Abbreviates nothing, and reports on standard output with argparse's exit code."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog=prog, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise Refused(f"usage: {self.prog} ...\n{self.prog}: error: {message}", 2)


def npy_header(data: bytes) -> tuple[str, tuple[int, ...]]:
    """Return type and shape of a .npy file, whose data must be complete.

    Raises:
        ValueError: It is none.
    """
    if not data.startswith(b"\x93NUMPY"):
        raise ValueError("is no .npy file")
    wide = data[6] > 1
    size = int.from_bytes(data[8 : 12 if wide else 10], "little")
    start = (12 if wide else 10) + size
    header = ast.literal_eval(data[start - size : start].decode("latin-1"))
    shape, kind = tuple(header["shape"]), str(header["descr"])
    count = 1
    for side in shape:
        count *= side
    if len(data) - start != count * int(kind[2:]):
        raise ValueError("is cut short")
    return kind, shape


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG file.

    Raises:
        ValueError: It is none.
    """
    head = path.read_bytes()[:24]
    if not head.startswith(PNG):
        raise ValueError(f"{path.name} is no PNG image")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def list_images(folder: str) -> list[Path]:
    """Return the images of a folder, sorted; other files are passed over, as tools do."""
    root = Path(folder)
    return sorted(p for p in root.iterdir() if p.suffix.lower() in IMAGES) if root.is_dir() else []


def open_onnx(path: str, error: type[Exception] = ValueError) -> Onnx:
    """Read an ONNX file as far as its inputs, with one kind of error for everything wrong."""
    try:
        return read_onnx(path)
    except (OSError, ValueError) as cause:
        raise error(f"{path}: {cause}") from cause
