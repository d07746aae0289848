"""Compile an ONNX model with rknn-toolkit2, and quantize it where calibration data are given.

Runs in this toolchain's own Python environment. The toolkit itself works in a process of its own
(``--toolkit``): what that prints is read here, made fit to read, and kept even if it crashes. Prints one line
for each fact that somebody should see; the findings of ``toolchain.yaml`` read them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

WORK = Path("rknn")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STAMP = re.compile(r"(?<=^[A-Z] RKNN: )\[[\d:.]+\] ")
OPERATOR = re.compile(r"D RKNN: \d+ +(\w+) +(\w+) +(NPU|CPU|GPU) +.* \d+/\d+/(\d+) +\d+ +(\S*)$")
"""A line of the compiler's table: type, data type, where it runs, cycles, and ``TYPE:NAME``."""

MEMORY = re.compile(r"Total (?:Internal|Weight) Memory Size: ([\d.]+)KB")
ENDS = frozenset({"InputOperator", "OutputOperator"})
LAYERS = ("Conv", "MatMul", "exMatMul", "Gemm", "exGemm")
INTEGERS = ("INT8", "INT16", "INT4", "UINT8")
QUIET = re.compile(
    r"Tensor \S+ need parameter qtype|The default (in|out)put dtype of|Please take care of this change"
    r"|pkg_resources|self\.rknn_base = "
)
"""What is said of every model, and means nothing here: the runtime converts inputs and outputs by itself."""

SETTINGS = "settings.json"


def main() -> None:
    """Read the arguments, have the toolkit work, read what it prints, and write the summary."""
    options = _parse()
    if options.toolkit:
        work(options)
        return
    options.simulation.mkdir(parents=True, exist_ok=True)
    table = Table()
    # The words are those of the action's own command; no shell reads them. The compiler writes to both
    # streams, through different buffers: in one pipe they would cut each other's lines.
    argv = [sys.executable, __file__, *sys.argv[1:], "--toolkit"]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors) as child:  # noqa: S603 - see above
            assert child.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in readable(child.stdout):
                table.read(line)
                if not line.startswith("D "):
                    print(line, flush=True)
        errors.seek(0)
        for line in readable(errors):
            if not line.startswith("D "):
                print(line, flush=True)
    if child.returncode:
        if child.returncode < 0:
            print(f"rknn: toolkit failed: killed by signal {-child.returncode}")
        sys.exit(1)
    options.summary.write_text(table.summary(), encoding="utf-8")
    print(table.summary(), end="")
    table.report(_wanted(options)["layers"] if options.float else {}, quantized=bool(options.float))
    print(f"written: {options.output.name}")


def readable(stream: Any) -> Iterator[str]:
    """Yield lines without colours, times and progress, and each of the toolkit's own once."""
    seen: set[str] = set()
    for raw in stream:
        line = COLOUR.sub("", raw.decode("utf-8", "replace")).rstrip().rpartition("\r")[2]
        line = STAMP.sub("", line)
        if line in {"", "D"} or QUIET.search(line) or (line[:2] in {"W ", "E ", "I "} and line in seen):
            continue
        seen.add(line)
        yield line


class Table:
    """What the compiler says of the operators that it made."""

    def __init__(self) -> None:
        self._operators: list[tuple[str, str, str, int, str]] = []
        self._memory = 0.0

    def read(self, line: str) -> None:
        """Take a line of the log."""
        if found := OPERATOR.match(line):
            kind, dtype, where, cycles, name = found.groups()
            if kind not in ENDS:
                self._operators.append((kind, dtype, where, int(cycles), name.partition(":")[2]))
        elif found := MEMORY.search(line):
            self._memory += float(found[1])

    def summary(self) -> str:
        """Return the facts that an estimate is read from."""
        elsewhere = [where for _, _, where, _, _ in self._operators if where != "NPU"]
        cycles = sum(cycles for _, _, _, cycles, _ in self._operators)
        return (
            f"NPU operators = {len(self._operators) - len(elsewhere)}\nCPU operators = {len(elsewhere)}\n"
            f"NPU cycles = {cycles}\nMemory = {self._memory:.2f} KiB\n"
        )

    def report(self, float_layers: dict[str, str], *, quantized: bool) -> None:
        """Print which operators run on the CPU, how many layers are quantized, and which should not be."""
        for kind, _, where, _, name in self._operators:
            if where != "NPU":
                print(f"on the {where}: {kind} {name}")
        if not quantized:
            return
        layers = {n: dtype for kind, dtype, _, _, n in self._operators if kind.startswith(LAYERS)}
        integers = [name for name, dtype in layers.items() if dtype in INTEGERS]
        print(f"quantized: {len(integers)} of {len(layers)} layers")
        for name in sorted(set(integers) & set(float_layers)):
            print(f"quantized although it should stay float: {name}")


def work(options: argparse.Namespace) -> None:
    """Call the toolkit; its own files are made in a folder of the scratch directory."""
    from rknn.api import RKNN

    here = Path.cwd()
    output, simulation = (here / options.output), (here / options.simulation)
    settings = _settings(options)
    (simulation / SETTINGS).write_text(
        json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    WORK.mkdir(exist_ok=True)
    model = WORK / "model.onnx"
    shutil.copyfile(options.model, model)
    dataset = _dataset(here, options.calibration) if options.calibration else ""
    wanted = _wanted(options) if options.float else {}
    os.chdir(WORK)
    rknn = RKNN(verbose=True)
    _need("config", rknn.config(**settings))
    _need("load_onnx", rknn.load_onnx(model=model.name))
    if not dataset:
        _need("build", rknn.build(do_quantization=False))
        shutil.copyfile(model.name, simulation / model.name)
    else:
        Path("dataset.txt").write_text(dataset, encoding="utf-8")
        _need("hybrid_quantization_step1", rknn.hybrid_quantization_step1(dataset="dataset.txt"))
        config = Path("model.quantization.cfg")
        text = keep_float(config.read_text(encoding="utf-8"), wanted)
        config.write_text(text, encoding="utf-8")
        for name in ("model.model", "model.data", config.name):
            shutil.copyfile(name, simulation / name)
        rknn = RKNN(verbose=True)
        _need("config", rknn.config(**settings))
        done = rknn.hybrid_quantization_step2("model.model", "model.data", config.name)
        _need("hybrid_quantization_step2", done)
    _need("export_rknn", rknn.export_rknn(str(output)))
    rknn.release()


def keep_float(config: str, wanted: dict[str, Any]) -> str:
    """Return the toolkit's quantization settings with tensors that stay FP16.

    Args:
        config: What its first step wrote: ``custom_quantize_layers``, then how every tensor is quantized.
        wanted: ``tensors`` that stay float, and ``layers`` as name -> tensor, for those that must be there.
    """
    known = {name.strip("'\"") for name in re.findall(r"^ {4}(\S.*?):\s*$", config, re.MULTILINE)}
    for layer, tensor in wanted["layers"].items():
        if tensor not in known:
            print(f"not in the toolkit's model: {layer}")
    kept = [tensor for tensor in wanted["tensors"] if tensor in known]
    print(f"to keep in float: {len(wanted['tensors'])} tensors, {len(kept)} of them in the toolkit's model")
    lines = "".join(f"    {json.dumps(tensor)}: float16\n" for tensor in kept)
    empty = "custom_quantize_layers: {}\n"
    if empty not in config:
        print("rknn: hybrid_quantization_step1 failed: it wrote no custom_quantize_layers")
        sys.exit(1)
    return config.replace(empty, f"custom_quantize_layers:\n{lines}", 1) if lines else config


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``RKNN.config``: the device gives bytes, the model takes 0 to 1."""
    found: dict[str, Any] = {
        "mean_values": [[0, 0, 0]],
        "std_values": [[255, 255, 255]],
        "target_platform": options.target_platform,
        "optimization_level": options.optimization_level,
    }
    flags = ("compress_weight", "single_core_mode", "model_pruning", "enable_flash_attention")
    found |= {name: True for name in flags if getattr(options, name)}
    texts = ("quantized_dtype", "quantized_algorithm", "quantized_method")
    return found | {name: getattr(options, name) for name in texts if getattr(options, name)}


def _dataset(here: Path, folder: Path) -> str:
    """Return the list of images with whole paths: the toolkit works elsewhere."""
    lines = (folder / "dataset.txt").read_text(encoding="utf-8").splitlines()
    return "".join(f"{here / folder / line}\n" for line in lines if line)


def _wanted(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(options.float.read_text(encoding="utf-8"))
    return found


def _need(call: str, code: int) -> None:
    if code != 0:
        _fail(call, code)


def _fail(call: str, code: int) -> NoReturn:
    print(f"rknn: {call} failed: it returned {code}", flush=True)
    sys.exit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="the ONNX file")
    parser.add_argument("--output", type=Path, required=True, help="the .rknn file")
    parser.add_argument("--summary", type=Path, required=True, help="text with what the compiler estimates")
    parser.add_argument("--simulation", type=Path, required=True, help="folder with what the simulator needs")
    parser.add_argument("--target-platform", required=True)
    parser.add_argument("--optimization-level", type=int, choices=range(4), default=3)
    for name in ("compress-weight", "single-core-mode", "model-pruning", "enable-flash-attention"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--calibration", type=Path, help="folder with dataset.txt; without it all is float")
    parser.add_argument("--float", type=Path, help="JSON: `tensors` that stay float, and `layers`")
    for name in ("quantized-dtype", "quantized-algorithm", "quantized-method"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--toolkit", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
