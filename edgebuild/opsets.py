"""The least ONNX opset that a quantization made here can start from."""

from __future__ import annotations

QUANTIZE_OPSET = 10
"""The first with QuantizeLinear; ONNX Runtime would convert a lower one, and cannot convert a Resize."""

PER_CHANNEL_OPSET = 13
"""The first whose DequantizeLinear takes a scale per channel. Measured: 12 fails, 16-bit types do not."""


def least_opset(*, per_channel: bool, activation: str = "u8") -> int:
    """Return the least opset for a static quantization.

    Args:
        per_channel: Weights have one scale per output channel.
        activation: Type of the activations; those of 16 bits have operators of ONNX Runtime's own, which take
            scales per channel at any opset.
    """
    wide = activation in {"u16", "s16"}
    return PER_CHANNEL_OPSET if per_channel and not wide else QUANTIZE_OPSET
