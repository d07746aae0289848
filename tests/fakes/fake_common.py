"""What the fake vendor tools share: how they are told to misbehave, and enough ONNX to be strict about it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MODES = ("ok", "fail", "no-output", "garbage", "hang", "killed", "c-compiler")
NOTE = "written by a fake of edgebuild's tests; not a compiled model"
MARK = b"edgebuild-fake-amct"


class Refused(Exception):  # noqa: N818 - the fake's word for "exit with this text and code"
    """The tool refuses: print the text and exit with the code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Onnx:
    """The few facts of an ONNX file that a vendor's parser trips over first."""

    opset: int
    inputs: Mapping[str, tuple[int, ...]]
    quantized: bool
    amct: bool


def play(tool: str, what: str, body: Callable[[str], None], *, on_refusal: str = "") -> None:
    """Run a fake: say what it is, misbehave where told to, and turn refusals into text and exit code.

    Args:
        tool: Its executable.
        what: The real thing.
        body: The fake; it receives its mode.
        on_refusal: What the real tool prints before the reason of every failure.
    """
    mode = start(tool, what)
    try:
        body(mode)
    except Refused as refused:
        if on_refusal:
            say(on_refusal)
        say(str(refused))
        sys.exit(refused.code)


def refuse_if(condition: object, text: str, code: int = 1) -> None:
    """Refuse where the condition holds."""
    if condition:
        raise Refused(text, code)


def start(tool: str, what: str) -> str:
    """Say that this is a fake, and return how it is to behave; hang or die where that is asked for."""
    say(f"FAKE {tool}: stands in for {what} in edgebuild's tests; it compiles nothing")
    mode = read_mode(tool)
    if mode == "hang":
        time.sleep(3600)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return mode


def read_mode(tool: str) -> str:
    """Return the mode of a tool: ``fake.json`` beside the executable, else ``EDGEBUILD_FAKE_<TOOL>``."""
    settings = Path(sys.argv[0]).absolute().parent / "fake.json"
    told = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    variable = f"EDGEBUILD_FAKE_{tool.upper().replace('.', '_')}"
    mode = str(told.get(tool) or os.environ.get(variable) or "ok")
    if mode not in MODES:
        raise SystemExit(f"FAKE {tool}: there is no mode {mode!r}")
    return mode


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def stamp(tool: str, facts: Mapping[str, object]) -> bytes:
    """Return the content of a fake output: the same for the same work."""
    return json.dumps({"fake": tool, "note": NOTE, **facts}, sort_keys=True, indent=1).encode()


def read_onnx(path: str) -> Onnx:
    """Read an ONNX file as far as its inputs.

    Raises:
        ValueError: It is not one.
    """
    data = Path(path).read_bytes()
    if not data.startswith(b"\x08"):
        raise ValueError("does not start with ir_version")
    opset, inputs = 0, {}
    for number, value in _fields(data):
        if number == 7 and isinstance(value, bytes):
            inputs = dict(_graph_inputs(value))
        elif number == 8 and isinstance(value, bytes):
            entry = dict(_fields(value))
            if not entry.get(1):
                opset = int(entry.get(2) or 0)
    if not inputs or not opset:
        raise ValueError("has no graph input or no opset")
    amct = MARK in data
    return Onnx(opset=opset, inputs=inputs, quantized=b"DequantizeLinear" in data, amct=amct)


def mark_onnx(data: bytes, value: str) -> bytes:
    """Return an ONNX file with one more metadata entry: protobuf messages may simply be continued."""
    entry = encode_bytes(1, MARK) + encode_bytes(2, value.encode())
    return data + encode_bytes(14, entry)


def parse_shape(text: str) -> dict[str, tuple[int, ...]]:
    """Return ``name:1,3,640,640;...`` as a mapping.

    Raises:
        ValueError: It is not of that form.
    """
    shapes = {}
    for part in text.split(";"):
        name, colon, dimensions = part.rpartition(":")
        if not (colon and name):
            raise ValueError(f"{part!r} is not name:n,c,h,w")
        shapes[name] = tuple(int(number) for number in dimensions.split(","))
    return shapes


def fits(wanted: Mapping[str, tuple[int, ...]], model: Onnx) -> str:
    """Return why shapes do not fit a model's inputs, or an empty string."""
    for name, shape in wanted.items():
        if name not in model.inputs:
            return f"input {name} does not exist in the model (it has {', '.join(model.inputs)})"
        declared = model.inputs[name]
        same = len(declared) == len(shape) and all(a in (0, b) for a, b in zip(declared, shape, strict=True))
        if not same:
            return f"shape {list(shape)} of input {name} does not fit the model's {list(declared)}"
    return ""


def _graph_inputs(graph: bytes) -> Iterator[tuple[str, tuple[int, ...]]]:
    for number, value in _fields(graph):
        if number == 11 and isinstance(value, bytes):
            info = dict(_fields(value))
            name, kind = info.get(1), info.get(2)
            if isinstance(name, bytes) and isinstance(kind, bytes):
                yield name.decode(), _shape(kind)


def _shape(kind: bytes) -> tuple[int, ...]:
    tensor = dict(_fields(kind)).get(1)
    shape = dict(_fields(tensor)).get(2) if isinstance(tensor, bytes) else None
    sizes = []
    for _, dimension in _fields(shape) if isinstance(shape, bytes) else ():
        size = dict(_fields(dimension)).get(1, 0) if isinstance(dimension, bytes) else 0
        sizes.append(size if isinstance(size, int) else 0)
    return tuple(sizes)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield tag >> 3, number
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("is cut short")
            yield tag >> 3, data[at : at + size]
            at += size
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError("is not protobuf")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("is cut short")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def encode_bytes(number: int, value: bytes) -> bytes:
    """Return a protobuf field that holds bytes, a string or a message."""
    return _encoded(number << 3 | 2) + _encoded(len(value)) + value


def encode_number(number: int, value: int) -> bytes:
    """Return a protobuf field that holds a whole number."""
    return _encoded(number << 3) + _encoded(value)


def _encoded(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
