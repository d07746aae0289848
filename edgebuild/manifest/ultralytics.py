"""What the installed Ultralytics knows by name, read from its files: importing it takes seconds, and PyTorch.

Where it is not installed nothing is known, and nothing can be refused for being unknown.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

RETIRED = frozenset({"augmentations", "crop_fraction", "end2end", "half", "int8", "label_smoothing"})
"""Arguments that it takes although its defaults do not list them: some only to say that they are gone."""

_SCALES = "nslmx"
_SCALED = re.compile(rf"(\d+)([{_SCALES}])(.+)?$")
_SCALED_P6 = re.compile(rf"(yolov[58])([{_SCALES}])6(.+)?$")


@cache
def package() -> Path | None:
    """Return the folder of the installed Ultralytics, if it is installed."""
    spec = importlib.util.find_spec("ultralytics")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def training_arguments() -> frozenset[str]:
    """Return the names of all arguments (``cfg/default.yaml``); empty: they are not known."""
    folder = package()
    try:
        text = (folder / "cfg" / "default.yaml").read_text(encoding="utf-8") if folder else ""
    except OSError:
        return frozenset()
    found = re.findall(r"^(\w+):", text, flags=re.MULTILINE)
    return frozenset(found) | RETIRED if found else frozenset()


def architectures() -> frozenset[str]:
    """Return the file names of all model descriptions (``cfg/models``); empty: they are not known."""
    folder = package()
    return (
        frozenset(path.name for path in (folder / "cfg" / "models").rglob("*.yaml"))
        if folder
        else frozenset()
    )


def is_architecture(name: str, known: frozenset[str]) -> bool:
    """Say whether a name is that of a model description, or of one with a scale: ``yolo11n`` is ``yolo11``.

    The same as ``ultralytics/nn/tasks.py: yaml_model_load``, with the older names of P6 models.
    """
    stem = _SCALED_P6.sub(r"\1\2-p6\3", name.removesuffix(".yaml"))
    return bool({name, f"{stem}.yaml", _SCALED.sub(r"\1\3", stem) + ".yaml"} & known)


def scaled(known: frozenset[str]) -> list[str]:
    """Return model descriptions as people name them: with each scale where a name has a place for one."""
    names = [
        re.sub(r"^(yolo(?:e-)?v?\d+)(?=[.-])", rf"\g<1>{one}", name) for name in known for one in _SCALES
    ]
    return sorted({*known, *names})
