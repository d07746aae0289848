"""A scratch directory in which the rendered steps of a toolchain run against its fakes, small and at once."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebuild.render import file_lookup, render_argv, render_text
from edgebuild.steps.calibration_format import FORMATS
from edgebuild.toolchain.load import load_toolchain, resolve_options
from tests.fakes.install import install
from tests.fakes.tiny_onnx import tiny_onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from edgebuild.toolchain.load import Toolchain

REPOSITORY = Path(__file__).resolve().parents[2]
SEARCH = [REPOSITORY / "templates"]
GOLDEN = REPOSITORY / "tests" / "golden" / "vendors"

IMGSZ = (32, 64)
IMAGES = 6

GRAPH: dict[str, Any] = {
    "float_nodes": ["/model.23/cv2.0/cv2.0.2/Conv", "/model.23/cv3.0/cv3.0.2/Conv"],
    "float_layers": ["/model.23/cv2.0/cv2.0.2/Conv", "/model.23/cv3.0/cv3.0.2/Conv"],
    "float_outputs": ["boxes0", "scores0"],
    "float_types": [],
    "float_modules": ["model.23.cv2.0.2", "model.23.cv3.0.2"],
    "quantized_nodes": ["/model.0/conv/Conv"],
    "quantized_layers": ["/model.0/conv/Conv"],
    "graph": {
        "inputs": [],
        "outputs": [],
        "groups": {},
        "nodes": [
            {
                "name": name,
                "type": "Conv",
                "inputs": [],
                "outputs": [f"{name}_output_0"],
                "float": name.startswith("/model.23"),
                "layer": True,
                "module": "",
            }
            for name in (
                "/model.0/conv/Conv",
                "/model.23/cv2.0/cv2.0.2/Conv",
                "/model.23/cv3.0/cv3.0.2/Conv",
            )
        ],
    },
}
"""What a file that depends on a graph sees, of a model whose last layers stay in float."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """One step, rendered."""

    argv: tuple[str, ...]
    files: Mapping[str, str]


def render_step(
    name: str,
    recipe_name: str,
    step_name: str,
    *,
    batch: int = 1,
    imgsz: tuple[int, int] = IMGSZ,
    **given: Any,
) -> Rendered:
    """Render one step of a toolchain as a plan would, with options of a target."""
    toolchain = load_toolchain(name, SEARCH)
    recipe, step = toolchain.recipes[recipe_name], toolchain.steps[step_name]
    roles = next(dict(entry.inputs) for entry in recipe.steps if entry.step == step_name)
    options, problems = resolve_options(toolchain, given, lambda at: ("m", 1, 1, at), recipe=recipe)
    assert not problems, problems
    variables: dict[str, Any] = {
        "inputs": {role: f"in/{role}/{_name(toolchain, source)}" for role, source in roles.items()},
        "outputs": {output.role: f"out/{output.path}" for output in step.outputs},
        "aux": {path: f"aux/{path}" for path in [path for path, _ in step.files]}
        | {file.path: f"aux/{file.path}" for file in step.graph_files},
        "toolchain_file": file_lookup(step.uses),
        "options": dict(options),
        "extra_args": [],
        "target": "t",
        "tools": {tool: {"version": "1.0", "major": 1, "minor": 0} for tool in toolchain.tools},
        "recipe": recipe.name,
        "precision": recipe.precision,
        "batch": batch,
        "imgsz": list(imgsz),
        "input_shape": [batch, 3, *imgsz],
        "model": {"input": "images", "task": "detect", "classes": 2},
        "quantize": {"per_channel": True, "method": "minmax", "keep_float": ["last"]},
        "calibration": {"images": IMAGES},
    }
    files = {path: render_text(t.text, t.name, variables) for path, t in step.files}
    for late in step.graph_files:
        files[late.path] = render_text(late.template.text, late.template.name, variables | GRAPH)
    argv = render_argv(step.command.text, step.command.name, variables)
    return Rendered(argv=argv, files={path: text for path, text in files.items() if text.strip()})


def _name(toolchain: Toolchain, source: str) -> str:
    step, dot, output = source.partition(".")
    if dot:
        found = next(o for o in toolchain.steps[step].outputs if o.role == output)
        return found.path.rpartition("/")[2]
    return {"calibration": "calibration", "weights": "weights.pt", "info": "model.json"}.get(
        source, "model.onnx"
    )


def program(name: str, file: str) -> ModuleType:
    """Import a program of a toolchain's folder."""
    spec = importlib.util.spec_from_file_location(f"{name}_{file}", SEARCH[0] / name / f"{file}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_golden(golden: Callable[[Path, str], None], name: str, **given: Any) -> None:
    """Compare every step of every recipe of a toolchain, with options of a target, with what is expected."""
    toolchain = load_toolchain(name, SEARCH)
    lines: list[str] = []
    for recipe in toolchain.recipes.values():
        for entry in recipe.steps:
            step = render_step(name, recipe.name, entry.step, batch=1, imgsz=(320, 640), **given)
            lines += [f"== {recipe.name}/{entry.step}", *step.argv]
            for path, text in step.files.items():
                lines += [f"-- {path}", text.rstrip("\n")]
    golden(GOLDEN / f"{name}.txt", "\n".join(lines) + "\n")


class VendorBench:
    """Fakes, a model, and calibration data as the toolchain's format says.

    Args:
        root: An empty folder.
        name: The toolchain.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self.environ = install(root / "fakes")
        self.model(tiny_onnx(shape=(1, 3, *IMGSZ)))
        self.calibration(1)

    @classmethod
    def bare(cls, root: Path, name: str) -> VendorBench:
        """Return one with the fakes and nothing else."""
        made = cls.__new__(cls)
        made.root, made.name, made.environ = root, name, install(root / "fakes")
        return made

    def model(self, data: bytes) -> None:
        """Put a model where the first step reads it."""
        (self.root / "in" / "model").mkdir(parents=True, exist_ok=True)
        (self.root / "in" / "model" / "model.onnx").write_bytes(data)

    def calibration(self, batch: int) -> None:
        """Write the calibration set as edgebuild does."""
        need = load_toolchain(self.name, SEARCH).calibration
        folder = self.root / "in" / "calibration" / "calibration"
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        tensors = rng.integers(0, 256, (IMAGES, 3, *IMGSZ)).astype(np.float32) / np.float32(255)
        if need is not None:
            FORMATS[need.format](tensors, folder, batch)

    def step(
        self,
        recipe: str,
        step: str,
        *words: str,
        mode: str = "ok",
        change: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Render a step and run it.

        Args:
            recipe: The recipe.
            step: The step.
            words: More arguments; a flag that is there already is given twice, and the last one counts.
            mode: How the fake behaves.
            change: Word -> word of the command or of a file, to do it wrong.
            options: Options of the target.
        """
        made = render_step(self.name, recipe, step, **options)
        wrong = dict(change or {})
        for path, text in made.files.items():
            for old, new in wrong.items():
                text = text.replace(old, new)  # noqa: PLW2901 - one change after the other
            (self.root / "aux" / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / "aux" / path).write_text(text, encoding="utf-8")
        for file in load_toolchain(self.name, SEARCH).steps[step].uses:
            place = self.root / "in" / "toolchain" / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes((SEARCH[0] / self.name / file).read_bytes())
        (self.root / "out").mkdir(exist_ok=True)
        return self.run([*(wrong.get(word, word) for word in made.argv), *words], mode)

    def run(self, argv: list[str], mode: str = "ok") -> subprocess.CompletedProcess[str]:
        """Run a command against the fakes; ``python`` is the interpreter that runs this."""
        settings = self.root / "fakes" / "bin" / "fake.json"
        told = json.loads(settings.read_text(encoding="utf-8"))
        fakes = self.root / "fakes" / "bin"
        modes = {word: mode for word in argv if (fakes / word).is_file()}
        settings.write_text(json.dumps(told | modes), encoding="utf-8")
        program = sys.executable if argv[0] == "python" else str(fakes / argv[0])
        return subprocess.run(
            [program, *argv[1:]],
            cwd=self.root,
            env={"PATH": f"{fakes}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def pass_on(self, step: str, role: str, to: str) -> None:
        """Make an output of one step the input of the next."""
        output = next(o for o in load_toolchain(self.name, SEARCH).steps[step].outputs if o.role == role)
        target = self.root / "in" / to / Path(output.path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.root / "out" / output.path).rename(target)
