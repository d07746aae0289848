"""Put the fake vendor tools somewhere: ``python tests/fakes/install.py FOLDER [atc=fail ...]``.

Prints the environment variables that make edgebuild find them, as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

TOOLS = {
    "atc": "fake_atc",
    "amct_onnx": "fake_amct_onnx",
    "cncc": "fake_cncc",
    "genoff.py": "fake_genoff",
    "hailo": "fake_hailo",
    "qairt-converter": "fake_qairt",
    "qairt-quantizer": "fake_qairt",
    "qnn-context-binary-generator": "fake_qairt",
    "trtexec": "fake_trtexec",
    "pulsar2": "fake_pulsar2",
    "model_transform.py": "fake_tpu_mlir",
    "run_calibration.py": "fake_tpu_mlir",
    "model_deploy.py": "fake_tpu_mlir",
    "axcompile": "fake_axcompile",
    "gen_model.py": "fake_gen_model",
}
"""Executable -> module of the fake."""

# Every version text says that it is a fake's: a shared cache must never take one for the real tool.
CANN_INFO = """package_name=Ascend-cann-toolkit
version={version}
innerversion=edgebuild-fake
arch=x86_64
os=linux
path={path}
"""


DISTRIBUTIONS = {
    "amct_onnx": "0.23.2",
    "axelera_devkit": "1.6.0",
    "magicmind": "1.7.0",
    "hailo_dataflow_compiler": "3.33.0",
}
"""Python distribution that a fake pretends to be installed from -> version."""


def install(
    into: Path,
    modes: dict[str, str] | None = None,
    *,
    cann: str = "8.0.0",
    trtexec: str = "10.3.0",
    hailo: str = DISTRIBUTIONS["hailo_dataflow_compiler"],
) -> dict[str, str]:
    """Write the executables and the version files of the fakes.

    Args:
        into: A folder; made when missing.
        modes: Executable -> mode, for ``fake.json``.
        cann: CANN version that the fake ATC belongs to.
        trtexec: TensorRT version that the fake trtexec plays.
        hailo: Version of the Dataflow Compiler.

    Returns:
        Variables to add to the environment; PATH is complete.
    """
    folder = into / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    # The launchers find their modules beside themselves, under the name they have in the repository.
    package = folder / "tests" / "fakes"
    package.mkdir(parents=True, exist_ok=True)
    for source in HERE.glob("fake_*.py"):
        shutil.copy(source, package)
    for executable, module in TOOLS.items():
        path = folder / executable
        # A process of edgebuild's has a scrubbed environment: name the interpreter, look for nothing.
        path.write_text(
            f"#!{sys.executable} -ESB\nfrom tests.fakes.{module} import main\n\nmain()\n", encoding="utf-8"
        )
        path.chmod(0o755)
    told = {**(modes or {}), "trtexec-version": trtexec}
    (folder / "fake.json").write_text(json.dumps(told), encoding="utf-8")
    ascend = into / "ascend" / "x86_64-linux"
    ascend.mkdir(parents=True, exist_ok=True)
    text = CANN_INFO.format(version=cann, path=ascend)
    (ascend / "ascend_toolkit_install.info").write_text(text, encoding="utf-8")
    for name, version in {**DISTRIBUTIONS, "hailo_dataflow_compiler": hailo}.items():
        _pretend(into, name, f"{version}+edgebuild.fake")
    qairt = into / "qairt"
    qairt.mkdir(exist_ok=True)
    (qairt / "sdk.yaml").write_text("# edgebuild fake\nversion: 2.37.0\n", encoding="utf-8")
    neuware = into / "neuware"
    neuware.mkdir(exist_ok=True)
    (neuware / "version.txt").write_text("Neuware Version 1.7.0 (edgebuild fake)\n", encoding="utf-8")
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ASCEND_HOME_PATH": str(into / "ascend"),
        "NEUWARE_HOME": str(neuware),
        "QAIRT_SDK_ROOT": str(qairt),
    }


def _pretend(into: Path, name: str, version: str) -> None:
    """Write the metadata of an installed distribution, and nothing else of it."""
    packages = into / "lib" / "python3.11" / "site-packages"
    for old in packages.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    metadata = packages / f"{name}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True, exist_ok=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


if __name__ == "__main__":
    asked = dict(word.split("=", 1) for word in sys.argv[2:])
    sys.stdout.write(json.dumps(install(Path(sys.argv[1]).absolute(), asked), indent=1) + "\n")
