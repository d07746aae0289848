"""Convert an ONNX model with pnnx, and load what it wrote with ncnn.

Runs in this toolchain's own Python environment. pnnx writes seven more files, some beside the model that it
reads; they are left in the scratch folder.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
WORK = Path("pnnx")


def main() -> None:
    """Read the arguments, convert, prove that ncnn loads it, and say so."""
    options, more = _parse()
    options.output.mkdir(parents=True, exist_ok=True)
    WORK.mkdir()
    shutil.copyfile(options.model, WORK / "model.onnx")
    param, weights = (options.output / f"model.ncnn.{kind}" for kind in ("param", "bin"))
    convert(options, more, param, weights)
    left = foreign_operators(param)
    for name in left:
        print(f"not an operator of ncnn: {name}")
    if left:
        sys.exit(1)
    check(param, weights)
    print(f"written: {param.name}, {weights.name}")


def convert(options: argparse.Namespace, more: list[str], param: Path, weights: Path) -> None:
    """Call pnnx."""
    argv = [
        program(),
        str(WORK / "model.onnx"),
        f"inputshape=[{options.shape}]",
        f"fp16={options.fp16}",
        f"optlevel={options.optlevel}",
        f"ncnnparam={param}",
        f"ncnnbin={weights}",
        f"ncnnpy={WORK}/model_ncnn.py",
        *(f"pnnx{kind}={WORK}/model.pnnx.{kind}" for kind in ("param", "bin", "py", "onnx")),
        *more,
    ]
    print("pnnx", *argv[1:], flush=True)
    # The words are those of the action's command; no shell reads them.
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # noqa: S603 - see above
    print(COLOUR.sub("", done.stdout.decode("utf-8", "replace")), flush=True)
    if done.returncode < 0:
        print(f"pnnx was killed by signal {-done.returncode}")
    if done.returncode:
        sys.exit(1)


def program() -> str:
    """Return the path of pnnx's executable: the wheel's own command needs PyTorch to start it."""
    return str(Path(sysconfig.get_paths()["purelib"]) / "pnnx" / "pnnx")


def foreign_operators(param: Path) -> list[str]:
    """Return the types in a .param file that ncnn does not have; they keep PyTorch's or ONNX's names."""
    lines = param.read_text(encoding="utf-8").splitlines()[2:]
    types = {line.split()[0] for line in lines if line.strip()}
    return sorted(name for name in types if re.search(r"[.:]", name) or name[:1].islower())


def check(param: Path, weights: Path) -> None:
    """Load the files with ncnn."""
    import ncnn

    net = ncnn.Net()
    codes = net.load_param(str(param)), net.load_model(str(weights))
    if any(codes):
        print(f"ncnn cannot load them: {codes}")
        sys.exit(1)
    print(f"ncnn {ncnn.__version__}: inputs {net.input_names()}, outputs {net.output_names()}")


def _parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="the ONNX file")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--shape", required=True, help="of the input, such as 1,3,320,320")
    parser.add_argument("--fp16", choices=("0", "1"), required=True)
    parser.add_argument("--optlevel", choices=("0", "1", "2"), required=True)
    return parser.parse_known_args()  # the rest is pnnx's


if __name__ == "__main__":
    main()
