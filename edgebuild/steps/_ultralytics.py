"""Ultralytics as the steps use it: offline, and writing nowhere but the working directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgebuild.steps._ort import disable_telemetry
from edgebuild.steps._step import fail


def isolate() -> None:
    """Keep settings, fonts and caches out of the home folder and the network out of reach.

    Call it before the first import of Ultralytics: it reads these variables while it is imported.
    """
    disable_telemetry()  # it imports ONNX Runtime for some models
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    settings = Path("settings").absolute()
    settings.mkdir(exist_ok=True)
    os.environ["YOLO_CONFIG_DIR"] = str(settings)
    os.environ["MPLCONFIGDIR"] = str(settings)


def load_model(path: str | Path, *, task: str, name: str | Path = "") -> Any:
    """Open weights (``.pt`` or ``.onnx``) or a model description (``.yaml``) with Ultralytics.

    Args:
        path: The file.
        task: The task that the manifest names.
        name: What to call the file in errors, where it is a copy.

    Raises:
        StepFailure: The file is no model, or a model for another task.
    """
    isolate()
    from ultralytics import YOLO

    path = Path(path)
    name = name or path
    is_file = path.suffix in {".pt", ".onnx"}
    if is_file and not path.is_file():
        fail(f"{name}: no such file", hint="the step was given a path that does not exist")
    try:
        model = YOLO(str(path), task=task if path.suffix == ".onnx" else None)
    except Exception as error:  # noqa: BLE001 - unpickling a damaged file raises anything at all
        reason = _reason(error).replace(str(path), "the file")
        hint = "it may be cut short; train or download it again"
        if not is_file:
            hint = "it must be an architecture that the installed Ultralytics has, or a description of one"
        fail(f"{name}: not a model that Ultralytics can open ({reason})", hint=hint)
    if model.task != task:
        fail(f"{name}: the weights are for task {model.task!r}, the manifest says {task!r}",
             hint=f"set model.task to {model.task} or use other weights")  # fmt: skip
    return model


def _reason(error: Exception) -> str:
    """Return the first clause of an error, without Ultralytics' decoration."""
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0].encode("ascii", "ignore").decode().removeprefix("ERROR").strip()
    return line.partition(" (")[0].partition(". ")[0]
