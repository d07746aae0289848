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


def install(into: Path, modes: dict[str, str] | None = None, *, cann: str = "8.0.0") -> dict[str, str]:
    """Write the executables and the version files of the fakes.

    Args:
        into: A folder; made when missing.
        modes: Executable -> mode, for ``fake.json``.
        cann: CANN version that the fake ATC belongs to.

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
    (folder / "fake.json").write_text(json.dumps(modes or {}), encoding="utf-8")
    ascend = into / "ascend" / "x86_64-linux"
    ascend.mkdir(parents=True, exist_ok=True)
    text = CANN_INFO.format(version=cann, path=ascend)
    (ascend / "ascend_toolkit_install.info").write_text(text, encoding="utf-8")
    metadata = (
        into
        / "lib"
        / "python3.11"
        / "site-packages"
        / "amct_onnx-0.23.2+edgebuild.fake.dist-info"
        / "METADATA"
    )
    metadata.parent.mkdir(parents=True, exist_ok=True)
    metadata.write_text(
        "Metadata-Version: 2.1\nName: amct_onnx\nVersion: 0.23.2+edgebuild.fake\n", encoding="utf-8"
    )
    neuware = into / "neuware"
    neuware.mkdir(exist_ok=True)
    (neuware / "version.txt").write_text("Neuware Version 1.7.0 (edgebuild fake)\n", encoding="utf-8")
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ASCEND_HOME_PATH": str(into / "ascend"),
        "NEUWARE_HOME": str(neuware),
    }


if __name__ == "__main__":
    told = dict(word.split("=", 1) for word in sys.argv[2:])
    sys.stdout.write(json.dumps(install(Path(sys.argv[1]).absolute(), told), indent=1) + "\n")
