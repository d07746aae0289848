"""The manifest as frozen values: what one ``manifest.yaml`` asks for, with every default filled in.

:func:`edgebuild.manifest.load.load_manifest` makes these from YAML; nobody downstream sees a raw mapping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from edgebuild.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgebuild.gates import Gate

Task = Literal["detect", "segment", "pose", "classify", "obb"]
Sample = Literal["stratified", "random", "first", "list"]
Method = Literal["minmax", "entropy", "percentile"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Train:
    """How to train.

    Attributes:
        base: ``yolo11n.yaml`` (a known architecture) or a path to a ``.pt``, as written.
        base_file: The absolute path when ``base`` is a file, else None.
        arguments: Further Ultralytics training arguments, passed on as they are.
    """

    base: str
    base_file: Path | None
    epochs: int
    imgsz: tuple[int, int]
    seed: int
    batch: int
    device: str
    resume: bool
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """ONNX export settings.

    Attributes:
        end2end: The head that selects its boxes itself, where the model has two.
    """

    opset: int
    simplify: bool
    dynamic: bool
    end2end: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """The model: given weights, or how to train them. Exactly one of ``weights`` and ``train`` is set."""

    weights: Path | None
    train: Train | None
    task: Task
    imgsz: tuple[int, int]
    export: Export


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """One split of the dataset, as listed on disk.

    Attributes:
        name: ``train``, ``val`` or ``test``.
        root: Directory that the relative paths start from, absolute.
        images: Relative POSIX paths of images, sorted.
        labels: Relative POSIX paths of the label files that exist, sorted.
    """

    name: str
    root: Path
    images: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Which images calibrate.

    Attributes:
        split: Split they come from.
        images: How many.
        files: Explicit relative paths when ``sample`` is ``list``.
    """

    split: str
    images: int
    sample: Sample
    seed: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """The one protocol for float and quantized models."""

    split: str
    confidence: float
    iou: float
    max_detections: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """The dataset: an Ultralytics dataset YAML and what it lists on disk.

    Attributes:
        file: The dataset YAML, absolute.
        names: Class names in the order of their ids.
        kpt_shape: Keypoints and dimensions, for pose only.
        flip_idx: Which keypoint each becomes in a mirrored image, if the dataset YAML says so.
        splits: By name; only splits that the manifest uses are listed.
        listed: Every folder and listing that the dataset YAML names, absolute.
    """

    file: Path
    names: tuple[str, ...]
    kpt_shape: tuple[int, int] | None
    splits: Mapping[str, Split]
    calibration: Calibration
    validation: Validation
    flip_idx: tuple[int, ...] = ()
    listed: tuple[Path, ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedPrecision:
    """What a search for mixed precision has to keep.

    Attributes:
        max_drop: Greatest loss against the float model, in the metric's unit.
        metric: Name of the metric, or empty: the task's own.
        max_slowdown: Greatest slowdown against the default recipe, as a fraction.
        budget: Most variants that are scored.
    """

    max_drop: float
    metric: str
    max_slowdown: float
    budget: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantize:
    """How to quantize.

    Attributes:
        method: Calibration method, or empty: the default of whoever quantizes.
        percentile: In percent, for ``percentile``.
        activation: ``u8``, ``s8``, ``u16``, ``s16`` or empty: from the CPU family.
        weight: ``s8``, ``u8`` or empty: from the CPU family.
        reduce_range: True, False or None: from the CPU family.
        keep_float: Groups (``decode``, ``last``, ``head``, ...), node globs or ``op:Type``.
        mixed_precision: Search for what else stays float; None: nothing else does.
    """

    method: Method | Literal[""]
    percentile: float
    per_channel: bool
    activation: str
    weight: str
    reduce_range: bool | None
    keep_float: tuple[str, ...]
    mixed_precision: MixedPrecision | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """How to measure latency."""

    threads: int
    warmup: int
    runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One thing to ship (or, with ``ship: false``, only to compare with).

    Attributes:
        recipe: Name of a recipe, or empty: the toolchain's default.
        options: As written; checked against the toolchain's schema by the plan.
        extra_args: ``options.extra_args``, passed to the vendor's compile command untouched.
        cpu: CPU family the artifact is for: ``x86-vnni``, ``x86``, ``arm64`` or empty: this machine's.
        head: Where the model ends that the toolchain gets, or empty: the recipe says.
        findings: (id, ``error``, ``warning``, ``note`` or ``ignore``) of what tools may say; an error
            rejects the target.
        timeout: Seconds for each vendor step, or None: the toolchain's.
        optional: Skipped, and reported so, where its toolchain is absent; else that is an error.
        tags: Free words for selection.
    """

    name: str
    toolchain: str
    recipe: str
    options: Mapping[str, Any]
    extra_args: tuple[str, ...]
    device: str
    batch: int
    cpu: str
    head: str = ""
    quantize: Quantize
    benchmark: Benchmark
    gates: tuple[Gate, ...]
    findings: tuple[tuple[str, str], ...] = ()
    ship: bool
    timeout: float | None
    tags: tuple[str, ...]
    optional: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A board that artifacts are measured on."""

    name: str
    ssh: str
    workdir: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """What the packages are called."""

    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Everything one manifest asks for.

    Attributes:
        file: The manifest's path as the user gave it, for messages.
        folder: The workspace: the folder of the manifest, absolute.
        positions: Dotted path -> (line, column), both 1-based, for messages and explanations; (0, 0) is a
            value given with ``--set``.
        settings: Dotted path -> the ``--set`` that gives its value, for messages.
        overrides: ``--set`` values, as given.
        compare: Compare float and quantized models block by block, for the report.
    """

    file: str
    folder: Path
    name: str
    model: Model
    dataset: Dataset | None
    targets: tuple[Target, ...]
    devices: Mapping[str, Device]
    package: Package
    positions: Mapping[str, tuple[int, int]] = field(compare=False)
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)
    overrides: tuple[str, ...] = ()
    compare: bool = False

    def where(self, path: str) -> str:
        """Return ``file:line`` of a dotted path, or of its nearest parent that is written down.

        A value from the command line is at ``--set``.
        """
        while path:
            if path in self.positions:
                line = self.positions[path][0]
                return f"{self.file}:{line}" if line else "--set"
            path = path.rpartition(".")[0]
        return self.file

    def problem(self, path: str, message: str, *, hint: str = "") -> Problem:
        """Return a problem with the value at a path, at its place or that of its nearest parent."""
        place = path
        while place and place not in self.positions:
            place = place.rpartition(".")[0]
        line, column = self.positions.get(place, (0, 0))
        file = self.settings.get(place, self.file)
        return Problem(file=file, line=line, column=column, path=path, message=message, hint=hint)
