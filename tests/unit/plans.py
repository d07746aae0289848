"""Manifests as values, and the toolchains of this repository, for the tests of the plan."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.gates import GATE_KINDS, Gate
from edgebuild.manifest.values import (
    Benchmark,
    Calibration,
    Dataset,
    Export,
    Manifest,
    Model,
    Package,
    Quantize,
    Split,
    Target,
    Train,
    Validation,
)
from edgebuild.plan.plan import Plan, make_plan
from edgebuild.toolchain.load import load_toolchain

if TYPE_CHECKING:
    from edgebuild.toolchain.load import Toolchain

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = REPOSITORY / "templates"
WORKSPACE = Path("/somebody/s/home/fasteners")
"""No such folder: a plan reads nothing."""

TRAIN = Train(
    base="yolo11n.yaml",
    base_file=None,
    epochs=3,
    imgsz=(320, 320),
    seed=0,
    batch=16,
    device="cpu",
    resume=False,
    arguments={"lr0": 0.01},
)
MODEL = Model(
    weights=WORKSPACE / "weights" / "best of may.pt",
    train=None,
    task="detect",
    imgsz=(320, 320),
    export=Export(opset=17, simplify=True, dynamic=False),
)
QUANTIZE = Quantize(
    method="",
    percentile=99.999,
    per_channel=True,
    activation="",
    weight="",
    reduce_range=None,
    keep_float=("decode", "last"),
)


def split(name: str, count: int) -> Split:
    return Split(
        name=name,
        root=WORKSPACE / "data",
        images=tuple(f"images/{name}/{n:03}.jpg" for n in range(count)),
        labels=tuple(f"labels/{name}/{n:03}.txt" for n in range(count)),
    )


DATASET = Dataset(
    file=WORKSPACE / "data" / "fasteners.yaml",
    listed=(),
    names=("bolt", "nut"),
    kpt_shape=None,
    splits={"train": split("train", 4), "val": split("val", 2)},
    calibration=Calibration(split="train", images=4, sample="stratified", seed=0),
    validation=Validation(split="val", confidence=0.001, iou=0.7, max_detections=300),
)


def target(name: str = "pi", **changes: Any) -> Target:
    """Return a target: ONNX Runtime in float, unless changed."""
    plain = Target(
        name=name,
        toolchain="onnxruntime",
        recipe="",
        options={},
        extra_args=(),
        device="",
        batch=1,
        cpu="x86-vnni",
        quantize=QUANTIZE,
        benchmark=Benchmark(threads=1, warmup=2, runs=5),
        gates=(),
        ship=True,
        timeout=None,
        tags=(),
        optional=False,
    )
    return replace(plain, **changes)


def int8(name: str = "pi", **changes: Any) -> Target:
    """Return an INT8 target of ONNX Runtime."""
    return target(name, **{"recipe": "int8", **changes})


def ascend(name: str = "ascend", **changes: Any) -> Target:
    """Return a target of a vendor with a compiler and a quantizer of its own."""
    options = {"soc_version": "Ascend310P3", **changes.pop("options", {})}
    return target(name, **{"toolchain": "ascend", "options": options, **changes})


def manifest(*targets: Target, **changes: Any) -> Manifest:
    """Return a manifest of these targets."""
    plain = Manifest(
        file="manifest.yaml",
        folder=WORKSPACE,
        name="fasteners",
        model=MODEL,
        dataset=DATASET,
        targets=targets,
        devices={},
        package=Package(version="1.4.0"),
        positions={"targets": (10, 3), "dataset.calibration.images": (7, 5)},
    )
    return replace(plain, **changes)


@lru_cache(maxsize=32)
def toolchain(name: str) -> Toolchain:
    """Return one of this repository's toolchains."""
    return load_toolchain(name, [TEMPLATES])


def plan(
    *targets: Target, cpu: str = "x86-vnni", versions: dict[str, str] | None = None, **changes: Any
) -> Plan:
    """Return the plan of a manifest of these targets."""
    chains = {t.toolchain: toolchain(t.toolchain) for t in targets}
    return make_plan(manifest(*targets, **changes), chains, cpu=cpu, versions=versions)


def gate(metric: str, **limits: Any) -> Gate:
    """Return a gate, written as in ``gate("map50_95", max_drop=0.02)``."""
    evidence = limits.pop("evidence", "")
    (kind,) = (known for known in GATE_KINDS if known in limits)
    return Gate(metric=metric, kind=kind, limit=limits[kind], evidence=evidence)
