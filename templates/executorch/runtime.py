"""Run an ExecuTorch program on this CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Load the program."""
    import torch
    from executorch.runtime import Runtime

    torch.set_num_threads(threads)
    program = Runtime.get().load_program(artifact)
    return Model(program, [output["shape"] for output in info.get("outputs", ())])


class Model:
    """A loaded program."""

    def __init__(self, program: Any, shapes: list[Any]) -> None:
        self._program = program  # its method does not keep it alive
        self._forward = program.load_method("forward")
        self._count = len(shapes)

    def __call__(self, images: Any) -> list[Any]:
        """Run a batch and return copies of its outputs: the next run writes over them."""
        found = self._forward.execute([_tensor(images)])
        return [output.numpy().copy() for output in found[: self._count or None]]

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images."""
        inputs = [_tensor(images)]
        return lambda: self._forward.execute(inputs)


def _tensor(images: Any) -> Any:
    import numpy as np
    import torch

    return torch.from_numpy(np.array(images, dtype=np.float32, order="C"))
