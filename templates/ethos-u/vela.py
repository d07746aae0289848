"""Compile a quantized LiteRT model with vela, and say what it estimates and what it left to the CPU.

Runs in this toolchain's own Python environment. vela returns 0 even when nothing runs on the NPU, so its
summary is what counts: it is printed, and kept for the metrics.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

WORK = Path("vela")
ON_THE_CPU = re.compile(r"^\s*CPU: (\w+) = (.*)$")
LEFT = re.compile(r"^CPU operators = (\d+)", re.MULTILINE)
RUNS = re.compile(r"^NPU operators = (\d+)", re.MULTILINE)


def main() -> None:
    """Read the arguments, compile, and write the model, the summary and the layers."""
    options, more = _parse()
    WORK.mkdir()
    shutil.copyfile(options.model, WORK / "model.tflite")
    names = ("accelerator_config", "system_config", "memory_mode", "arena_cache_size", "optimise")
    chosen = [(f"--{name.replace('_', '-')}", getattr(options, name)) for name in names]
    argv = [
        *(str(Path(sys.executable).with_name("vela")), str(WORK / "model.tflite")),
        *(word for flag, value in chosen if value for word in (flag, value)),
        *("--output-dir", str(WORK), "--verbose-performance", "--verbose-cycle-estimate"),
        *("--show-cpu-operations", *more),
    ]
    print("vela", *argv[1:], flush=True)
    # The words are those of the action's command; no shell reads them.
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # noqa: S603 - see above
    text = done.stdout.decode("utf-8", "replace")
    print(shown(text), flush=True)
    if done.returncode:
        print(f"vela: failed with exit code {done.returncode}")
        sys.exit(1)
    if not RUNS.search(text):
        print("vela: failed to say what runs on the NPU")
        sys.exit(1)
    for name in left(text):
        print(f"on the CPU: {name}")
    options.summary.write_text(summary(text), encoding="utf-8")
    shutil.copyfile(WORK / "model_vela.tflite", options.output)
    shutil.copyfile(WORK / "model_per-layer.csv", options.layers)
    print(f"written: {options.output.name}")


def summary(text: str) -> str:
    """Return what vela printed from the summary on, without the list of what is on the NPU."""
    lines = text[max(text.find("Network summary for"), 0) :].splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("NPU: ")) + "\n"


def shown(text: str) -> str:
    """Return what of vela's output is for people: the tables of layers are in the CSV file."""
    before = text[: max(text.find("Network summary for"), 0)].splitlines()
    told = [line for line in before if re.match(r"(Warning|Error|Info)", line)]
    return "\n".join([*told, summary(text)])


def left(text: str) -> list[str]:
    """Return the operators that stay on the CPU, as type and tensor, or else how many."""
    found = [match for line in text.splitlines() if (match := ON_THE_CPU.match(line))]
    named = [f"{match[1]} {match[2].rsplit('/', 1)[-1].strip()}" for match in found]
    count = LEFT.search(text)
    many = int(count[1]) if count else 0
    return named or ([f"{many} operators"] if many else [])


def _parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="the quantized .tflite file")
    parser.add_argument("--output", type=Path, required=True, help="the compiled .tflite file")
    parser.add_argument("--summary", type=Path, required=True, help="text with what vela estimates")
    parser.add_argument(
        "--layers", type=Path, required=True, help="CSV with what vela estimates of each operator"
    )
    parser.add_argument("--accelerator-config", required=True)
    for name in ("system-config", "memory-mode", "arena-cache-size"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--optimise", choices=("Performance", "Size"), default="Performance")
    return parser.parse_known_args()  # the rest is vela's


if __name__ == "__main__":
    main()
