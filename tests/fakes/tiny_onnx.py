"""An ONNX file of a few dozen bytes, written without the onnx package: enough for the fakes to be strict."""

from __future__ import annotations

from tests.fakes.fake_common import encode_bytes, encode_number


def tiny_onnx(
    *, shape: tuple[int, ...] = (1, 3, 8, 8), name: str = "images", opset: int = 17, op: str = "Relu"
) -> bytes:
    """Return a model with one node and one float input; a zero in the shape is a free dimension.

    Args:
        shape: Shape of the input.
        name: Name of the input.
        opset: ONNX opset it declares.
        op: Operator of the node.
    """
    dimensions = b"".join(encode_bytes(1, encode_number(1, size) if size else b"") for size in shape)
    tensor = encode_number(1, 1) + encode_bytes(2, dimensions)
    value = encode_bytes(1, name.encode()) + encode_bytes(2, encode_bytes(1, tensor))
    node = encode_bytes(1, name.encode()) + encode_bytes(2, b"output0") + encode_bytes(4, op.encode())
    output = encode_bytes(1, b"output0") + encode_bytes(2, encode_bytes(1, tensor))
    graph = (
        encode_bytes(1, node) + encode_bytes(2, b"tiny") + encode_bytes(11, value) + encode_bytes(12, output)
    )
    return encode_number(1, 8) + encode_bytes(7, graph) + encode_bytes(8, encode_number(2, opset))
