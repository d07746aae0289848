"""Run a module that IREE compiled, on this CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def load(artifact: str, info: Mapping[str, Any], threads: int) -> Model:
    """Load the module; its device has as many threads as asked for."""
    del info
    import iree.runtime

    # Only a flag of the process says how many, and only before the device is made.
    iree.runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
    config = iree.runtime.Config("local-task")
    module = iree.runtime.VmModule.mmap(config.vm_instance, artifact)
    # Beside the function of the graph there are its asynchronous form and the module's own.
    (name,) = (name for name in module.function_names if not name.startswith("__") and "$" not in name)
    return Model(iree.runtime, config.device, iree.runtime.load_vm_module(module, config)[name])


class Model:
    """A loaded module."""

    def __init__(self, runtime: Any, device: Any, function: Any) -> None:
        self._runtime = runtime
        self._device = device
        self._function = function

    def __call__(self, images: Any) -> list[Any]:
        """Run a batch and return copies of its outputs."""
        import numpy as np

        found = self._function(np.ascontiguousarray(images, dtype=np.float32))
        outputs = found if isinstance(found, tuple) else (found,)
        return [np.array(output.to_host(), copy=True) for output in outputs]

    def bind(self, images: Any) -> Callable[[], object]:
        """Return a call that runs these images, which are on the device already."""
        import numpy as np

        batch = self._runtime.asdevicearray(self._device, np.ascontiguousarray(images, dtype=np.float32))
        return lambda: self._function(batch)
