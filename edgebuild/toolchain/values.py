"""What a toolchain is, as frozen values. docs/toolchains.md is the reference of the format."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from edgebuild.toolchain.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgebuild.action import LogRule, Output, Success
    from edgebuild.toolchain.device_output import DeviceTool
    from edgebuild.toolchain.device_version import DeviceVersion
    from edgebuild.toolchain.options import Option
    from edgebuild.toolchain.tools import Tool

Precision = Literal["fp32", "fp16", "bf16", "int8", "int16", "mixed"]

Head = Literal["full", "normalised", "cut"]
"""Where the ONNX ends that a recipe reads: as exported; with boxes from 0 to 1; before the decoding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """Something that only some versions of a tool can do.

    Attributes:
        tool: Name of the tool.
        versions: Range it must lie in, such as ``<11``.
        recipes: Recipes that need it, or empty: the option says so.
        option: Option whose values need it, or empty.
        values: Those values.
        hint: What to do instead.
    """

    tool: str
    versions: str
    recipes: tuple[str, ...] = ()
    option: str = ""
    values: tuple[Any, ...] = ()
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a compiler can take. A missing upper bound is not known.

    Attributes:
        opset: Least and greatest ONNX opset, both included.
        batch: Least and greatest batch, both included.
        dynamic: Dynamic shapes are possible.
        end2end: A head that selects its boxes itself can be compiled and computed.
        tasks: Tasks it is known to take; empty: all.
        refuse: ONNX operators that it does not compile.
        refuse_hint: What to do about such an operator.
        size_mb: Greatest size of the ONNX file in MB (1,000,000 bytes), or None.
    """

    opset: tuple[int, int | None] = (1, None)
    batch: tuple[int, int | None] = (1, None)
    dynamic: bool = False
    end2end: bool = True
    tasks: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    refuse_hint: str = ""
    size_mb: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationNeed:
    """Calibration data as the vendor's quantizer wants it; counts are images."""

    format: str
    minimum: int
    useful_maximum: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class QdqNeed:
    """What a compiler reads of a QDQ ONNX.

    Attributes:
        style: ``pairs``: float weights with a Q/DQ pair of their own, float biases, one pair per consumer.
        activation: Types it takes, the one to choose first; empty: every type.
        weight: Likewise.
    """

    style: Literal["compact", "pairs"] = "compact"
    activation: tuple[str, ...] = ()
    weight: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What is measured for a recipe, and what that proves of the artifact.

    Attributes:
        artifact: ``onnx``, ``qdq``, ``qdq_naive`` or ``<step>.<output>``.
        evidence: ``proxy`` when another thing than the recipe's artifact is measured.
        runtime: File of the toolchain that runs the artifact, or empty: ONNX Runtime.
        estimate: Tool that printed the artifact, which is a text with its estimate; empty: it is run.
    """

    artifact: str
    evidence: Literal["host", "emulator", "proxy"]
    runtime: str = ""
    estimate: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeStep:
    """One step of a recipe: input role -> where it comes from (common chain, or ``<step>.<output>``)."""

    step: str
    inputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The chain of vendor steps for one precision.

    Attributes:
        artifact: What is shipped: ``onnx``, ``qdq``, ``qdq_naive`` or ``<step>.<output>``.
        evaluate: What validation measures, or None.
        benchmark: What the benchmark here measures, or None.
        required_options: Options this recipe cannot do without.
        refuse: Option -> values that contradict the recipe.
        head: Where the ONNX ends that it reads, unless the target says otherwise.
        heads: What a target may say.
    """

    name: str
    title: str
    default: bool
    precision: Precision
    steps: tuple[RecipeStep, ...]
    artifact: str
    evaluate: Measured | None
    benchmark: Measured | None
    required_options: tuple[str, ...] = ()
    refuse: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    head: Head = "full"
    heads: tuple[Head, ...] = ("full",)

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything of the common chain or of steps that this recipe reads, each once, in order."""
        named = [source for step in self.steps for _, source in step.inputs]
        named += [self.artifact, *(m.artifact for m in (self.evaluate, self.benchmark) if m)]
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A template's text and its path as errors call it, such as ``templates/acme/compile.cmd.j2``."""

    name: str = field(compare=False)
    text: str

    @property
    def file(self) -> str:
        """Its file's name."""
        return PurePath(self.name).name


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphFile:
    """A file that depends on a model's graph: it is rendered when the graph is known, in a run.

    Attributes:
        path: Below ``aux/``, as the step's own templates see it.
        role: Input of the step whose graph it depends on.
    """

    path: str
    template: Template
    role: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTemplate:
    """One vendor step: how to run and judge it.

    Attributes:
        command: Renders to the argv.
        tools: Tools whose identity is part of the action key.
        uses: Files of the toolchain's folder that the command reads as ``in/toolchain/<file>``.
        files: (path below ``aux/``, template) pairs; a file that renders blank is left out.
        graph_files: Files that are rendered late.
        env: Variables set for the process.
        timeout: Seconds, or None.
    """

    name: str
    command: Template
    tools: tuple[str, ...]
    uses: tuple[str, ...]
    files: tuple[tuple[str, Template], ...]
    graph_files: tuple[GraphFile, ...]
    outputs: tuple[Output, ...]
    success: Success
    timeout: float | None
    retries: int
    env: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What ``toolchain test`` compiles.

    Attributes:
        options: Values for the options that a target cannot do without.
        imgsz: Height and width of the sample model's input in pixels.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    imgsz: tuple[int, int] = (320, 320)


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolchain:
    """Everything one folder says.

    Attributes:
        folder: Where it lies, for the files that steps use. Not part of its identity.
        env_pass: Variables let through from the caller.
        environment: Where the tools live, when that is not the caller's environment.
        trial: What ``toolchain test`` compiles.
        device_version: How to compare the release of a tool with that of the runtime on a device.
        exclusive: Groups of options of which at most one may be set.
        requires: What only some versions of a tool can do.
        package_files: (path in the package, template) of files that packages hold besides the artifact.
        package_readme: How the artifact is run, for the package's README, or None.
        qdq: What its compiler reads of a QDQ ONNX.
        device: What is printed on a device, and how to read it.
    """

    name: str
    folder: Path = field(compare=False)
    title: str
    links: tuple[str, ...]
    tools: Mapping[str, Tool]
    env_pass: tuple[str, ...]
    options: Mapping[str, Option]
    required_options: tuple[str, ...]
    exclusive: tuple[tuple[str, ...], ...]
    limits: Limits
    calibration: CalibrationNeed | None
    recipes: Mapping[str, Recipe]
    steps: Mapping[str, StepTemplate]
    findings: tuple[LogRule, ...]
    requires: tuple[Requirement, ...] = ()
    package_files: tuple[tuple[str, Template], ...] = ()
    package_readme: Template | None = None
    qdq: QdqNeed = field(default_factory=QdqNeed)
    device: tuple[DeviceTool, ...] = ()
    environment: Environment = field(default_factory=Environment)
    trial: Trial = field(default_factory=Trial)
    device_version: DeviceVersion | None = None

    @property
    def default_recipe(self) -> Recipe:
        """The recipe of a target that names none."""
        recipes = tuple(self.recipes.values())
        return next((recipe for recipe in recipes if recipe.default), recipes[0])
