"""Compile MLIR to a module for one CPU with IREE, and look into what came out.

Runs in this toolchain's own Python environment. A module for another architecture cannot be run here, but its
functions and the machine its code is for can be read.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
from pathlib import Path

MACHINES = {62: "x86_64", 183: "aarch64"}
"""``e_machine`` of an ELF header."""

ELF = b"\x7fELF"
MACHINE_AT = 18


def main() -> None:
    """Read the arguments, compile, prove for what, and say so."""
    options, more = _parse()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    compile_module(options, more)
    found = machines(options.output.read_bytes())
    print(f"code for: {', '.join(found) or 'nothing'}")
    if found != [options.arch]:
        print(f"not compiled for {options.arch}")
        sys.exit(1)
    check(options.output)
    print(f"written: {options.output.name}")


def compile_module(options: argparse.Namespace, more: list[str]) -> None:
    """Call iree-compile."""
    from iree.compiler.tools.binaries import find_tool

    words = [*arguments(options.arch, options.cpu, options.opt_level), *more]
    print("iree-compile", options.model, *words, "-o", options.output, flush=True)
    # The words are those of the action's command; no shell reads them.
    argv = [find_tool("iree-compile"), options.model, *words, "-o", str(options.output)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # noqa: S603 - see above
    print(done.stdout.decode("utf-8", "replace"), flush=True)
    if done.returncode < 0:
        print(f"iree-compile was killed by signal {-done.returncode}")
    if done.returncode or not options.output.is_file():
        sys.exit(1)


def arguments(arch: str, cpu: str, level: str) -> list[str]:
    """Return what iree-compile is told.

    The code is linked into the module without any library of a system, so it runs on every Linux.
    """
    return [
        "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu",
        f"--iree-llvmcpu-target-triple={arch}-linux-gnu",
        f"--iree-llvmcpu-target-cpu={cpu}",
        f"--iree-opt-level={level}",
        "--iree-llvmcpu-debug-symbols=false",
        "--iree-vm-bytecode-module-strip-source-map=true",
    ]


def machines(module: bytes) -> list[str]:
    """Return the architectures of the ELF files in a module, each once."""
    found, at = set(), module.find(ELF)
    while at >= 0:
        if at + MACHINE_AT + 2 <= len(module):
            (number,) = struct.unpack_from("<H", module, at + MACHINE_AT)
            found.add(MACHINES.get(number, f"machine {number}"))
        at = module.find(ELF, at + 1)
    return sorted(found)


def check(path: Path) -> None:
    """Read the module's list of functions, without running any."""
    import iree.runtime

    instance = iree.runtime.VmInstance()
    module = iree.runtime.VmModule.copy_buffer(instance, path.read_bytes())
    names = [name for name in module.function_names if not name.startswith("__") and "$" not in name]
    print(f"functions: {', '.join(names)}")
    if len(names) != 1:
        print("a module with one function was expected")
        sys.exit(1)


def _parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="the MLIR file")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument("--arch", choices=sorted(MACHINES.values()), required=True)
    parser.add_argument("--cpu", required=True, help="LLVM's name of the processor")
    parser.add_argument("--opt-level", choices=("O0", "O1", "O2", "O3"), required=True)
    return parser.parse_known_args()  # the rest is iree-compile's


if __name__ == "__main__":
    main()
