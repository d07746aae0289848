"""Run an ncnn model, a folder with ``model.ncnn.param`` and ``model.ncnn.bin``, on this CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# GCC's OpenMP spins at every barrier: where another program wants the same cores, an image takes a minute.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HALF = bytes.fromhex("476b3001")
"""What stands before weights in FP16."""


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Load the model; weights in FP32 are computed in FP32, where ncnn would take FP16 if the CPU can."""
    import ncnn

    param, weights = (str(Path(artifact) / f"model.ncnn.{kind}") for kind in ("param", "bin"))
    with Path(weights).open("rb") as stream:
        half = stream.read(len(HALF)) == HALF
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    net.opt.use_bf16_storage = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
    if net.load_param(param) or net.load_model(weights):
        raise RuntimeError(f"ncnn cannot load {param}")
    return Model(ncnn, net, [output.get("shape") for output in info.get("outputs", ())])


class Model:
    """A loaded model."""

    def __init__(self, ncnn: Any, net: Any, shapes: list[Any]) -> None:
        self._ncnn = ncnn
        self._net = net
        self._shapes = shapes
        self._input = net.input_names()[0]
        # pnnx calls them out0, out1, ...; ncnn lists them as they come.
        self._outputs = sorted(net.output_names(), key=lambda name: int(name.removeprefix("out")))

    def __call__(self, images: Any) -> list[Any]:
        """Run one image and return copies of its outputs, with the batch axis that ncnn does not have."""
        import numpy as np

        extractor = self._net.create_extractor()
        # Mat takes the bytes as they lie: an array in another order would be read as another image.
        image = self._ncnn.Mat(np.ascontiguousarray(images[0], dtype=np.float32))
        if extractor.input(self._input, image):
            raise RuntimeError(f"ncnn takes no input {self._input!r} of shape {images.shape}")
        found = []
        for index, name in enumerate(self._outputs):
            code, output = extractor.extract(name)
            if code:
                raise RuntimeError(f"ncnn cannot compute {name} (code {code})")
            array = np.array(output)[None]
            shape = self._shapes[index] if index < len(self._shapes) else None
            found.append(array.reshape(shape) if shape else array)
        return found

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images."""
        return lambda: self(images)
